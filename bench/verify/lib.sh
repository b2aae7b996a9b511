# Sourced by the checks of this folder: what a log says about itself.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd); project=$(cd "$here/../.." && pwd)

# Ends the check where its sources differ from the commit that the log would name.
refuse_changes() {  # source...
  local changes; changes=$(git -C "$project" status --porcelain -- "$@")
  [ -z "$changes" ] || { printf 'error: the log would name a commit that these changes are not in; commit them first\n%s\n' "$changes" >&2; exit 2; }
}

# The first lines of a log; check.sh reads the first one.
log_header() {  # source...
  echo "commit $(git -C "$project" rev-parse HEAD), sources $*"
  echo "machine $(nproc) cores, $(sed -n 's/^model name\s*: //p' /proc/cpuinfo | head -n 1)"
}
