#!/usr/bin/env bash
# Makes sure that this machine can run a real node. As root on a machine with apt-get, it installs missing Debian packages.
set -euo pipefail
say() { echo "machine: $*" >&2; }

[[ $(id -u) == 0 ]] || { say "a real node needs root, for namespaces, mounts and cgroups. Run this as root."; exit 1; }
packages=()
needs() { # program, Debian package
  command -v "$1" > /dev/null || packages+=("$2")
}
needs runc runc
# kube-proxy writes nftables.
needs nft nftables
needs ip iproute2
needs curl curl
if ((${#packages[@]} > 0)); then
  command -v apt-get > /dev/null || {
    say "missing; install them and run this again (names of the Debian packages): ${packages[*]}"
    exit 1
  }
  say "installing ${packages[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q -o Acquire::Retries=3 >&2 || say "apt-get update failed; trying with the existing package lists"
  apt-get install -q -y --no-install-recommends -o Acquire::Retries=3 "${packages[@]}" >&2
fi
