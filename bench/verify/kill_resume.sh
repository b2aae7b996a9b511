#!/usr/bin/env bash
# Kills a tuning run with SIGKILL at 20 random moments and resumes it each time: the weights must be those of the
# uninterrupted run, bit for bit, on 2 threads; then again with 5 kills on 1. Writes kill_resume.log, which names the
# commit it covers, if all kills are made.
# Usage: kill_resume.sh MODEL [KILLS [KILLS_ON_ONE_THREAD]]     (MODEL: GGUF file or Hugging Face folder)
#   SLLM_BIN    a program built from this commit; without it, build/release/sllm is built first
#   KILL_STEPS  steps of the run (default 12)
set -euo pipefail
. "$(dirname "$0")/lib.sh"
model=${1:?usage: kill_resume.sh MODEL [KILLS [KILLS_ON_ONE_THREAD]]}
kills=([2]=${2:-20} [1]=${3:-5}); steps=${KILL_STEPS:-12}
sources=(src/{base,quant,tensor,kernels,ops,cpu,io,text,models,data,train} ':!*_test.cc')
refuse_changes "${sources[@]}"
sllm=${SLLM_BIN:-$project/build/release/sllm}
[ -n "${SLLM_BIN:-}" ] || (cd "$project" && cmake --preset release >/dev/null && cmake --build build/release --target sllm)
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
log=$here/kill_resume.log
[ "${kills[2]} ${kills[1]} $steps" = "20 5 12" ] || log=/dev/null  # a shorter run shows that the script works, no more

tune() {  # threads folder flags...: becomes the program, so that what is killed is the program itself
  local threads=$1 out=$2; shift 2
  exec "$sllm" tune -m "$model" --data "$project/examples/device-control/test.jsonl" --out "$out" --steps "$steps" --batch 4 \
    --save-every 2 --eval-fraction 0.03 --eval-every 5 --weight-decay 0.1 --threads "$threads" -q --json "$@" >"$out.json"
}
fail() { echo "FAIL $threads threads: $*"; exit 1; }
now_ms() { echo $(($(date +%s%N) / 1000000)); }
newest() {  # step of the newest checkpoint in $out; nothing where there is none
  local step; step=$(find "$out/checkpoints" -maxdepth 1 -name 'step-????????' 2>/dev/null | sed 's/.*step-//' | sort | tail -n 1)
  [ -z "$step" ] || echo $((10#$step))
}
weights() { sha256sum <"$1/adapter/adapter_model.safetensors" | cut -c1-64; }
same_weights() {  # the run in $out came through
  [ "$(weights "$out")" = "$wanted" ] || fail "other weights after kills with the newest checkpoint at step$at"
  local from; from=$(sed -n 's/.*"resumed_from":\(-\?[0-9]*\).*/\1/p' "$out.json")
  [ "$from" = "${last:--1}" ] || fail "resumed from step $from, the newest checkpoint was that of step ${last:--1}"
}

RANDOM=${SEED:-7}
{
  log_header "${sources[@]}"
  echo "model $(basename "$model"), $steps steps of 4 rows, a checkpoint every 2; program ${SLLM_BIN:+of SLLM_BIN, }sha256 $(sha256sum <"$sllm" | cut -c1-16)"
  for threads in 2 1; do
    begin=$(now_ms)
    (tune "$threads" "$work/whole-$threads") || fail "the uninterrupted run ended with $?"
    whole=$(($(now_ms) - begin)); wanted=$(weights "$work/whole-$threads")
    out=$work/cut-$threads; made=0; at=""; through=0; last=""
    while [ "$made" -lt "${kills[threads]}" ]; do
      # Any moment of what remains, loading included: the start, a step, an evaluation, the writing of a checkpoint.
      wait_ms=$(((RANDOM * 32768 + RANDOM) % (500 + whole * (steps - ${last:-0}) / steps)))
      tune "$threads" "$out" --resume & pid=$!
      sleep "$(printf '%d.%03d' $((wait_ms / 1000)) $((wait_ms % 1000)))"
      kill -KILL "$pid" 2>/dev/null || true
      status=0; wait "$pid" 2>/dev/null || status=$?
      case $status in
        137) made=$((made + 1)); last=$(newest); at+=" ${last:-none}" ;;
        0) same_weights; through=$((through + 1)); rm -rf "$out"; last=""  # it came through first: no kill; start afresh
           [ "$through" -lt 60 ] || fail "$made kills in $through runs" ;;
        *) fail "a run that was to be killed ended with $status" ;;
      esac
    done
    (tune "$threads" "$out" --resume) || fail "the last run ended with $?"
    same_weights
    echo "PASS $threads threads: $made kills in $((through + 1)) runs, the newest checkpoint at step$at; weights $wanted"
  done
  [ "$(weights "$work/whole-1")" = "$(weights "$work/whole-2")" ] || fail "other weights than on 2"
  echo "PASS 1 and 2 threads give the same weights"
} | tee "$log"
