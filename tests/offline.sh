#!/usr/bin/env bash
# Runs test programs in parallel, the long ones first, and prints the result of each when it ends: `offline.sh
# PROGRAM…`. Most of them wait for timers, disks and processes, so more of them than there are cores run at a time.
set -euo pipefail
side_by_side=3
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
# The name and the program of each, in the order in which they start.
longest_first() {
  local long=(embedded seats storage seat_protocol simulation up domain cli)
  for name in "${long[@]}"; do printf '%s\n' "$@" | grep -E "/$name-[0-9a-f]+\$" || true; done
  printf '%s\n' "$@" | grep -vE "/($(IFS='|'; echo "${long[*]}"))-[0-9a-f]+\$" || true
}
one() {
  local log="$1/$(basename "$2")" began=$SECONDS
  if "$2" > "$log" 2>&1 < /dev/null; then
    printf '%-36s %s (%s s)\n' "$(basename "${2%-*}")" "$(grep -E '^test result' "$log" | tail -n 1)" "$((SECONDS - began))"
  else
    cat "$log"
    printf '%-36s FAILED\n' "$(basename "${2%-*}")"
    return 1
  fi
}
export -f one
longest_first "$@" | xargs -P "$side_by_side" -I '{}' bash -c 'one "$0" "$1"' "$out" '{}'
