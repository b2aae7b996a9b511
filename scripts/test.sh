#!/usr/bin/env bash
# Passes the tests on a bare Debian 12 or 13: installs packages, builds, runs lint and all unit and
# command-line tests. Can be run again. Comparisons with other programs are in tests/parity/run.sh.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
install_packages openmpi-bin libopenmpi-dev
say "Lint: layers, sizes, format"
python3 "$root/tests/lint/lint.py"
build all
say "Unit and command-line tests"
ctest --test-dir "$root/build/release" --output-on-failure --no-tests=error
say "All tests passed"
