#!/usr/bin/env bash
# Sends 20,000 generated requests, good and bad, that schemathesis makes from docs/openapi.yaml to a server: no 5xx, no status
# and no body of another shape than the file says, and nothing taken that the file does not allow. Writes openapi.log, which
# names the commit it covers, if it is not cut short.
# Usage: openapi.sh MODEL [CASES_OF_A_ROUTE]     (MODEL: a small model, as SmolLM2-135M; 2,000 cases of each route with input)
#   SLLM_BIN    a program built from this commit; without it, build/release/sllm is built first
set -euo pipefail
. "$(dirname "$0")/lib.sh"
model=${1:?usage: openapi.sh MODEL [CASES_OF_A_ROUTE]}; cases=${2:-2000}
sources=(src/{grammar,infer,serve,text,tools} docs/openapi.yaml bench/verify/openapi.sh bench/verify/openapi_hooks.py ':!*_test.cc')
refuse_changes "${sources[@]}"
sllm=${SLLM_BIN:-$project/build/release/sllm}
[ -n "${SLLM_BIN:-}" ] || (cd "$project" && cmake --preset release >/dev/null && cmake --build build/release --target sllm)
venv=$project/build/verify/schemathesis
[ -x "$venv/bin/schemathesis" ] || { python3 -m venv "$venv" && "$venv/bin/pip" install -q schemathesis==4.32.5; }
undescribed=$(comm -23 <(sed -n 's/.*{verb::[a-z]*, "\([^"]*\)".*/\1/p' "$project/src/serve/endpoints.cc" | sed 's/\*$/{id}/; /^\/\(app\|icon\)\./d' | sort) \
  <(sed -n 's#^  \(/.*\):$#\1#p' "$project/docs/openapi.yaml" | sort))
[ -z "$undescribed" ] || { echo "error: docs/openapi.yaml does not tell of" $undescribed >&2; exit 1; }
work=$(mktemp -d); server=""; trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
log=$here/openapi.log; [ "$cases" = 2000 ] || log=/dev/null  # a shorter run shows that the script works, no more
# A short context ends every answer soon, whatever number of tokens a request asks for.
"$sllm" serve -m "$model" --name default --port 0 --context 128 --api-key sk-openapi --json >"$work/about" & server=$!
until url=$(sed -n 's/.*"url": *"\([^"]*\)".*/\1/p' "$work/about") && [ -n "$url" ]; do kill -0 "$server" || exit 1; sleep 0.1; done
checks=not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,negative_data_rejection,unsupported_method,allow_header_conformance
{
  log_header "${sources[@]}"
  echo "model $(basename "$model"), program ${SLLM_BIN:+of SLLM_BIN, }sha256 $(sha256sum <"$sllm" | cut -c1-16), $("$venv/bin/schemathesis" --version)"
  begin=$(date +%s); status=0
  # A full queue is no fault: 429 is declared, and the next request comes.
  (cd "$work" && PYTHONPATH=$here SCHEMATHESIS_HOOKS=openapi_hooks "$venv/bin/schemathesis" --no-color run "$project/docs/openapi.yaml" --url "$url" \
    -H "Authorization: Bearer sk-openapi" --phases examples,coverage,fuzzing --max-examples "$cases" --seed 1 --workers 4 --continue-on-failure \
    --generation-database none --no-shrink --suppress-health-check all --request-timeout 120 --checks "$checks") || status=$?
  seconds=$(($(date +%s) - begin))
  kill -0 "$server" 2>/dev/null || { echo "FAIL the server did not live through it"; exit 1; }
  [ "$status" = 0 ] || { echo "FAIL schemathesis ended with $status"; exit 1; }
  # Counted by the server: all answers, and those that did what was asked.
  counts=$(curl -sS -H "Authorization: Bearer sk-openapi" "$url/metrics" | awk '/^sllm_http_responses_total/ { all += $2; if (/status="200"/) done += $2 } END { print all, done + 0 }')
  [ "${counts% *}" -ge $((10 * cases)) ] || { echo "FAIL ${counts% *} requests, expected at least $((10 * cases))"; exit 1; }
  echo "PASS ${counts% *} requests in $seconds s, ${counts#* } of them done and the others refused, every answer as docs/openapi.yaml says"
} | tee "$log"
