#!/usr/bin/env bash
# Sends 20,000 generated requests, good and bad, that schemathesis makes from docs/openapi.yaml to a server: no status that is
# not declared, no 5xx, no body of another shape. Writes openapi.log, which names the commit it covers, if it is not cut short.
# Usage: openapi.sh MODEL [CASES_OF_A_ROUTE]     (MODEL: a small model, as SmolLM2-135M; 2,000 cases for each of ten routes)
#   SLLM_BIN    a program built from this commit; without it, build/release/sllm is built first
set -euo pipefail
. "$(dirname "$0")/lib.sh"
model=${1:?usage: openapi.sh MODEL [CASES_OF_A_ROUTE]}; cases=${2:-2000}
sources=(src/{grammar,infer,serve,text,tools} docs/openapi.yaml bench/verify/openapi.sh ':!*_test.cc')
refuse_changes "${sources[@]}"
sllm=${SLLM_BIN:-$project/build/release/sllm}
[ -n "${SLLM_BIN:-}" ] || (cd "$project" && cmake --preset release >/dev/null && cmake --build build/release --target sllm)
venv=$project/build/verify/schemathesis
[ -x "$venv/bin/schemathesis" ] || { python3 -m venv "$venv" && "$venv/bin/pip" install -q schemathesis==4.32.5; }
work=$(mktemp -d); trap 'kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
log=$here/openapi.log; [ "$cases" = 2000 ] || log=/dev/null  # a shorter run shows that the script works, no more
# A short context ends every answer soon, whatever number of tokens a request asks for.
"$sllm" serve -m "$model" --name default --port 0 --context 128 --api-key sk-openapi --json >"$work/about" & server=$!
until url=$(sed -n 's/.*"url": *"\([^"]*\)".*/\1/p' "$work/about") && [ -n "$url" ]; do kill -0 "$server" || exit 1; sleep 0.1; done
{
  log_header "${sources[@]}"
  status=0
  (cd "$work" && "$venv/bin/schemathesis" --no-color run "$project/docs/openapi.yaml" --url "$url" -H "Authorization: Bearer sk-openapi" \
    --phases coverage,fuzzing --max-examples "$cases" --seed 1 --workers 4 --continue-on-failure --generation-database none --no-shrink \
    --request-timeout 120 --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance) || status=$?
  kill -0 "$server" 2>/dev/null || { echo "FAIL the server did not live through it"; exit 1; }
  [ "$status" = 0 ] || { echo "FAIL schemathesis ended with $status"; exit 1; }
  echo "PASS every answer was as docs/openapi.yaml says"
} | tee "$log"
