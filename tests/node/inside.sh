#!/usr/bin/env bash
# What up.sh runs as the first process of the namespaces: it starts the control plane and the node, and runs COMMAND.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
say() { echo "node: $*" >&2; }
log=$STATE/log
fail() {
  say "$1; the last lines of its log in $log:"
  tail -n 20 "$log/$2.log" >&2
  exit 1
}
name=node-0 address=10.99.0.1 pods=10.244.0.0/24 dns=10.0.0.10
rm -rf "$log"
mkdir -p "$log"
from=$PWD
cd "$STATE/machine"

# --- mounts: those of the node stay in this namespace, and containers get copies of them
mount --make-rshared /
mount -t tmpfs -o mode=755 tmpfs /run
for folder in $FOLDERS; do mount --bind "$STATE/machine$folder" "$folder"; done

# --- the network: one address that is not loopback, because pods cannot reach loopback
ip link set lo up
ip link add node type veth peer name peer
ip address add $address/24 dev node
ip link set peer up
ip link set node up
# Addresses of Services need a route before kube-proxy's rules are looked at.
ip route add default dev node
echo 1 > /proc/sys/net/ipv4/ip_forward

# --- the control plane
tied() { exec setsid setpriv --pdeathsig KILL "$@"; }
: > "$log/control-plane.log"
NODE_ADDRESS=$address FSYNC=off tied "$here/../control-plane/up.sh" "$CONTROL_PLANE" "$STATE/control-plane" \
  >> "$log/control-plane.log" 2>&1 < /dev/null &
end=$((SECONDS + 240))
until grep -q ^ready: "$log/control-plane.log"; do
  kill -0 $! 2> /dev/null || fail "the control plane did not start" control-plane
  ((SECONDS < end)) || fail "the control plane was not ready within four minutes" control-plane
  sleep 0.1
done
pki=$STATE/control-plane/pki
export KUBECONFIG=$STATE/control-plane/kubeconfig KUBECACHEDIR=$STATE/machine/kubectl HELM_CACHE_HOME=$STATE/machine/helm \
  HELM_CONFIG_HOME=$STATE/machine/helm HELM_DATA_HOME=$STATE/machine/helm PATH=$CONTROL_PLANE:$NODE:$PATH
say "the control plane runs after $SECONDS s"

# kubelet, kube-proxy and CoreDNS have no more rights than in any cluster.
kubeconfig() { # file, subject
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -subj "$2" 2> /dev/null |
    openssl x509 -req -CA "$pki/ca.crt" -CAkey "$pki/ca.key" -CAcreateserial -days 3650 \
      -extfile <(echo extendedKeyUsage=clientAuth) -out "$1.crt" 2> /dev/null
  sed -e "s|client-certificate-data: [^,}]*|client-certificate: $PWD/$1.crt|" \
    -e "s|client-key-data: [^,}]*|client-key: $PWD/$1.key|" "$KUBECONFIG" > "$1.kubeconfig"
}
kubeconfig kubelet "/O=system:nodes/CN=system:node:$name"
kubeconfig kube-proxy /CN=system:kube-proxy
kubeconfig coredns /CN=coredns

# --- containerd
mkdir cni
cat > cni/pods.conflist <<C
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "ptp", "ipam": {"type": "host-local", "ranges": [[{"subnet": "$pods"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
C
cat > containerd.toml <<C
version = 3
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "localhost/pause:1"
[plugins."io.containerd.cri.v1.runtime"]
  # The node may itself run where these are not allowed.
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["$NODE"]
    conf_dir = "$PWD/cni"
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
C
start() { # program, arguments...
  local program=$1
  shift
  tied "$NODE/$program" "$@" > "$log/$program.log" 2>&1 < /dev/null &
}
await() { # what, program, seconds, command...
  local what=$1 program=$2 end=$((SECONDS + $3))
  shift 3
  until "$@" > /dev/null 2>&1; do
    ((SECONDS < end)) || fail "$what was not ready in time" "$program"
    sleep 0.2
  done
}
start containerd --config containerd.toml
await containerd containerd 60 ctr version

# What keeps a pod's namespaces: one static program.
tar --owner=0 --group=0 --mtime=@0 -C "$NODE" -cf layer.tar pause
case $(uname -m) in x86_64) architecture=amd64 ;; aarch64) architecture=arm64 ;; *) architecture=$(uname -m) ;; esac
cat > config.json <<C
{"architecture": "$architecture", "os": "linux", "config": {"Entrypoint": ["/pause"]},
 "rootfs": {"type": "layers", "diff_ids": ["sha256:$(sha256sum layer.tar | cut -d ' ' -f 1)"]}}
C
echo '[{"Config": "config.json", "RepoTags": ["localhost/pause:1"], "Layers": ["layer.tar"]}]' > manifest.json
tar -cf - manifest.json config.json layer.tar | ctr --namespace k8s.io images import - > "$log/ctr.log" 2>&1 ||
  fail "containerd does not read the image of pause" ctr

# --- kubelet, kube-proxy and CoreDNS
cat > kubelet.yaml <<C
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $address
readOnlyPort: 0
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $pki/ca.crt}}
authorization: {mode: Webhook}
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /$GROUP
# The machine may have either version of cgroups, and swap.
failCgroupV1: false
failSwapOn: false
enforceNodeAllocatable: []
evictionHard: {memory.available: 100Mi}
imageGCHighThresholdPercent: 100
clusterDNS: [$dns]
clusterDomain: cluster.local
resolvConf: /dev/null
C
cat > kube-proxy.yaml <<C
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clientConnection: {kubeconfig: $PWD/kube-proxy.kubeconfig}
hostnameOverride: $name
clusterCIDR: $pods
# These are of the whole machine, so they cannot be set in a network namespace.
conntrack: {maxPerCore: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
C
cat > Corefile <<C
.:53 {
  bind $address
  errors
  ready 127.0.0.1:8181
  kubernetes cluster.local in-addr.arpa {
    kubeconfig $PWD/coredns.kubeconfig
  }
}
C
kubectl apply -f - > /dev/null <<C
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: "system:coredns"}
rules:
- {apiGroups: [""], resources: [endpoints, services, pods, namespaces], verbs: [list, watch]}
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: "system:coredns"}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "system:coredns"}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: coredns}]
---
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system}
spec:
  clusterIP: $dns
  ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kube-dns, namespace: kube-system, labels: {kubernetes.io/service-name: kube-dns}}
addressType: IPv4
endpoints: [{addresses: [$address]}]
ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]
C
start kube-proxy --config=kube-proxy.yaml
start coredns -conf Corefile
start kubelet --config=kubelet.yaml --kubeconfig=kubelet.kubeconfig --hostname-override=$name --node-ip=$address
await "the node" kubelet 90 kubectl wait node/$name --for=condition=Ready --timeout=1s
await "CoreDNS" coredns 60 curl --silent --fail http://127.0.0.1:8181/ready
await "kube-proxy" kube-proxy 60 curl --silent --fail --cacert "$pki/ca.crt" --cert "$pki/admin.crt" --key "$pki/admin.key" \
  https://10.0.0.1/readyz
say "the node is Ready after $SECONDS s: $(kubectl get node $name --no-headers \
  --output 'custom-columns=V:.status.nodeInfo.kubeletVersion,R:.status.nodeInfo.containerRuntimeVersion,K:.status.nodeInfo.kernelVersion')"
cd "$from"
"$@"
