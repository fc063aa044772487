#!/bin/sh
# Times what a build does after one thing changed, beside the full build, and fails when more than the dependents run.
#
# Usage, from anywhere:
#   benches/rebuild.sh [KILN]        KILN: the program [default: target/release/kiln, built when it is not there]
#   STORE=DIR benches/rebuild.sh     keeps the store for the next time; it must not be the user's own
#   KERNEL=1 benches/rebuild.sh      with one option of a compiled kernel changed, too: it compiles a small kernel twice
# Needs the network for what the store lacks.
#
# "Full" is every step of the recipe run again with its packages cached (`--no-cache --offline`); the others are plain builds.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT
trap 'exit 130' INT TERM
kiln=$(realpath "${1:-target/release/kiln}")
[ -x "$kiln" ] || cargo build --quiet --release
export KILN_STORE="${STORE:-$work/store}"
cp -r recipes "$work/recipes"
wrong=0

change() { # FILE FROM TO: exactly one line
    [ "$(grep -cF -- "$2" "$1")" = 1 ] || { echo "$1 does not have \`$2\` once" >&2; exit 1; }
    awk -v from="$2" -v to="$3" '{ at = index($0, from); if (at) $0 = substr($0, 1, at - 1) to substr($0, at + length(from)); print }' \
        "$1" > "$1.new"
    mv "$1.new" "$1"
}

build() { # RECIPE LOCK NAME "STEPS THAT RUN" OPTION...
    recipe=$1 lock=$2 name=$3 expected=$4
    shift 4
    "$kiln" lock --lock "$lock" "$recipe" > "$work/lock.log" 2>&1 || { cat "$work/lock.log" >&2; exit 1; }
    start=$(date +%s.%N)
    "$kiln" build --lock "$lock" --out "$work/out" "$@" "$recipe" > "$work/build.log" 2>&1 ||
        { cat "$work/build.log" >&2; exit 1; }
    seconds=$(echo "$start $(date +%s.%N)" | awk '{ printf "%.2f", $2 - $1 }')
    ran=$(sed -n 's/^\([a-z-]*\) .*: running (.*/\1/p' "$work/build.log" | LC_ALL=C sort -u | paste -sd' ' -)
    echo "$name | $seconds s | $ran"
    [ "$expected" = any ] || [ "$ran" = "$expected" ] || { echo "  expected to run: $expected" >&2; wrong=1; }
}

quick=$work/recipes/cxl-quick.kiln
lock=$work/quick.lock
build "$quick" "$lock" "first, with downloads" any
build "$quick" "$lock" "full" any --no-cache --offline
build "$quick" "$lock" "nothing changed" "" --offline
change "$quick" 'hostname = "cxl-quick"' 'hostname = "other"'
build "$quick" "$lock" "the host name" "disk named root"
change "$quick" 'hostname = "other"' 'hostname = "other" file "/etc/motd" { text = "changed" }'
build "$quick" "$lock" "a file" "disk root"
change "$quick" 'hostname = "other"' 'hostname = "other" packages += ["less"]'
build "$quick" "$lock" "a package more" "base disk named root"
change "$quick" 'param memory-size = 2GiB' 'param memory-size = 3GiB'
build "$quick" "$lock" "the machine" ""
sed 's/image cxl-quick /image second /; s/= cxl-quick$/= second/' "$quick" > "$work/recipes/second.kiln"
change "$work/recipes/second.kiln" '"changed"' '"a second recipe with these packages"'
sed 's/^\[\(sets\|images\)\.cxl-quick\]/[\1.second]/' "$lock" > "$work/second.lock"
build "$work/recipes/second.kiln" "$work/second.lock" "another recipe" "disk root"

if [ -n "${KERNEL:-}" ]; then
    tiny=$work/recipes/tiny.kiln
    cat > "$tiny" <<'RECIPE'
import "lib/debian-13.kiln"

kernel tiny {
  source  = package "linux-source-6.12"
  base    = "tinyconfig"
  build   = kernel-build
  option LOCALVERSION = "-tiny"
  # What a machine would need to boot is waived by turning it off.
  option BINFMT_ELF = n
  option VIRTIO_PCI = n
  option VIRTIO_BLK = n
  option EXT4_FS = n
  option DEVTMPFS = n
  option SERIAL_8250_CONSOLE = n
}

machine small {
  kernel = tiny
  image  = debian-13
  qemu   = qemu-11
}
RECIPE
    build "$tiny" "$work/tiny.lock" "a kernel, first" any
    build "$tiny" "$work/tiny.lock" "a kernel, full" any --no-cache --offline
    change "$tiny" 'option LOCALVERSION = "-tiny"' 'option LOCALVERSION = "-other"'
    build "$tiny" "$work/tiny.lock" "a kernel option" "kernel-build kernel-check kernel-config"
fi
exit $wrong
