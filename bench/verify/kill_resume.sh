#!/usr/bin/env bash
# Kills a tuning run with SIGKILL at 50 random moments and resumes it each time: the weights must be those of the
# uninterrupted run, bit for bit, on 2 threads; then again with 10 kills on 1 thread, and 10 of one of two ranks under mpirun.
# Each time, so must those of a run that was ended by SIGTERM, of one whose newest checkpoint is damaged, and of one whose
# disk was full; what mpirun began there, one process ends. Writes kill_resume.log, which names the commit it covers, if all
# kills are made. Needs root: the disk that fills is a tmpfs.
# Usage: kill_resume.sh MODEL [KILLS [KILLS_ON_ONE_THREAD [KILLS_OF_RANKS]]]     (MODEL: GGUF file or Hugging Face folder)
#   SLLM_BIN    a program built from this commit; without it, build/release/sllm is built first
#   KILL_STEPS  steps of the run (default 12)
set -euo pipefail
. "$(dirname "$0")/lib.sh"
model=${1:?usage: kill_resume.sh MODEL [KILLS [KILLS_ON_ONE_THREAD]]}
declare -A kills=([2 threads]=${2:-50} [1 thread]=${3:-10} [2 ranks]=${4:-10}); steps=${KILL_STEPS:-12}
sources=(src/{base,ranks,quant,tensor,kernels,ops,cpu,io,text,models,data,train} ':!*_test.cc')
refuse_changes "${sources[@]}"
sllm=${SLLM_BIN:-$project/build/release/sllm}
[ -n "${SLLM_BIN:-}" ] || (cd "$project" && cmake --preset release >/dev/null && cmake --build build/release --target sllm sllm_mpi)
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
[ "$(id -u)" = 0 ] || { echo "error: mounting a disk that fills needs root" >&2; exit 2; }
work=$(mktemp -d); mkdir "$work/disk"
trap 'umount -q "$work/disk" || true; rm -rf "$work"' EXIT
log=$here/kill_resume.log
[ "${kills[2 threads]} ${kills[1 thread]} ${kills[2 ranks]} $steps" = "50 10 10 12" ] || log=/dev/null  # a shorter run shows that the script works, no more

