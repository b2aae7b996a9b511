#!/usr/bin/env bash
# Runs the README's two commands in fresh Debian roots that hold nothing but apt, certificates, curl and git: the demo from
# nothing (at most 25 minutes), the demo again with the binary built and the finished stages removed (at most 8), the tests.
# Writes fresh_roots-SUITE.log, which names the commit it covers.
# Usage: fresh_roots.sh [SUITE ...]      (default: bookworm trixie; needs root and debootstrap)
#   FRESH_ROOT_SETTINGS  files and folders to copy into the root at the same place: this site's settings for pip and npm,
#                        its certificates, its local package folders
#   FRESH_ROOT_DIR       where the roots are made (default: a new folder under /var/tmp, about 6 GB each)
#   DEBIAN_MIRROR        default http://deb.debian.org/debian
set -euo pipefail
. "$(dirname "$0")/lib.sh"
# All that the two commands read: neither the comparisons, the benchmarks nor these checks.
sources=(.clang-format CMakeLists.txt CMakePresets.json cmake docs examples include scripts src tests ':!tests/parity' ':!tests/fuzz' web)
refuse_changes "${sources[@]}"
[ "$(id -u)" = 0 ] || { echo "error: debootstrap and chroot need root" >&2; exit 2; }
command -v debootstrap >/dev/null || { echo "error: install the package debootstrap" >&2; exit 2; }
suites=("$@"); [ ${#suites[@]} -gt 0 ] || suites=(bookworm trixie)
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
work=${FRESH_ROOT_DIR:-$(mktemp -d /var/tmp/fresh-roots.XXXXXX)}

inside() {  # root command...: in a namespace of its own, so that nothing stays mounted or running
  local root=$1; shift
  unshare --mount --pid --fork --kill-child bash -c '
    mount --make-rprivate / && mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && mount -t tmpfs tmpfs "$0/dev/shm"
    exec chroot "$0" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 TERM=dumb \
      SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt "$@"' "$root" "$@"
}

timed() {  # name most_seconds root command...
  local name=$1 most=$2 root=$3 begin=$SECONDS status=0; shift 3
  inside "$root" "$@" >>"$output" 2>&1 || status=$?
  local seconds=$((SECONDS - begin)) verdict=PASS
  { [ "$status" = 0 ] && [ "$seconds" -le "$most" ]; } || verdict=FAIL
  echo "$verdict $suite: $name: exit $status after $seconds s (at most $most)"
  [ "$verdict" = PASS ] || failed=1
}

failed=0
for suite in "${suites[@]}"; do
  root=$work/$suite; output=$work/$suite.output
  rm -rf "$root"; : >"$output"
  commit=$(git -C "$project" rev-parse HEAD)
  {
    log_header "${sources[@]}"
    debootstrap --variant=minbase --include=ca-certificates,curl,git "$suite" "$root" "$mirror" >>"$output" 2>&1
    for path in ${FRESH_ROOT_SETTINGS:-}; do mkdir -p "$root$(dirname "$path")"; cp -aL --remove-destination "$path" "$root$(dirname "$path")/"; done
    echo "root Debian $(cat "$root/etc/debian_version"), $(chroot "$root" dpkg-query -f '.' -W | wc -c) packages"
    git clone -q "$project" "$root/root/project"; git -C "$root/root/project" checkout -q "$commit"
    timed "demo from nothing" 1500 "$root" bash /root/project/scripts/demo.sh
    rm -rf "$root"/root/project/examples/*/runs
    timed "demo with the stages removed" 480 "$root" bash /root/project/scripts/demo.sh
    timed "tests" 1800 "$root" bash /root/project/scripts/test.sh
  } | tee "$here/fresh_roots-$suite.log"
  grep -q '^FAIL' "$here/fresh_roots-$suite.log" && failed=1
  echo "what the commands printed: $output"
done
exit "$failed"
