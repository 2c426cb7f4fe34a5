#!/usr/bin/env bash
# Rewrites go.mod for a Kubernetes version and tidies it:  gen-go-mod.sh v1.36.4 [FOLDER]
# FOLDER has the go.mod, and is this one by default; ../node is the other.
# Kubernetes requires its staging modules at v0.0.0, a version that does not exist, and its own replace directives do
# not count in a module that depends on it. So they are repeated here, taken from the published go.mod. Once per
# version: run this, commit go.mod and go.sum, and set k8s-openapi's feature in Cargo.toml to the same minor version.
set -euo pipefail
cd "$(dirname "$0")"
kube=${1:?usage: gen-go-mod.sh v1.X.Y [FOLDER]}
cd "${2:-.}"
staging=v0.${kube#v1.}
export GOTOOLCHAIN=local GOFLAGS=-mod=mod GOWORK=off
published=$(go mod download -json "k8s.io/kubernetes@$kube" | sed -n 's/^[[:space:]]*"GoMod": "\(.*\)",\{0,1\}$/\1/p')
odd=$(sed -n 's/^[[:space:]]*\(replace \)\{0,1\}\([^ ]*\) => \(.*\)$/\2 => \3/p' "$published" | grep -v ' => \./staging/' || true)
[[ -z $odd ]] || { echo "gen-go-mod.sh: the published go.mod replaces more than its staging modules: $odd" >&2; exit 1; }
mapfile -t modules < <({
  sed -n 's/^[[:space:]]*\(require \)\{0,1\}\([^ ]*\) v0\.0\.0\( .*\)\{0,1\}$/\2/p' "$published"
  sed -n 's/^[[:space:]]*\(replace \)\{0,1\}\([^ ]*\) => .*$/\2/p' "$published"
} | sort -u)
((${#modules[@]} > 20)) || { echo "gen-go-mod.sh: only ${#modules[@]} staging modules found in $published: has its form changed?" >&2; exit 1; }
go mod edit -require "k8s.io/kubernetes@$kube"
for m in "${modules[@]}"; do go mod edit -replace "$m=$m@$staging"; done
go mod tidy
go mod edit -fmt
