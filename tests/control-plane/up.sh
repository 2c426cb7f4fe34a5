#!/usr/bin/env bash
# A Kubernetes control plane on 127.0.0.1 with one simulated node:  up.sh [--until-stdin-closes] BIN STATE
# BIN is the folder that build.sh prints. STATE is created; an earlier state of ours in it is deleted.
# Writes STATE/kubeconfig (administrator), STATE/log/* and STATE/pid/*, prints "ready: KUBECONFIG=…", and stays in the
# foreground. However it ends, even by SIGKILL, it leaves no process behind. With --until-stdin-closes it ends when its
# standard input closes, so with the process that holds the other end.
# FSYNC=off makes etcd answer before its write is on disk: for tests, never for measuring.
# NODE_ADDRESS=10.99.0.1 starts no simulated node: a real one with this address will join. The API server listens there,
# because pods cannot reach it on loopback.
# API_SERVER_LASTS=on restarts the API server, at the same port, when it ends: for tests that kill it.
set -euo pipefail
say() { echo "up.sh: $*" >&2; }
until_stdin_closes=
[[ ${1:-} == --until-stdin-closes ]] && { until_stdin_closes=1; shift; }
(($# == 2)) || { echo "usage: up.sh [--until-stdin-closes] BIN STATE" >&2; exit 2; }
bin=$(cd "$1" && pwd)
mkdir -p "$2"
dir=$(cd "$2" && pwd)
if [[ -n $(ls -A "$dir") && ! -e $dir/.control-plane ]]; then
  say "$dir is not empty and not a control plane's state; name another folder"
  exit 2
fi
touch "$dir/.control-plane"
# Everything started below inherits the lock, so a free lock means that every process of an earlier run is gone.
exec {lock}> "$dir/.control-plane"
flock -w 10 "$lock" || { say "another control plane is running in $dir; end it or name another folder"; exit 2; }

address=${NODE_ADDRESS:-127.0.0.1}
pids=()
stop() {
  # No graceful end, because the state is deleted anyway. The API server ends before etcd, so that it does not complain.
  for ((i = ${#pids[@]} - 1; i >= 0; i--)); do kill -9 "${pids[i]}" 2>/dev/null || true; done
  ((${#pids[@]} == 0)) || wait "${pids[@]}" 2>/dev/null || true
  pids=()
  rm -rf "$dir/etcd" "$dir/pid" "$dir/kwok"
}
watcher=
# A second signal must not interrupt the clean-up.
trap 'trap "" INT TERM; stop; [[ -z $watcher ]] || kill "$watcher" 2>/dev/null || true' EXIT
trap 'exit 0' INT TERM
# The kernel kills each process when this shell is gone (setpriv). The terminal's Ctrl-C does not reach them (setsid);
# this shell handles it.
tied() { exec setsid setpriv --pdeathsig KILL "$@"; }
if [[ -n $until_stdin_closes ]]; then
  exec {stdin}<&0
  (cat <&"$stdin" > /dev/null 2>&1 || true; kill "$$") {lock}>&- &
  watcher=$!
  exec {stdin}<&-
fi
exec < /dev/null

start() {
  local name=$1
  shift
  tied "$bin/$name" "$@" > "$dir/log/$name.log" 2>&1 &
  pids+=($!)
  # Written in one step, because it may be read while a component restarts.
  echo $! > "$dir/pid/.$name"
  mv "$dir/pid/.$name" "$dir/pid/$name"
}
await() { # what, seconds, command...: false when not so in time, or when a component has ended
  local what=$1 end=$((SECONDS + $2)) pid
  shift 2
  until "$@" > /dev/null 2>&1; do
    for pid in "${pids[@]}"; do
      kill -0 "$pid" 2>/dev/null || { say "$(grep -lx "$pid" "$dir"/pid/* | sed 's|.*/||') ended while waiting for $what"; return 1; }
    done
    ((SECONDS < end)) || { say "$what was not ready in time"; return 1; }
    sleep 0.1
  done
}
# Finds a port below those that the kernel gives to connections. If it is taken before it is used, the retry helps.
listening() { (exec 3<> "/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
port() {
  local p
  for _ in {1..100}; do
    p=$((20000 + (RANDOM << 15 | RANDOM) % 12000))
    listening "$p" || { echo "$p"; return; }
  done
  say "no free port found between 20000 and 32000"
  return 1
}
kubectl() { "$bin/kubectl" --kubeconfig "$dir/kubeconfig" --cache-dir "$dir/kubectl-cache" "$@"; }
# In a subshell: a connection that etcd closes early kills the process that writes to it.
etcd_is_healthy() (
  exec 3<> "/dev/tcp/127.0.0.1/$etcd"
  printf 'GET /health HTTP/1.0\r\n\r\n' >&3
  timeout 2 cat <&3 | grep -q '"health":"true"'
)

# --- keys: one CA, a serving certificate, an administrator, a key for service accounts
rm -rf "$dir"/{pki,log,pid,etcd,kwok,kubectl-cache,kubeconfig*}
mkdir -p "$dir/pki"
chmod 700 "$dir/pki"
cd "$dir/pki"
key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key" 2>/dev/null; }
sign() { # name, subject, extensions
  key "$1"
  openssl req -new -key "$1.key" -subj "$2" 2>/dev/null |
    openssl x509 -req -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 -extfile <(echo "$3") -out "$1.crt" 2>/dev/null
}
key ca
openssl req -x509 -new -key ca.key -subj /CN=control-plane -days 3650 -out ca.crt \
  -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
sign serving /CN=kube-apiserver "subjectAltName=IP:$address,IP:10.0.0.1,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc
extendedKeyUsage=serverAuth"
sign admin /O=system:masters/CN=admin extendedKeyUsage=clientAuth
key sa
openssl pkey -in sa.key -pubout -out sa.pub
cd "$dir"
b64() { base64 -w0 "$1"; }

simulate_node() {
  # Nodes become Ready, pods Running, Jobs Complete. KWOK_WORKDIR makes it ignore a ~/.kwok/kwok.yaml. By default it
  # listens on every address. kubectl logs and exec connect to the node name localhost.
  KWOK_WORKDIR=$dir/kwok start kwok --kubeconfig=kubeconfig --config="$bin/stages.yaml" --manage-all-nodes=true \
    --cidr=10.244.0.0/16 --node-name=localhost --node-ip=127.0.0.1 --node-port="$kwok" --server-address="127.0.0.1:$kwok" \
    --tls-cert-file=pki/serving.crt --tls-private-key-file=pki/serving.key --node-lease-duration-seconds=40

  kubectl create -f - > /dev/null <<'N'
apiVersion: v1
kind: Node
metadata:
  name: gpu-0
  labels: {kubernetes.io/hostname: gpu-0, kubernetes.io/os: linux, kubernetes.io/arch: amd64, nvidia.com/gpu.product: NVIDIA-H100-80GB-HBM3}
status:
  capacity: {cpu: "64", memory: 512Gi, pods: "110", nvidia.com/gpu: "8"}
  allocatable: {cpu: "64", memory: 512Gi, pods: "110", nvidia.com/gpu: "8"}
N
}

bring_up() {
  local etcd peer api kcm sched kwok fsync=()
  etcd=$(port) && peer=$(port) && api=$(port) && kcm=$(port) && sched=$(port) && kwok=$(port) || return 1
  rm -rf "$dir/log"
  mkdir -p "$dir/log" "$dir/pid" "$dir/kwok"
  (umask 077 && cat > "$dir/kubeconfig") <<K
apiVersion: v1
kind: Config
clusters: [{name: local, cluster: {server: "https://$address:$api", certificate-authority-data: $(b64 pki/ca.crt)}}]
users: [{name: admin, user: {client-certificate-data: $(b64 pki/admin.crt), client-key-data: $(b64 pki/admin.key)}}]
contexts: [{name: local, context: {cluster: local, user: admin}}]
current-context: local
K
  [[ ${FSYNC:-on} != off ]] || fsync=(--unsafe-no-fsync)
  start etcd --name=local --data-dir="$dir/etcd" --log-level=warn "${fsync[@]}" \
    --listen-client-urls="http://127.0.0.1:$etcd" --advertise-client-urls="http://127.0.0.1:$etcd" \
    --listen-peer-urls="http://127.0.0.1:$peer" --initial-advertise-peer-urls="http://127.0.0.1:$peer" \
    --initial-cluster="local=http://127.0.0.1:$peer"
  await etcd 30 etcd_is_healthy || return 1

  # CRDs, ValidatingAdmissionPolicy and (since 1.36) MutatingAdmissionPolicy are on by default.
  # The endpoint reconciler would refuse a loopback address. Anonymous requests are not allowed.
  local reach=(--endpoint-reconciler-type=none)
  [[ -z ${NODE_ADDRESS:-} ]] || reach=(--kubelet-client-certificate=pki/admin.crt --kubelet-client-key=pki/admin.key \
    --kubelet-preferred-address-types=InternalIP)
  api_server=(--etcd-servers="http://127.0.0.1:$etcd" \
    --bind-address="$address" --secure-port="$api" --advertise-address="$address" "${reach[@]}" \
    --tls-cert-file=pki/serving.crt --tls-private-key-file=pki/serving.key --client-ca-file=pki/ca.crt \
    --anonymous-auth=false --authorization-mode=Node,RBAC --allow-privileged=true --service-cluster-ip-range=10.0.0.0/24 \
    --service-account-issuer=https://kubernetes.default.svc \
    --service-account-key-file=pki/sa.pub --service-account-signing-key-file=pki/sa.key)
  start kube-apiserver "${api_server[@]}"
  await kube-apiserver 90 kubectl get --raw /readyz || return 1
  await 'the namespace default' 30 kubectl get namespace default || return 1

  start kube-controller-manager --kubeconfig=kubeconfig --authentication-kubeconfig=kubeconfig --authorization-kubeconfig=kubeconfig \
    --bind-address=127.0.0.1 --secure-port="$kcm" --leader-elect=false --use-service-account-credentials=true \
    --service-account-private-key-file=pki/sa.key --root-ca-file=pki/ca.crt \
    --cluster-signing-cert-file=pki/ca.crt --cluster-signing-key-file=pki/ca.key
  start kube-scheduler --kubeconfig=kubeconfig --authentication-kubeconfig=kubeconfig --authorization-kubeconfig=kubeconfig \
    --bind-address=127.0.0.1 --secure-port="$sched" --leader-elect=false
  [[ -n ${NODE_ADDRESS:-} ]] || simulate_node || return 1
  await kube-controller-manager 60 listening "$kcm" || return 1
  await kube-scheduler 60 listening "$sched" || return 1
  [[ -n ${NODE_ADDRESS:-} ]] || await 'the node' 60 kubectl wait node/gpu-0 --for=condition=Ready --timeout=1s || return 1
  await 'the default service account' 60 kubectl get serviceaccount default || return 1
}

for attempt in 1 2 3 4 5; do
  if bring_up; then break; fi
  if ((attempt < 5)) && grep -qs 'address already in use' "$dir"/log/*.log; then
    say "a port was taken in the meantime; trying others"
    stop
    continue
  fi
  say "not up; the last lines of each log in $dir/log:"
  tail -n 15 "$dir"/log/*.log >&2
  exit 1
done
echo "ready: KUBECONFIG=$dir/kubeconfig"
while wait -n -p ended "${pids[@]}" || true; do
  [[ ${API_SERVER_LASTS:-} == on && ${ended:-} == "$(< "$dir/pid/kube-apiserver")" ]] || break
  running=()
  for pid in "${pids[@]}"; do [[ $pid == "$ended" ]] || running+=("$pid"); done
  pids=("${running[@]}")
  start kube-apiserver "${api_server[@]}"
done
for name in "$dir"/pid/*; do
  kill -0 "$(< "$name")" 2>/dev/null || say "${name##*/} ended; its last lines:" "$(tail -n 15 "$dir/log/${name##*/}.log")"
done
exit 1
