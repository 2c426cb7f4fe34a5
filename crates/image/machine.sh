#!/usr/bin/env bash
# Makes sure that this machine can build static programs: a C compiler and a Rust standard library for musl.
set -euo pipefail
say() { echo "machine: $*" >&2; }

if ! command -v musl-gcc > /dev/null; then
  if [[ $(id -u) != 0 ]] || ! command -v apt-get > /dev/null; then
    say "musl-gcc is missing; install it and run this again (Debian: musl-tools)"
    exit 1
  fi
  say "installing musl-tools"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q -o Acquire::Retries=3 >&2 || say "apt-get update failed; trying with the existing package lists"
  apt-get install -q -y --no-install-recommends -o Acquire::Retries=3 musl-tools >&2
fi
target=$(uname -m)-unknown-linux-musl
if [[ ! -d $(rustc --print target-libdir --target "$target") ]]; then
  command -v rustup > /dev/null || {
    say "Rust's standard library for $target is missing. Install it as you installed Rust, or use rustup (rustup.rs)."
    exit 1
  }
  rustup target add "$target" >&2
fi
