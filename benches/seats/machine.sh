#!/usr/bin/env bash
# Installs the peers of `make bench-seats` if they are missing: Debian's Redis and PostgreSQL. Their services are not
# started: the benchmark starts and ends its own servers, on its own ports and in its own folders.
set -euo pipefail
say() { echo "machine: $*" >&2; }

packages=()
command -v redis-server > /dev/null || packages+=(redis-server)
compgen -G '/usr/lib/postgresql/*/bin/initdb' > /dev/null || packages+=(postgresql)
((${#packages[@]} > 0)) || exit 0
if [[ $(id -u) != 0 ]] || ! command -v apt-get > /dev/null; then
  say "missing; install them and run this again (names of the Debian packages): ${packages[*]}"
  exit 1
fi
say "installing ${packages[*]}"
# Status 101 forbids every start of a service while packages are installed.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' > "$policy"
  chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
# Do not create a cluster that would start with the machine.
if [[ " ${packages[*]} " == *" postgresql "* && ! -e /etc/postgresql-common/createcluster.conf ]]; then
  mkdir -p /etc/postgresql-common
  echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf
fi
apt-get update -q -o Acquire::Retries=3 >&2 || say "apt-get update failed; trying with the existing package lists"
apt-get install -q -y --no-install-recommends -o Acquire::Retries=3 "${packages[@]}" >&2
