#!/usr/bin/env bash
# Builds the operator's image without Docker, checks it, and prints its name, digest and size:  build.sh
# The file is TARGET/image/seatkeeper.tar. The same commit and compilers give the same digest, in whatever folder.
set -euo pipefail
cd "$(dirname "$0")/../.."
say() { echo "image: $*" >&2; }
crates/image/machine.sh

case $(uname -m) in
  x86_64) architecture=amd64 ;;
  aarch64) architecture=arm64 ;;
  *) say "no image is made for $(uname -m), only for x86_64 and aarch64"; exit 1 ;;
esac
target=$(uname -m)-unknown-linux-musl
folder=$(cargo metadata --locked --no-deps --format-version 1 | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
# The chart says how the image is called.
name=$(sed -n 's/^  repository: //p' charts/seatkeeper/values.yaml)
tag=$(sed -n 's/^appVersion: //p' charts/seatkeeper/Chart.yaml)
revision=$(git describe --always --dirty --abbrev=40 --exclude '*')
created=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}

# No folder of this machine gets into the program. The last of these that fits counts.
folders=(
  "${CARGO_HOME:-$HOME/.cargo}=/cargo"
  "$(rustc --print sysroot)/lib/rustlib/src/rust=/rustc/$(rustc --version --verbose | sed -n 's/^commit-hash: //p')"
  "$PWD=/seatkeeper"
  "$folder=/target"
)
flags=${target^^}
export "CARGO_TARGET_${flags//-/_}_RUSTFLAGS=${folders[*]/#/--remap-path-prefix=}"
export "CFLAGS_${target//-/_}=${folders[*]/#/-ffile-prefix-map=}"
say "building for $target"
# mimalloc notes when it was compiled. The time of the commit would have it compiled again with each one.
SOURCE_DATE_EPOCH=0 cargo build --locked --profile shipped --target "$target" --bin seatkeeper
cargo build --locked --release --package seatkeeper-image

mkdir -p "$folder/image"
said=$("$folder/release/seatkeeper-image" "$folder/$target/shipped/seatkeeper" "$folder/image/seatkeeper.tar" \
  --name "$name" --tag "$tag" --revision "$revision" --architecture "$architecture" \
  --created "$created")
crates/image/check.sh "$folder/image/seatkeeper.tar" "$name:$tag"
say "docs/installation.md says how to load $folder/image/seatkeeper.tar into a cluster"
echo "$said"
