#!/usr/bin/env bash
# Makes the recordings of crates/embedded again from a real API server:  record.sh [published|fields|schema]...
# It starts the control plane of the tests (built the first time) and ends it again. See record.py.
set -euo pipefail
cd "$(dirname "$0")/../../.."
bin=$(tests/control-plane/build.sh)
state=$(mktemp -d)
trap 'exec {plane[1]}>&-; wait "$plane_PID" 2> /dev/null || true; rm -rf "$state"' EXIT
coproc plane { FSYNC=off exec tests/control-plane/up.sh --until-stdin-closes "$bin" "$state"; }
read -r ready <&"${plane[0]}" || { echo "record: the control plane did not start" >&2; exit 1; }
echo "record: $ready"
# The recordings have objects whose owners are missing here; Kubernetes' garbage collector would delete them.
kill -STOP "$(< "$state/pid/kube-controller-manager")"
kubectl() { "$bin/kubectl" --kubeconfig "$state/kubeconfig" "$@"; }
kubectl config view --raw -o json > "$state/kubeconfig.json"
kubectl create --dry-run=client -f crds -o json > "$state/crds.json"
etcd=$(tr '\0' '\n' < "/proc/$(< "$state/pid/etcd")/cmdline" | sed -n 's/^--listen-client-urls=//p')
python3 crates/embedded/record/record.py "$state/kubeconfig.json" "$etcd" "$state/crds.json" "$@"
