#!/usr/bin/env bash
# Runs the help desk from its purpose to the report: tuning on all rows, then questions answered with retrieval. Writes
# helpdesk.log, which names the commit it covers and every figure of the report, if no threshold is missed. Then the same
# questions on the smallest base, whose figures are shown, whatever they are, in helpdesk_small.log.
# Two epochs over 1,866 rows on a base of 0.5B take 45 minutes with AVX-512 and hours without; an interrupted run goes on
# where it was (HELPDESK_RUNS).
# Usage: helpdesk.sh [sllm.toml] [small.toml]
#   SLLM_BIN       a program built from this commit; without it, build/release/sllm is built first
#   HELPDESK_RUNS  where the runs are kept, to go on after an interruption (default: a new folder)
set -euo pipefail
. "$(dirname "$0")/lib.sh"
sources=(src/{base,quant,tensor,kernels,ops,cpu,io,text,models,infer,data,train,compress,ground,eval,project} examples/helpdesk docs/guide ':!*_test.cc')
refuse_changes "${sources[@]}"
sllm=${SLLM_BIN:-$project/build/release/sllm}
[ -n "${SLLM_BIN:-}" ] || (cd "$project" && cmake --preset release >/dev/null && cmake --build build/release --target sllm)
runs=${HELPDESK_RUNS:-$(mktemp -d /var/tmp/helpdesk.XXXXXX)}
mkdir -p "$runs/examples/helpdesk" "$runs/docs"
cp "$project"/examples/helpdesk/*.{toml,jsonl} "$runs/examples/helpdesk/"; cp -r "$project/docs/guide" "$runs/docs/"
files=("$@"); [ ${#files[@]} -gt 0 ] || files=(sllm.toml small.toml)
runs_of() { case $1 in sllm.toml) echo "$runs/examples/helpdesk/runs" ;; *) echo "$runs/examples/helpdesk/runs/${1%.toml}" ;; esac; }
log_of() { case $1 in sllm.toml) echo "$here/helpdesk.log" ;; *) echo "$here/helpdesk_${1%.toml}.log" ;; esac; }

figures() {  # folder of a project's runs: a line for each model and metric of the newest report
  local metrics; metrics=$(find "$1/stages" -name metrics.json -printf '%T@ %p\n' 2>/dev/null | sort -n | tail -n 1 | cut -d' ' -f2-)
  [ -n "$metrics" ] || { echo "  there is no report"; return; }
  python3 - "$metrics" <<'PY'
import json, sys
for model in json.load(open(sys.argv[1])):
    for metric, languages in model["answers"]["metrics"].items():
        figures = ", ".join(f"{language} {f['value']:.3f} ± {f['stderr']:.3f} of {f['items']}" for language, f in languages.items())
        print(f"  {model['label']} ({model['bytes'] / 1e6:.0f} MB): {metric} {figures}")
PY
}

failed=0
for file in "${files[@]}"; do
  log=$(log_of "$file")
  {
    log_header "${sources[@]}"
    echo "program sha256 $(sha256sum <"$sllm" | cut -c1-16)"
    status=0; begin=$SECONDS
    "$sllm" run -p "$runs/examples/helpdesk/$file" --json >"$runs/$file.json" 2>"$runs/$file.output" || status=$?
    case "$file $status" in
      "sllm.toml 0") echo "PASS helpdesk: every threshold is met, $((SECONDS - begin)) s" ;;
      "small.toml 0") echo "PASS helpdesk_small: no threshold is set, $((SECONDS - begin)) s" ;;
      *) echo "FAIL $file: exit $status: $(tail -n 2 "$runs/$file.output" | tr '\n' ' ')" ;;
    esac
    figures "$(runs_of "$file")"
  } | tee "$log.part"
  if grep -q '^PASS' "$log.part"; then mv "$log.part" "$log"; else rm -f "$log.part"; failed=1; fi
done
echo "runs, reports and what the commands printed: $runs"
exit "$failed"
