#!/usr/bin/env bash
# Fuzzes what reads bytes from outside, on stable Rust.
#
#   fuzz/run.sh check               a fixed number of inputs for each target, at most some seconds: for CI
#   fuzz/run.sh HOURS               all targets in that time together, for example 0.5 or 8; with ONLY='jwks yaml', these
#   fuzz/run.sh repeat TARGET FILE  one input again
#   fuzz/run.sh seeds               writes the signed seeds again, after a change of what keys say
#
# An input may neither panic nor take more than a second or 64 MiB (limits.rs). What was learnt is kept in .cache/fuzz.
set -euo pipefail
cd "$(dirname "$0")/.."
say() { echo "fuzz: $*" >&2; }
usage() { sed -n '3,8s/^#//p' "$0" >&2; exit 2; }

# Of libFuzzer's own; the targets are given the neighbours of each as well.
CHECK_INPUTS=10000
CHECK_SECONDS=5
# The longest input that is tried; keys and key sets may be no longer.
LONGEST=65536
# How often a target goes on after an input that failed.
FAILURES=3

host=$(rustc -vV | sed -n 's/^host: //p')
program=target/$host/fuzz/seatkeeper-fuzz
build() {
  local began=$SECONDS
  RUSTC_WRAPPER=$PWD/fuzz/rustc.sh cargo build --quiet --locked --manifest-path fuzz/Cargo.toml --target-dir target \
    --profile fuzz --target "$host" || {
    say "the targets could not be built. If Cargo.lock has changed, make fuzz/Cargo.lock again:" \
      "cp Cargo.lock fuzz/ && cargo metadata --manifest-path fuzz/Cargo.toml > /dev/null"
    exit 1
  }
  say "built in $((SECONDS - began)) s"
}

# Twice the stack of the operator's threads: code that libFuzzer watches needs more of it.
run() { (ulimit -s 4096 && TARGET=$1 exec "$program" -rss_limit_mb=4096 -timeout=10 "${@:2}"); }

# Runs one target for some seconds. Its log ends up in $out/TARGET, the inputs that failed in .cache/fuzz/found.
fuzz_one() {
  local target=$1 seconds=$2 inputs=$3 until=$((SECONDS + $2)) failed=0
  local corpus=$out/corpus/$target found=.cache/fuzz/found/$target
  [[ $inputs != -1 ]] || corpus=.cache/fuzz/corpus/$target
  mkdir -p "$corpus" "$found"
  until run "$target" -runs="$inputs" -max_total_time="$seconds" -max_len="$LONGEST" -seed="$SEED" \
    -artifact_prefix="$found/" "$corpus" "fuzz/seeds/$target" >> "$out/$target" 2>&1; do
    failed=$((failed + 1))
    seconds=$((until - SECONDS))
    ((failed < FAILURES && seconds > 1 && inputs == -1)) || break
  done
}

# Prints what the targets did; fails if an input failed.
report() {
  cat "$@" | awk '
    /^fuzzed: / { name = $2; inputs[name] += $3; all += $3
      if ($6 + 0 > slowest[name]) slowest[name] = $6 + 0
      if ($9 + 0 > largest[name]) largest[name] = $9 + 0 }
    END { for (name in inputs) {
        printf "fuzz: %-14s %12d inputs, slowest %8.1f ms, largest %9.1f KiB\n",
          name, inputs[name], slowest[name] / 1000, largest[name] / 1024 | "sort"
        if (slowest[name] > slow) slow = slowest[name]
        if (largest[name] > large) large = largest[name] }
      close("sort")
      printf "fuzz: in all %d inputs, slowest %.1f ms, largest %.2f MiB\n", all, slow / 1000, large / 1048576 }'
  local log bad=0 file
  for log in "$@"; do
    file=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
    [[ -n $file ]] || grep -q '^fuzzed: ' "$log" || file=none
    [[ -n $file ]] || continue
    bad=$((bad + 1))
    if [[ $file == none ]]; then
      tail -n 8 "$log" | cut -c 1-400
      say "FAILED: ${log##*/} ended without a word, see above"
    else
      { grep -hE -A 3 'panicked at|^==[0-9]+== ERROR' "$log" || true; } | tail -n 8 | cut -c 1-400
      say "FAILED: ${log##*/}; repeat it with: fuzz/run.sh repeat ${log##*/} $file"
    fi
  done
  ((bad == 0)) || { say "$bad targets failed"; return 1; }
}

mapfile -t targets < <(find fuzz/targets -name '*.rs' ! -name mod.rs ! -name shared.rs -printf '%f\n' | sed 's/\.rs$//' | sort)
[[ -z ${ONLY:-} ]] || read -ra targets <<< "$ONLY"
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
# A run that is repeated takes other ways, unless SEED is given.
SEED=${SEED:-0}

case ${1:-} in
  check) seconds=$CHECK_SECONDS inputs=$CHECK_INPUTS SEED=1 ;;
  seeds) build; SEEDS=fuzz/seeds "$program"; exit ;;
  repeat) [[ $# == 3 ]] || usage; build; run "$2" "$3"; exit ;;
  *[!0-9.]* | '' | .) usage ;;
  *) inputs=-1
    seconds=$(awk -v hours="$1" -v jobs="$(nproc)" -v targets=${#targets[@]} \
      'BEGIN { printf "%d", hours * 3600 * jobs / targets + 1 }') ;;
esac

build
say "${#targets[@]} targets, $(nproc) at a time, at most $seconds s each"
logs=()
for target in "${targets[@]}"; do
  while (($(jobs -rp | wc -l) >= $(nproc))); do wait -n || true; done
  fuzz_one "$target" "$seconds" "$inputs" &
  logs+=("$out/$target")
done
wait
report "${logs[@]}"
