#!/usr/bin/env bash
# Which programs the node consists of, and how each is built:  programs.sh OUT PROGRAM...
# ../control-plane/build.sh calls this with the right Go first in PATH. This file, go.mod and go.sum are the key of the cache.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$(cd "$1" && pwd)
wanted=("${@:2}")
containerd=v2.4.2 plugins=v1.9.1 coredns=v1.15.0
export CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS=-mod=readonly GOWORK=off
cd "$here"

n=0
build() { # name, command...
  local name=$1 began=$SECONDS
  shift
  n=$((n + 1))
  echo "[$n/${#wanted[@]}] $name …" >&2
  "$@"
  [[ -x $out/$name ]] || { echo "programs.sh: $name was built but is not in $out" >&2; exit 1; }
  echo "[$n/${#wanted[@]}] $name … $((SECONDS - began)) s" >&2
}

# Without the stamp the node says that its version is v0.0.0.
kube=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
minor=${kube#v1.} minor=${minor%%.*}
v=k8s.io/component-base/version
stamp="-s -w -X $v.gitVersion=$kube -X $v.gitMajor=1 -X $v.gitMinor=$minor -X $v.gitTreeState=clean -X $v.gitCommit=module-$kube"
for program in kubelet kube-proxy; do
  build $program go build -trimpath -ldflags "$stamp" -o "$out/" k8s.io/kubernetes/cmd/$program
done

# What each container of a pod shares: a program that only waits. Kubernetes has it in C, and nowhere else.
module=$(go mod download -json "k8s.io/kubernetes@$kube" | sed -n 's/^[[:space:]]*"Dir": "\(.*\)",\{0,1\}$/\1/p')
build pause cc -Os -static -s -DVERSION="${kube#v}" -o "$out/pause" "$module/build/pause/linux/pause.c"

# None of these go.mod has a replace directive, so pkg@version works and builds with that module's own versions.
unset GOFLAGS
export GOBIN=$out
for program in containerd containerd-shim-runc-v2 ctr; do
  build $program go install -trimpath -ldflags "-s -w -X github.com/containerd/containerd/v2/version.Version=$containerd" \
    "github.com/containerd/containerd/v2/cmd/$program@$containerd"
done
for program in main/ptp main/loopback ipam/host-local; do
  build "${program#*/}" go install -trimpath -ldflags '-s -w' "github.com/containernetworking/plugins/plugins/$program@$plugins"
done
build coredns go install -trimpath -ldflags '-s -w' "github.com/coredns/coredns@$coredns"

for program in kubelet kube-proxy; do
  "$out/$program" --version | grep -qx "Kubernetes $kube" || {
    echo "programs.sh: $program says it is '$("$out/$program" --version)', not $kube" >&2
    exit 1
  }
done
