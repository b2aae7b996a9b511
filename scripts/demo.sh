#!/usr/bin/env bash
# The main job on the default model, on a bare Debian 12 or 13: installs packages, builds, then takes
# examples/device-control from its purpose file to a served model, asks one question about the user
# guide and gets it answered with its source, and asks the server through its API. Can be run again:
# finished stages are not repeated.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
install_packages
build sllm
sllm=$root/build/release/sllm
model=smollm2-135m-instruct
project=$root/examples/device-control
cd "$root"

say "1 Purpose: $project/sllm.toml"
sed -n '2,/^\[base\]/p' "$project/sllm.toml" | sed '$d'

say "2 Build: the base model and the reference it is compared with"
"$sllm" pull "$model"
"$sllm" pull qwen2.5-coder-0.5b

say "2-4 Build, evaluate, deploy: sllm run"
status=0
"$sllm" run -p "$project" || status=$?
[ "$status" = 0 ] || fail "the run ended with code $status; the report says why: $project/runs/latest/report.html"

say "4 Deploy: a question about the user guide, answered with its source"
"$sllm" index "$root/docs/guide" --out "$root/build/guide.index"
"$sllm" ask -m qwen2.5-coder-0.5b --index "$root/build/guide.index" --json "What is the default port of the server?" |
  python3 -c '
import json, sys
answer = json.load(sys.stdin)
print(answer["answer"])
for c in answer["citations"]:
    print("\n[{number}] {document} > {heading}\n{text}".format(**c))
if not (answer["known"] and answer["citations"] and "8080" in answer["answer"]):
    sys.exit("expected 8080 with its source, got: " + json.dumps(answer))' || fail "the question was not answered from the guide"

say "4 Deploy: a server, asked through its API"
tuned=$project/runs/latest/model.gguf
log=$(mktemp)
"$sllm" serve -m "$tuned" --name device-control --port 0 --json >"$log" 2>"$log.err" &
server=$!
trap 'kill $server 2>/dev/null || true' EXIT
for _ in $(seq 100); do grep -q '"url"' "$log" && break; kill -0 $server 2>/dev/null || { cat "$log.err"; fail "the server did not start"; }; sleep 0.2; done
address=$(sed -E 's/.*"url": ?"([^"]+)".*/\1/' "$log")
order() {  # command action: the served model must turn the command into this action
  printf '%s\n  -> ' "$1"
  curl -sS --fail "$address/v1/chat/completions" -H 'Content-Type: application/json' -d "{\"model\":\"device-control\",\"temperature\":0,\"messages\":[{\"role\":\"system\",\"content\":\"Turn the command into one JSON device action.\"},{\"role\":\"user\",\"content\":\"$1\"}]}" |
    python3 -c '
import json, sys
text = json.load(sys.stdin)["choices"][0]["message"]["content"]
print(text)
try:
    same = json.loads(text) == json.loads(sys.argv[1])
except ValueError:
    same = False
if not same:
    sys.exit("expected " + sys.argv[1])' "$2" || fail "the served model gave another action"
}
order "get the kitchen light on for me" '{"device": "light", "place": "kitchen", "action": "on"}'
order "거실 온도는 24도로 부탁해" '{"device": "thermostat", "place": "living_room", "action": "set", "value": 24}'
kill -TERM $server; wait $server || true
trap - EXIT
say "Done. The report: $project/runs/latest/report.html"
say "Talk to it: build/release/sllm chat -m $tuned      Serve it: build/release/sllm serve -m $tuned"
