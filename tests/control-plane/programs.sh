#!/usr/bin/env bash
# Which programs the control plane consists of, and how each is built:  programs.sh OUT PROGRAM...
# build.sh calls this with the right Go first in PATH. This file, go.mod and go.sum are the key of the cache.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$(cd "$1" && pwd)
wanted=("${@:2}")
kwok=v0.8.0 helm=v4.2.4
export CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS=-mod=readonly GOWORK=off
cd "$here"

n=0
build() { # name, command...
  local name=$1 began=$SECONDS
  [[ " ${wanted[*]} " == *" $name "* ]] || return 0
  shift
  n=$((n + 1))
  echo "[$n/${#wanted[@]}] $name …" >&2
  "$@"
  [[ -x $out/$name ]] || { echo "programs.sh: $name was built but is not in $out" >&2; exit 1; }
  echo "[$n/${#wanted[@]}] $name … $((SECONDS - began)) s" >&2
}

# The version comes from the resolved graph, so the stamp always matches what is built. Without the stamp, helm's
# kubeVersion checks refuse charts.
kube=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
minor=${kube#v1.} minor=${minor%%.*}
v=k8s.io/component-base/version
stamp="-s -w -X $v.gitVersion=$kube -X $v.gitMajor=1 -X $v.gitMinor=$minor -X $v.gitTreeState=clean -X $v.gitCommit=module-$kube"
for program in kube-apiserver kube-controller-manager kube-scheduler kubectl; do
  build $program go build -trimpath -ldflags "$stamp" -o "$out/" k8s.io/kubernetes/cmd/$program
done
# By default, go names it `server`.
build etcd go build -trimpath -ldflags '-s -w' -o "$out/etcd" go.etcd.io/etcd/server/v3

# Neither go.mod has a replace directive, so pkg@version works and builds with that module's own versions.
unset GOFLAGS
export GOBIN=$out
build kwok go install -trimpath -ldflags "-s -w -X sigs.k8s.io/kwok/pkg/consts.Version=$kwok" "sigs.k8s.io/kwok/cmd/kwok@$kwok"
build helm go install -trimpath -ldflags "-s -w -X helm.sh/helm/v4/internal/version.version=$helm" "helm.sh/helm/v4/cmd/helm@$helm"

[[ " ${wanted[*]} " == *" kwok "* ]] || exit 0
# The kwok program contains no stages ("no stages found"), so the fast ones of its module are used.
module=$(go mod download -json "sigs.k8s.io/kwok@$kwok" | sed -n 's/^[[:space:]]*"Dir": "\(.*\)",\{0,1\}$/\1/p')
for stage in node/fast/node-initialize node/heartbeat-with-lease/node-heartbeat-with-lease \
  pod/fast/pod-ready pod/fast/pod-complete pod/fast/pod-delete; do
  echo '---'
  cat "$module/kustomize/stage/$stage.yaml"
done > "$out/stages.yaml"

for program in kube-apiserver kube-controller-manager kube-scheduler; do
  "$out/$program" --version | grep -qx "Kubernetes $kube" || {
    echo "programs.sh: $program says it is '$("$out/$program" --version)', not $kube" >&2
    exit 1
  }
done
