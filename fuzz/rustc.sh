#!/usr/bin/env bash
# Cargo calls the compiler through this script. It adds what libFuzzer has to know of a run, which edges of the code were
# reached and what was compared, to the crates that read what others wrote. On all crates it would cost most of the speed.
set -euo pipefail
crate='' for_target=''
for ((n = 1; n <= $#; n++)); do
  next=$((n + 1))
  case ${!n} in
    --crate-name) crate=${!next} ;;
    # What build scripts and macros are made of runs without libFuzzer.
    --target | --target=*) for_target=yes ;;
  esac
done
case $for_target$crate in
  yesseatkeeper | yesseatkeeper_*) ;;
  yesserde_json | yesserde_saphyr | yesgranit_parser | yesbase64 | yesprost | yesform_urlencoded | yespercent_encoding) ;;
  yespem_rfc7468 | yesbase64ct | yespkcs8 | yesder | yesed25519 | yesrustls_pki_types | yeswebpki) ;;
  *) exec "$@" ;;
esac
exec "$@" -C passes=sancov-module \
  -C llvm-args=-sanitizer-coverage-level=3 \
  -C llvm-args=-sanitizer-coverage-inline-8bit-counters \
  -C llvm-args=-sanitizer-coverage-pc-table \
  -C llvm-args=-sanitizer-coverage-trace-compares
