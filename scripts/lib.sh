# Shared by demo.sh and test.sh: says what happens, installs what is missing, builds build/release.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
start_seconds=$SECONDS
say() { printf '\n== [%3d s] %s\n' $((SECONDS - start_seconds)) "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null; then sudo "$@"
  else fail "installing packages needs root or sudo: $*"; fi
}

# The Debian packages of scripts/packages.txt and whichever Boost this release has (1.81 or newer).
wanted_packages() {
  sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$root/scripts/packages.txt"
  case "$(. /etc/os-release && echo "${VERSION_ID:-}")" in
    12) echo libboost1.81-dev ;;
    *) echo libboost-dev ;;
  esac
  command -v npm >/dev/null || printf 'nodejs\nnpm\n'
  command -v clang-format >/dev/null || echo clang-format
}

install_packages() {
  command -v apt-get >/dev/null || fail "this script needs Debian 12 or 13 (apt-get); elsewhere install the packages of scripts/packages.txt by hand and use cmake --workflow --preset release"
  local missing=() p
  for p in $(wanted_packages) "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || missing+=("$p")
  done
  [ ${#missing[@]} -eq 0 ] && { say "All packages are installed"; return; }
  say "Installing ${#missing[@]} packages: ${missing[*]}"
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/tmp/sllm-apt.log 2>&1 ||
    { tail -n 20 /tmp/sllm-apt.log; fail "installing packages failed; the whole log is /tmp/sllm-apt.log"; }
}

# build [target...]: configures and builds the release preset.
build() {
  say "Building build/release (${*:-everything})"
  local launcher=()
  command -v ccache >/dev/null && launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
  (cd "$root" && cmake --preset release "${launcher[@]}" >build-configure.log 2>&1) ||
    { tail -n 20 "$root/build-configure.log"; fail "configuring failed"; }
  rm -f "$root/build-configure.log"
  cmake --build "$root/build/release" --target "${@:-all}"
}
