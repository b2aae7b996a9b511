#!/usr/bin/env bash
# Kills a tuning run with SIGKILL at 20 random moments and resumes it each time: the weights must be those of the
# uninterrupted run, bit for bit, on 1 and on 2 threads. Writes kill_resume.log, which names the commit it covers.
# Usage: kill_resume.sh MODEL [KILLS]     (MODEL: GGUF file or Hugging Face folder; SLLM_BIN: the program)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd); root=$(cd "$here/../.." && pwd)
model=${1:?usage: kill_resume.sh MODEL [KILLS]}; kills=${2:-20}
sllm=${SLLM_BIN:-$root/build/release/sllm}
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
log=$here/kill_resume.log
data=$root/examples/device-control/test.jsonl
tune() {  # threads folder flags...
  local threads=$1 out=$2; shift 2
  "$sllm" tune -m "$model" --data "$data" --out "$out" --steps 40 --batch 4 --save-every 2 --eval-fraction 0.1 \
    --eval-every 10 --weight-decay 0.1 --threads "$threads" -q "$@" >/dev/null
}
weights() { sha256sum <"$1/adapter/adapter_model.safetensors" | cut -c1-64; }

RANDOM=${SEED:-7}
{
  echo "commit $(git -C "$root" rev-parse HEAD), sources src/train src/ops src/models src/cpu src/kernels"
  echo "model $(basename "$model"), $kills kills, 40 steps, a checkpoint every 2"
  for threads in 1 2; do
    begin=$(date +%s%N)
    tune "$threads" "$work/whole-$threads"
    whole=$((($(date +%s%N) - begin) / 1000000))
    done_kills=0
    out=$work/cut-$threads
    while [ "$done_kills" -lt "$kills" ]; do
      # Any moment of the run's length: the start, a step, an evaluation, the writing of a checkpoint.
      wait_ms=$((1 + (RANDOM * 32768 + RANDOM) % whole))
      tune "$threads" "$out" --resume & pid=$!
      sleep "$(printf '%d.%03d' $((wait_ms / 1000)) $((wait_ms % 1000)))"
      if kill -KILL "$pid" 2>/dev/null; then done_kills=$((done_kills + 1)); fi
      wait "$pid" 2>/dev/null || true
      if [ -d "$out/adapter" ]; then  # it came through: it counts, and the next one starts afresh
        [ "$(weights "$out")" = "$(weights "$work/whole-$threads")" ] || { echo "FAIL $threads threads: other weights"; exit 1; }
        rm -rf "$out"
      fi
    done
    tune "$threads" "$out" --resume
    [ "$(weights "$out")" = "$(weights "$work/whole-$threads")" ] || { echo "FAIL $threads threads: other weights"; exit 1; }
    echo "PASS $threads threads: $kills kills, weights $(weights "$out")"
  done
  [ "$(weights "$work/whole-1")" = "$(weights "$work/whole-2")" ] && echo "PASS 1 and 2 threads give the same weights"
} | tee "$log"
