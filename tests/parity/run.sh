#!/usr/bin/env bash
# Compares sllm with the programs people use today: transformers, PEFT, jinja2, tokenizers,
# lm-evaluation-harness, llama.cpp, the openai client. Installs them (setup.sh); what cannot be had is
# skipped with a sentence.
# Usage: run.sh            the comparisons of default.txt, which fit into a continuous check
#        run.sh all        every comparison
#        run.sh name ...   tests/parity/name.py
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd); root=$(cd "$here/../.." && pwd)
. "$here/setup.sh"
names=("$@")
[ ${#names[@]} -gt 0 ] || names=($(sed 's/#.*//' "$here/default.txt"))
[ "${names[*]}" != all ] || names=($(cd "$here" && ls ./*.py | sed 's#\./##; s#\.py$##'))
passed=0; failed=0; skipped=0
for name in "${names[@]}"; do
  log=$(mktemp); begin=$SECONDS
  printf '\n== parity: %s\n' "$name"
  timeout "${PARITY_TIMEOUT:-1200}" "$PARITY_PYTHON" "$here/$name.py" 2>"$log.err" | tee "$log"
  status=${PIPESTATUS[0]}
  if [ "$status" -ne 0 ]; then
    failed=$((failed + 1)); tail -n 15 "$log.err"; echo "FAIL $name (exit $status, $((SECONDS - begin)) s)"
  elif grep -q '^PASS' "$log"; then passed=$((passed + 1)); echo "ok $name ($((SECONDS - begin)) s)"
  else skipped=$((skipped + 1)); fi
  rm -f "$log" "$log.err"
done
printf '\n%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ]
