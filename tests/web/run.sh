#!/usr/bin/env bash
# Tests the chat page in a real Chromium against a real server. Usage: run.sh [SLLM_BIN [MODEL]]
# Installs Chromium, Node and npm where it may (playwright-core goes to a temporary folder); else skips with a sentence.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../scripts/lib.sh"
sllm=${1:-${SLLM_BIN:-$root/build/release/sllm}}
model=${2:-${SLLM_MODELS:-$root/build/parity/models}/smollm2-135m-instruct.Q4_1.gguf}
lacking() { for need in chromium node npm; do command -v "$need" >/dev/null || echo "$need"; done; }
[ -z "$(lacking)" ] || (install_packages chromium nodejs npm) || true
[ -z "$(lacking)" ] || { echo "SKIP web: cannot be installed here:" $(lacking); exit 0; }
[ -x "$sllm" ] || { echo "SKIP web: $sllm is not built"; exit 0; }
[ -f "$model" ] || { echo "SKIP web: $model is not there"; exit 0; }
work=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$work"' EXIT
# Node finds packages from where the script lies, so it is copied beside them.
(cd "$work" && npm install --silent --no-audit --no-fund --no-package-lock --ignore-scripts playwright-core@1.65.1) ||
  { echo "SKIP web: playwright-core cannot be fetched"; exit 0; }
cp "$here/page_test.mjs" "$work"
mkdir "$work/docs"
printf '# Handbook\n\nEmployees have 15 days of annual leave every year.\n' >"$work/docs/handbook.md"
"$sllm" index "$work/docs" -o "$work/docs.db" --quiet >/dev/null 2>&1 && index=(--index "$work/docs.db") || index=()
"$sllm" serve -m "$model" --port 0 --api-key sk-page --context 2048 --json "${index[@]}" >"$work/address.json" &
server=$!
for _ in $(seq 300); do grep -q '}' "$work/address.json" && break; sleep 0.1; done
url=$(sed -n 's/.*"url": *"\([^"]*\)".*/\1/p' "$work/address.json" | head -1)
[ -n "$url" ] || { echo "FAIL web: the server did not start"; exit 1; }
SLLM_URL=$url SLLM_KEY=sk-page SLLM_SHOTS=${SLLM_SHOTS:-$work} SLLM_PROFILE=$work/profile node "$work/page_test.mjs"
