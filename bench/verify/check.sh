#!/usr/bin/env bash
# Says of each committed log whether the check passed and its sources are those of the commit that it names.
# Ends with 1 where one does not count any more: run its script again and commit the new log.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$project"
mapfile -t logs < <(git ls-files 'bench/verify/*.log')
[ ${#logs[@]} -gt 0 ] || { echo "FAIL no log is committed"; exit 1; }
stale=0
for log in "${logs[@]}"; do
  commit=$(sed -n '1s/^commit \([0-9a-f]\{40\}\), sources ..*/\1/p' "$log")
  read -ra sources <<<"$(sed -n '1s/.*, sources //p' "$log")"
  if [ -z "$commit" ]; then verdict="FAIL it does not begin with its commit and sources"
  elif ! git cat-file -e "$commit^{commit}" 2>/dev/null; then verdict="FAIL $commit is no commit of this repository"
  elif ! git diff --quiet HEAD -- "$log"; then verdict="FAIL it is not the committed log"
  elif ! git diff --quiet "$commit" -- "${sources[@]}"; then verdict="STALE sources changed since ${commit:0:12}: $(git diff --name-only "$commit" -- "${sources[@]}" | sed -n 1,3p | tr '\n' ' ')"
  elif grep -q '^FAIL' "$log" || ! grep -q '^PASS' "$log"; then verdict="FAIL the check did not pass"
  else verdict="OK ${commit:0:12}, sources unchanged"; fi
  echo "${verdict%% *} $log: ${verdict#* }"
  [ "${verdict%% *}" = OK ] || stale=1
done
exit "$stale"
