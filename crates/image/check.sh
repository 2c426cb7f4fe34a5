#!/usr/bin/env bash
# Checks what an image promises, by other programs than those that made it:  check.sh IMAGE.tar NAME:TAG
# It is run by `make image` and not by `make test`, which has no static build: that would take six minutes more each time.
set -euo pipefail
image=$1 name=$2
most=15000000 user=65532
own=$(cd "$(dirname "$0")/../.." && pwd)
fail() { echo "image: $*" >&2; exit 1; }
folder=$(mktemp -d)
trap 'chmod -R u+w "$folder"; rm -rf "$folder"' EXIT

size=$(stat -c %s "$image")
((size <= most)) || fail "it has $size bytes, and may have $most"
tar -xf "$image" -C "$folder"
cd "$folder"

# Whatever reads it, finds the same: the OCI index and Docker's manifest.
python3 - "$name" "$user" <<'P' || fail "its parts do not fit together, see above"
import gzip, hashlib, json, sys
name, user = sys.argv[1:]
def blob(descriptor):
    data = open("blobs/" + descriptor["digest"].replace(":", "/"), "rb").read()
    assert "sha256:" + hashlib.sha256(data).hexdigest() == descriptor["digest"], descriptor
    assert len(data) == descriptor["size"], descriptor
    return data
[entry] = json.load(open("index.json"))["manifests"]
assert entry["annotations"]["io.containerd.image.name"] == name, entry
manifest = json.loads(blob(entry))
config, [layer] = json.loads(blob(manifest["config"])), manifest["layers"]
files = gzip.decompress(blob(layer))
assert config["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(files).hexdigest()], config
assert config["config"]["User"] == f"{user}:{user}", config
assert config["config"]["Entrypoint"] == ["/seatkeeper"], config
[docker] = json.load(open("manifest.json"))
path = lambda descriptor: "blobs/" + descriptor["digest"].replace(":", "/")
assert docker == {"Config": path(manifest["config"]), "RepoTags": [name], "Layers": [path(layer)]}, docker
open("layer.tar", "wb").write(files)
P

# Exactly these: nothing is writable, is a shell, or runs as its owner.
diff <(tar --numeric-owner -tvf layer.tar | awk '{print $1, $2, $6}') - >&2 <<'F' || fail "these are not the files it may have"
dr-xr-xr-x 0/0 etc/
-r--r--r-- 0/0 etc/group
-r--r--r-- 0/0 etc/passwd
dr-xr-xr-x 0/0 etc/ssl/
dr-xr-xr-x 0/0 etc/ssl/certs/
-r--r--r-- 0/0 etc/ssl/certs/ca-certificates.crt
-r-xr-xr-x 0/0 seatkeeper
F
for private in "$own/" "${CARGO_HOME:-$HOME/.cargo}/"; do
  ! grep -qaF "$private" layer.tar || fail "it names folders of this machine: $(grep -aoF -m 1 "$private" layer.tar | head -n 1)"
done

# It runs with nothing else around it, so it is static.
mkdir root
tar -xf layer.tar -C root
chmod 555 root
run() {
  if [[ $(id -u) == 0 ]]; then chroot --userspec=$user:$user root /seatkeeper "$@"
  else unshare --user --map-user=$user --map-group=$user --root=root --wd=/ /seatkeeper "$@"; fi
}
[[ $(run --version) == "seatkeeper ${name##*:} "* ]] || fail "it does not say its version: $(run --version)"
run operator --help > /dev/null || fail "the operator does not run"

# Without certificate authorities it would end with 2 before it connects; nobody answers there, which ends it with 75.
ended=0
said=$(run hold --license a --server https://127.0.0.1:1 --token-file /etc/group -- /seatkeeper 2>&1) || ended=$?
((ended == 75)) || fail "it does not find its certificate authorities: $said"
(($(grep -c BEGIN root/etc/ssl/certs/ca-certificates.crt) >= 100)) || fail "it has too few certificate authorities"
