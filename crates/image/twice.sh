#!/usr/bin/env bash
# Builds the image of this commit again, from nothing and in another folder, and compares the digests:  twice.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
fail() { echo "image: $*" >&2; exit 1; }
[[ -z $(git status --porcelain) ]] || fail "commit your changes first: the other folder gets the commit alone"
first=$(crates/image/build.sh)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
git clone --quiet . "$folder/other"
second=$(cd "$folder/other" && CARGO_TARGET_DIR=$folder/built crates/image/build.sh)
[[ $first == "$second" ]] || fail "built again, it is another image: $first, then $second"
echo "twice the same: $first"
