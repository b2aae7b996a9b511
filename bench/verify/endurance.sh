#!/usr/bin/env bash
# Keeps a server under 64 clients of every kind (endurance.py) for half an hour, then one built with ThreadSanitizer for 5
# minutes, where only what it reports counts. Writes endurance.log, which names the commit it covers, if it is not cut short.
# Usage: endurance.sh MODEL [--minutes N] [--tsan-minutes N]     (MODEL: SmolLM2-135M as a GGUF file; 0 minutes: leave it out)
#   SLLM_BIN    a program built from this commit; without it, build/release/sllm is built first
set -euo pipefail
. "$(dirname "$0")/lib.sh"
usage="usage: endurance.sh MODEL [--minutes N] [--tsan-minutes N]"
model=${1:?$usage}; shift
minutes=30; tsan_minutes=5
while [ $# -gt 0 ]; do
  case $1 in
    --minutes) minutes=${2:?$usage} ;;
    --tsan-minutes) tsan_minutes=${2:?$usage} ;;
    *) echo "$usage" >&2; exit 2 ;;
  esac
  shift 2
done
sources=(src/{base,cpu,grammar,infer,io,kernels,models,ops,quant,serve,tensor,text,tools} bench/verify/endurance{,_requests}.py bench/verify/endurance.sh
  ':!*_test.cc')
refuse_changes "${sources[@]}"
sllm=${SLLM_BIN:-$project/build/release/sllm}
[ -n "${SLLM_BIN:-}" ] || (cd "$project" && cmake --preset release >/dev/null && cmake --build build/release --target sllm)
log=$here/endurance.log
[ "$minutes $tsan_minutes" = "30 5" ] || log=/dev/null  # a shorter run shows that the script works, no more
reports=$(mktemp -d); trap 'rm -rf "$reports"' EXIT

under_tsan() {
  (cd "$project" && cmake --preset tsan >/dev/null && cmake --build build/tsan --target sllm) >&2 || { echo "FAIL it was not built"; return 1; }
  echo "under ThreadSanitizer, $tsan_minutes minutes:"
  # Without random addresses, for its runtime does not know the memory maps of newer kernels.
  TSAN_OPTIONS="log_path=$reports/tsan exitcode=0" setarch -R python3 "$here/endurance.py" "$project/build/tsan/sllm" "$model" \
    --minutes "$tsan_minutes" --judge no || { echo "FAIL the clients did not come to their end"; return 1; }
  [ -z "$(ls "$reports")" ] || { echo "FAIL ThreadSanitizer reports:"; head -n 60 "$reports"/*; return 1; }
  echo "PASS ThreadSanitizer reports nothing"
}

{
  log_header "${sources[@]}"
  echo "model $(basename "$model"), program ${SLLM_BIN:+of SLLM_BIN, }sha256 $(sha256sum <"$sllm" | cut -c1-16), $minutes minutes"
  status=0
  [ "$minutes" = 0 ] || python3 "$here/endurance.py" "$sllm" "$model" --minutes "$minutes" || status=1
  [ "$tsan_minutes" = 0 ] || under_tsan || status=1
  exit "$status"
} | tee "$log"
