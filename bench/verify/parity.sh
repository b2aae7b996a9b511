#!/usr/bin/env bash
# Makes a comparison with the peer in full, as tests/parity/run.sh does, and writes parity_NAME.log, which names the
# commit it covers, if it passes and nothing is left out.
# Usage: parity.sh NAME ...     logits tune preference distillation perplexity quantize imatrix lm_eval_scores kld_types gate
#   SLLM_BIN   a program built from this commit; without it, build/release/sllm is built first
#   and what tests/parity/setup.sh reads (SLLM_SHARED, SLLM_MODELS, LLAMA_BIN, PARITY_PYTHON)
set -euo pipefail
. "$(dirname "$0")/lib.sh"
[ $# -gt 0 ] || { echo "usage: parity.sh NAME ... (logits tune preference distillation perplexity quantize imatrix lm_eval_scores kld_types gate)" >&2; exit 2; }
[ -n "${SLLM_BIN:-}" ] || (cd "$project" && cmake --preset release >/dev/null && cmake --build build/release --target sllm)
export SLLM_BIN=${SLLM_BIN:-$project/build/release/sllm}
declare -A also=([logits]="" [tune]="src/data src/train" [preference]="src/data src/train" [distillation]="src/data src/train" [perplexity]="src/eval" [quantize]="src/compress src/eval" [imatrix]="src/compress src/eval" [lm_eval_scores]="src/eval" [kld_types]="src/eval" [gate]="src/compress src/eval src/serve src/data")
failed=0
for name in "$@"; do
  [ -n "${also[$name]+known}" ] || { echo "error: $name is not a comparison that needs a log; expected one of ${!also[*]}" >&2; exit 2; }
  read -ra more <<<"${also[$name]}"
  sources=(src/{base,quant,tensor,kernels,ops,cpu,io,models,infer} "${more[@]}" "tests/parity/$name.py" ':!*_test.cc')
  [ "$name" = kld_types ] || sources+=(src/text)  # the tokens come from llama.cpp's record
  refuse_changes "${sources[@]}"
  log=$here/parity_$name.log
  {
    log_header "${sources[@]}"
    echo "program sha256 $(sha256sum <"$SLLM_BIN" | cut -c1-16)"
    PARITY_TIMEOUT=${PARITY_TIMEOUT:-10800} bash "$project/tests/parity/run.sh" "$name" || true
  } 2>&1 | sed -u '/^Left out:/,/^$/d' | tee "$log.part"
  if grep -q '^PASS' "$log.part" && ! grep -Eq '^(FAIL|SKIP)' "$log.part"; then mv "$log.part" "$log"
  else echo "FAIL $name: no log is written"; rm -f "$log.part"; failed=1; fi
done
exit "$failed"
