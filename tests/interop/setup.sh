#!/usr/bin/env bash
# Fetches, once, the libraries of other languages with which our keys and time zones are tested, and prints their folder.
set -euo pipefail
pyjwt=2.10.1
cryptography=50.0.2
jose=5.10.0
tzdata=2026.6

fail() {
  echo "interop: $*" >&2
  exit 1
}
command -v python3 > /dev/null || fail "python3 is missing: install it with venv (Debian: python3 python3-venv)"
python3 -c 'import ensurepip, venv' 2> /dev/null || fail "python3 has no venv: install it (Debian: python3-venv)"
command -v node > /dev/null || fail "node is missing: install Node.js 18 or newer (Debian: nodejs)"
command -v npm > /dev/null || fail "npm is missing: install it (Debian: npm)"
command -v flock > /dev/null || fail "flock is missing: install it (Debian: util-linux)"

cache=${XDG_CACHE_HOME:-$HOME/.cache}/seatkeeper/interop
python=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
out=$cache/python$python-pyjwt$pyjwt-cryptography$cryptography-jose$jose-tzdata$tzdata
mkdir -p "$cache"
exec {lock}> "$cache/lock"
flock -w 600 "$lock" || fail "another run still holds $cache/lock after ten minutes. End it and run this again."
if [[ ! -e $out/complete ]]; then
  echo "interop: fetching PyJWT $pyjwt and jose $jose into $out" >&2
  rm -rf "$out"
  python3 -m venv "$out/python" >&2 || fail "python3 -m venv failed: install venv (Debian: python3-venv)"
  "$out/python/bin/python" -m pip install --quiet --retries 3 "pyjwt==$pyjwt" "cryptography==$cryptography" "tzdata==$tzdata" >&2 ||
    fail "pip could not fetch PyJWT; see above and run this again"
  npm install --silent --no-audit --no-fund --no-package-lock --prefix "$out/node" "jose@$jose" >&2 ||
    fail "npm could not fetch jose; run this again"
  touch "$out/complete"
fi
echo "$out"