tune() {  # how folder flags...: becomes the program, so that what is killed is the program itself
  local how=$1 out=$2 launcher=(); shift 2
  [ "$how" != "2 ranks" ] || launcher=(mpirun --oversubscribe -n 2)
  local threads=${how%% *}; [ "$how" != "2 ranks" ] || threads=1
  exec "${launcher[@]}" "$sllm" tune -m "$model" --data "$project/examples/device-control/test.jsonl" --out "$out" --steps "$steps" \
    --batch 4 --shards 2 --save-every 2 --eval-fraction 0.03 --eval-every 5 --weight-decay 0.1 --threads "$threads" -q --json "$@" >"$out.json"
}
# The process of a run that a signal goes to: of ranks any one.
process() {
  [ "$how" = "2 ranks" ] || { echo "$1"; return; }
  until pgrep -P "$1" sllm | shuf -n 1 | grep .; do kill -0 "$1" 2>/dev/null || { echo "$1"; return; }; sleep 0.02; done
}
fail() { echo "FAIL $how: $*"; exit 1; }
now_ms() { echo $(($(date +%s%N) / 1000000)); }
newest() {  # step of the newest checkpoint in $out; nothing where there is none
  local step; step=$(find "$out/checkpoints" -maxdepth 1 -name 'step-????????' 2>/dev/null | sed 's/.*step-//' | sort | tail -n 1)
  [ -z "$step" ] || echo $((10#$step))
}
weights() { sha256sum <"$1/adapter/adapter_model.safetensors" | cut -c1-64; }
same_weights() {  # what happened; the run in $out came through
  [ "$(weights "$out")" = "$wanted" ] || fail "other weights after $1"
  local from; from=$(sed -n 's/.*"resumed_from":\(-\?[0-9]*\).*/\1/p' "$out.json")
  [ "$from" = "${last:--1}" ] || fail "resumed from step $from, the newest checkpoint was that of step ${last:--1}"
}

go_on() {  # what happened: resumes, and the step it must go on from is $last
  local after=$how; [ "$how" != "2 ranks" ] || after="1 thread"
  (tune "$after" "$out" --resume) || fail "after $1 the last run ended with $?"
  same_weights "$1"
  echo "PASS $how: the same weights after $1, from step ${last:-0} with $after"
  rm -rf "$out"
}

after_signal() {
  out=$work/ended-$how; status=0
  (tune "$how" "$out") & pid=$!
  until [ -n "$(newest)" ]; do kill -0 "$pid" 2>/dev/null || fail "it came through before it could be ended"; sleep 0.05; done
  kill -TERM "$(process "$pid")"; wait "$pid" || status=$?
  [ "$status" = 143 ] || fail "SIGTERM ended it with $status, expected 143"
  last=$(newest); go_on "SIGTERM"
}

after_damage() {
  out="$work/damaged-$how"
  tune "$how" "$out" & pid=$!
  until [ "$(newest)" -ge 4 ] 2>/dev/null; do kill -0 "$pid" 2>/dev/null || fail "it came through before it could be killed"; sleep 0.05; done
  kill -KILL "$(process "$pid")"; wait "$pid" 2>/dev/null || true
  local folder; folder=$(find "$out/checkpoints" -maxdepth 1 -name 'step-????????' | sort | tail -n 1)
  printf 'damaged' | dd of="$folder/adapter_model.safetensors" bs=1 seek=100000 conv=notrunc status=none
  local damaged; damaged=$(newest); mv "$folder" "$work/aside"; last=$(newest); mv "$work/aside" "$folder"
  [ -n "$last" ] || fail "there is no checkpoint before the damaged one"
  go_on "damage to the checkpoint of step $damaged"
}

after_full_disk() {
  local one; one=$(du -sk "$work/whole-$how/checkpoints" | cut -f1)  # the two or three that a run keeps
  mount -t tmpfs -o "size=$((one * 2 / 3))k" sllm-full "$work/disk"
  out=$work/disk/run; status=0
  (tune "$how" "$out" 2>"$work/said") || status=$?
  [ "$status" = 4 ] || fail "a full disk ended it with $status, expected 4: $(cat "$work/said")"
  find "$out" -name '*.tmp*' | grep -q . && fail "the full disk left $(find "$out" -name '*.tmp*' | head -n 1)"
  mount -o "remount,size=$((one * 4))k" "$work/disk"
  last=$(newest); go_on "a full disk (\"$(grep -m 1 "^sllm:" "$work/said" | sed "s#$work#...#g" | cut -c1-160)\")"
  umount "$work/disk"
}

RANDOM=${SEED:-7}
{
  log_header "${sources[@]}"
  echo "model $(basename "$model"), $steps steps of 4 rows, a checkpoint every 2; program ${SLLM_BIN:+of SLLM_BIN, }sha256 $(sha256sum <"$sllm" | cut -c1-16)"
  for how in "2 threads" "1 thread" "2 ranks"; do
    begin=$(now_ms)
    (tune "$how" "$work/whole-$how") || fail "the uninterrupted run ended with $?"
    whole=$(($(now_ms) - begin)); wanted=$(weights "$work/whole-$how")
    out=$work/cut-$how; made=0; at=""; through=0; last=""
    while [ "$made" -lt "${kills[$how]}" ]; do
      # Any moment of what remains, loading included: the start, a step, an evaluation, the writing of a checkpoint.
      wait_ms=$(((RANDOM * 32768 + RANDOM) % (500 + whole * (steps - ${last:-0}) / steps)))
      tune "$how" "$out" --resume 2>"$work/said" & pid=$!
      target=$(process "$pid")
      sleep "$(printf '%d.%03d' $((wait_ms / 1000)) $((wait_ms % 1000)))"
      kill -KILL "$target" 2>/dev/null || true
      status=0; wait "$pid" 2>/dev/null || status=$?
      case $status in
        137) made=$((made + 1)); last=$(newest); at+=" ${last:-none}" ;;
        0) same_weights "kills with the newest checkpoint at step$at"; through=$((through + 1)); rm -rf "$out"; last=""  # it came through first: no kill; start afresh
           [ "$through" -lt 60 ] || fail "$made kills in $through runs" ;;
        *) fail "a run that was to be killed ended with $status: $(cat "$work/said")" ;;
      esac
    done
    (tune "$how" "$out" --resume) || fail "the last run ended with $?"
    same_weights "kills with the newest checkpoint at step$at"
    echo "PASS $how: $made kills in $((through + 1)) runs, the newest checkpoint at step$at; weights $wanted"
    after_signal; after_damage; after_full_disk
  done
  for how in "1 thread" "2 ranks"; do
    [ "$(weights "$work/whole-$how")" = "$(weights "$work/whole-2 threads")" ] || fail "other weights than with 2 threads"
  done
  echo "PASS 1 and 2 threads and 2 ranks give the same weights"
} | tee "$log"
