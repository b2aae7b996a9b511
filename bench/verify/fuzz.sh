#!/usr/bin/env bash
# Runs the libFuzzer targets of tests/fuzz under ASan and UBSan. The whole of a folder's targets writes fuzz_FOLDER.log,
# which names the commit it covers; other seconds or some targets of a folder show that the script works, no more.
# Usage: fuzz.sh [SECONDS [FOLDER | TARGET ...]]   (default: 600 seconds each, all targets; needs clang)
#   FUZZ_JOBS      targets at a time (default: the number of cores)
#   FUZZ_COMPILER  default clang++ (15 or newer)
set -euo pipefail
. "$(dirname "$0")/lib.sh"
seconds=${1:-600}; shift || true
compiler=${FUZZ_COMPILER:-clang++}
# What the parsers of a folder stand on, itself among them.
readers="base quant tensor io"
declare -A stands_on=([io]=$readers [models]="$readers ops models" [hub]="$readers net hub" [text]="$readers text" [grammar]="$readers text grammar" [tools]="$readers text grammar tools"
  [data]="$readers text data" [eval]="$readers text data eval" [ground]="$readers text data ground"
  [project]="$readers text data eval ground train project" [serve]="$readers text grammar tools ground serve")
declare -A folder_of; declare -A targets_of
while read -r target folder; do
  folder_of[$target]=$folder; targets_of[$folder]+=" $target"
done < <(sed -n 's/^sllm_fuzz(\(\w*\) sllm_\(\w*\))$/\1 \2/p' "$project/tests/fuzz/CMakeLists.txt")
sources_of() { local f; for f in ${stands_on[$1]}; do echo "src/$f"; done; for f in ${targets_of[$1]}; do echo "tests/fuzz/${f}_fuzz.cc"; done; echo ':!*_test.cc'; }

asked=("$@"); [ ${#asked[@]} -gt 0 ] || asked=("${!targets_of[@]}")
targets=()
for name in "${asked[@]}"; do
  if [ -n "${targets_of[$name]:-}" ]; then read -ra more <<<"${targets_of[$name]}"; targets+=("${more[@]}")
  elif [ -n "${folder_of[$name]:-}" ]; then targets+=("$name")
  else echo "error: $name is neither a target nor a folder with targets; expected one of ${!targets_of[*]} ${!folder_of[*]}" >&2; exit 2; fi
done
for folder in "${!targets_of[@]}"; do refuse_changes $(sources_of "$folder"); done
cd "$project"
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
declare -A header
for folder in "${!targets_of[@]}"; do header[$folder]=$(log_header $(sources_of "$folder")); done
clang="$("$compiler" --version | head -n 1), ASan and UBSan, $seconds s each"
echo "$clang"
printf '%s\n' "${targets[@]}" | xargs -P "${FUZZ_JOBS:-$(nproc)}" -I{} bash -c 'one "$@"' - {} "$work" "$seconds" | tee "$work/lines"
for folder in "${!targets_of[@]}"; do
  lines=$(for t in ${targets_of[$folder]}; do grep -E "^(PASS|FAIL) $t: " "$work/lines" || echo absent; done)
  [ "$seconds" = 600 ] && ! grep -q '^absent' <<<"$lines" || continue  # not the whole of it
  printf '%s\n' "${header[$folder]}" "$clang" "$lines" >"$here/fuzz_$folder.log"
done
! grep -q '^FAIL' "$work/lines"
