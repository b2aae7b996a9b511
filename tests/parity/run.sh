#!/usr/bin/env bash
# Compares sllm with the programs people use today: transformers, PEFT, jinja2, tokenizers,
# lm-evaluation-harness, llama.cpp, the openai client. Installs them (setup.sh); what cannot be had is
# skipped with a sentence.
# Usage: run.sh            the comparisons of default.txt, which fit into a continuous check
#        run.sh all        every comparison
#        run.sh name ...   tests/parity/name.py
#   PARITY_TIMEOUT  seconds for each (default 2400: logits and lm_eval_scores take long)
#   PARITY_QUICK=1  logits on the smaller model alone, tune with 5 steps, fewer tokenizers
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd); root=$(cd "$here/../.." && pwd)
. "$here/setup.sh"
all=($(cd "$here" && ls ./*.py | sed 's#\./##; s#\.py$##'))
names=("$@")
[ ${#names[@]} -gt 0 ] || names=($(sed 's/#.*//' "$here/default.txt"))
[ "${names[*]}" != all ] || names=("${all[@]}")
passed=0; failed=0; skipped=0; left_out=$(mktemp)
for name in "${names[@]}"; do
  log=$(mktemp); begin=$SECONDS
  printf '\n== parity: %s\n' "$name"
  timeout -k 20 "${PARITY_TIMEOUT:-2400}" "$PARITY_PYTHON" "$here/$name.py" 2>"$log.err" | tee "$log"
  status=${PIPESTATUS[0]}
  if [ "$status" -ne 0 ] || grep -q "^FAIL" "$log"; then
    failed=$((failed + 1)); tail -n 15 "$log.err"; echo "FAIL $name (exit $status, $((SECONDS - begin)) s)"
  elif grep -q '^PASS' "$log"; then passed=$((passed + 1)); echo "ok $name ($((SECONDS - begin)) s)"
  elif grep -q '^SKIP' "$log"; then skipped=$((skipped + 1))
  else failed=$((failed + 1)); echo "FAIL $name: it compared nothing and did not say why"; fi
  sed -n 's/^SKIP /  /p' "$log" >>"$left_out"
  rm -f "$log" "$log.err"
done
for name in "${all[@]}"; do
  [[ " ${names[*]} " == *" $name "* ]] || echo "  $name: not asked for (run.sh all)" >>"$left_out"
done
[ ! -s "$left_out" ] || { printf '\nLeft out:\n'; cat "$left_out"; }
rm -f "$left_out"
printf '\n%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ]
