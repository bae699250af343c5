# Sourced by the script `run` of an example, with its arguments: says what it does for --help, needs root, and installs the
# packages and builds segmilter unless --no-build is given.
#
# Requires: `needs_root`, why it needs root; `options`, the other arguments that it takes. Leaves the folder at the top of the
# checkout, `program` (SEGMILTER=PATH or the release build), and in `args` those of `options` that were given.
set -euo pipefail
script=$(realpath "$0")
cd "$(dirname "${BASH_SOURCE[0]}")/.."

build=yes
args=()
for arg in "$@"; do
  case $arg in
    --no-build) build=no ;;
    -h | --help) sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$script"; exit 0 ;;
    *)
      if [[ " $options " != *" $arg "* ]]; then
        echo "unknown argument: $arg (try --help)" >&2
        exit 64
      fi
      args+=("$arg")
      ;;
  esac
done

if [ "$(id -u)" != 0 ]; then
  echo "this example needs root: $needs_root" >&2
  exit 69
fi
if [ "$build" = yes ]; then
  echo "==> packages: packaging/install-packages quickstart"
  packaging/install-packages quickstart
  echo "==> build: cmake --preset release && cmake --build --preset release"
  cmake --preset release
  cmake --build --preset release
fi
program=${SEGMILTER:-build/release/segmilter}
echo "==> run"
