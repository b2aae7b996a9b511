#!/usr/bin/env bash
# Runs every libFuzzer target of tests/fuzz under ASan and UBSan. The whole of it writes fuzz.log, which names the commit
# it covers; other seconds or some targets show that the script works, no more.
# Usage: fuzz.sh [SECONDS [TARGET ...]]   (default: 600 seconds each, all targets; needs clang)
#   FUZZ_JOBS      targets at a time (default: the number of cores)
#   FUZZ_COMPILER  default clang++ (15 or newer)
set -euo pipefail
. "$(dirname "$0")/lib.sh"
log=$here/fuzz.log; { [ "${1:-600}" = 600 ] && [ $# -le 1 ]; } || log=/dev/null
seconds=${1:-600}; shift || true
targets=("$@"); [ ${#targets[@]} -gt 0 ] || targets=($(cd "$project/tests/fuzz" && ls ./*_fuzz.cc | sed 's#\./##; s#_fuzz\.cc##'))
compiler=${FUZZ_COMPILER:-clang++}
sources=(src/{base,quant,tensor,io,text,data,ground,eval,project,serve} tests/fuzz ':!*_test.cc')
refuse_changes "${sources[@]}"
cd "$project"
header=$(log_header "${sources[@]}")
cmake --preset fuzz -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_C_COMPILER="${compiler/clang++/clang}" >/dev/null
cmake --build build/fuzz --target $(printf '%s_fuzz ' "${targets[@]}")

one() {  # target: one line of the log
  local target=$1 work=$2 seconds=$3 status=0
  local seeds=(); [ ! -d "tests/fuzz/corpus/$target" ] || seeds=("tests/fuzz/corpus/$target")
  mkdir -p "$work/$target"
  "$(find build/fuzz -name "${target}_fuzz" -type f | head -n 1)" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=4096 -max_len=65536 \
    -artifact_prefix="$work/$target-" "$work/$target" "${seeds[@]}" >"$work/$target.output" 2>&1 || status=$?
  local runs; runs=$(sed -n 's/^Done \([0-9]*\) runs in \([0-9]*\).*/\1 inputs in \2 s/p' "$work/$target.output")
  if [ "$status" = 0 ] && [ -n "$runs" ]; then echo "PASS $target: $runs"
  else echo "FAIL $target: exit $status, $(ls "$work/$target-"* 2>/dev/null | tr '\n' ' ')see $work/$target.output"; fi
}
export -f one
work=$(mktemp -d /var/tmp/fuzz.XXXXXX)
{
  echo "$header"
  echo "$("$compiler" --version | head -n 1), ASan and UBSan, $seconds s each"
  printf '%s\n' "${targets[@]}" | xargs -P "${FUZZ_JOBS:-$(nproc)}" -I{} bash -c 'one "$@"' - {} "$work" "$seconds"
} | tee "$log" "$work/log"
! grep -q '^FAIL' "$work/log"
