#!/usr/bin/env bash
# Keeps a server under 64 clients of every kind (endurance.py) for half an hour, then one built with ThreadSanitizer for 5
# minutes, where only what it reports counts. Writes endurance.log, which names the commit it covers, if it is not cut short.
# Usage: endurance.sh MODEL [MINUTES [MINUTES_UNDER_TSAN]]     (MODEL: SmolLM2-135M as a GGUF file; 0 minutes: leave it out)
#   SLLM_BIN    a program built from this commit; without it, build/release/sllm is built first
set -euo pipefail
. "$(dirname "$0")/lib.sh"
model=${1:?usage: endurance.sh MODEL [MINUTES [MINUTES_UNDER_TSAN]]}; minutes=${2:-30}; under_tsan=${3:-5}
sources=(src/{base,cpu,grammar,infer,io,kernels,models,ops,quant,serve,tensor,text,tools} bench/verify/endurance.{py,sh} ':!*_test.cc')
refuse_changes "${sources[@]}"
sllm=${SLLM_BIN:-$project/build/release/sllm}
[ -n "${SLLM_BIN:-}" ] || (cd "$project" && cmake --preset release >/dev/null && cmake --build build/release --target sllm)
log=$here/endurance.log
[ "$minutes $under_tsan" = "30 5" ] || log=/dev/null  # a shorter run shows that the script works, no more
{
  log_header "${sources[@]}"
  [ "$minutes" = 0 ] || python3 "$here/endurance.py" "$sllm" "$model" --minutes "$minutes"
  if [ "$under_tsan" != 0 ]; then
    (cd "$project" && cmake --preset tsan >/dev/null && cmake --build build/tsan --target sllm) >&2
    reports=$(mktemp -d); trap 'rm -rf "$reports"' EXIT
    echo "under ThreadSanitizer:"
    TSAN_OPTIONS="log_path=$reports/tsan exitcode=0" python3 "$here/endurance.py" "$project/build/tsan/sllm" "$model" --minutes "$under_tsan" --judge-times no
    [ -z "$(ls "$reports")" ] || { echo "FAIL ThreadSanitizer reports:"; head -n 60 "$reports"/*; exit 1; }
    echo "PASS ThreadSanitizer reports nothing"
  fi
} | tee "$log"
