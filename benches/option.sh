#!/bin/bash
# Times `kiln build --incremental` after one option of a kernel changed, beside the compilation from scratch. In the end the last
# configuration, which has all the changes, is compiled from scratch as well: its files must be equal.
#
# Usage, from anywhere:
#   benches/option.sh [KILN]           KILN: the program [default: target/release/kiln, built when it is not there]
#   IMPORT=lib/cxl-kernel.kiln BASE=cxl-kernel benches/option.sh     another kernel than the small one of the script
#   OPTIONS='FUTEX=n,CRC7=y LOCALVERSION="-x"' benches/option.sh     what changes, one word after the other; each stays for those after it
#   STORE=DIR benches/option.sh        keeps the store for the next time; it must not be the user's own
#   JOBS=N, PROVE=0                    processors [default: all]; without the proof in the end
# Needs the network for what the store lacks.
#
# A time is that of the whole command: configuring, checking, compiling, packing, digests of what comes out. The tools are unpacked, and
# the kernel is configured, before the first one is taken. Other work on the machine makes wall times say little: processor
# time (user and system, of all processes) is beside them, and the percentages are of it.
# shellcheck source=benches/lib.sh
. "$(dirname "$0")/lib.sh"
program "${1:-}"
jobs=${JOBS:-$(nproc)}
mkdir "$work/recipes" && cp -r recipes/lib "$work/recipes/"
recipe=$work/recipes/changed.kiln

# A kernel of a few minutes, partly as modules.
small() {
    cat <<'RECIPE'
kernel small {
  source  = package "linux-source-6.12"
  base    = "tinyconfig"
  build   = kernel-build
  modules = true
  option 64BIT = y
  option PRINTK = y
  option TTY = y
  option SERIAL_8250 = y
  option SERIAL_8250_CONSOLE = y
  option BLOCK = y
  option EXT4_FS = m
  option PROC_FS = y
  option SYSFS = y
  option NET = y
  option UNIX = y
  option INET = y
  option FUTEX = y
  option CRC7 = m
  option BLK_DEV_INITRD = y
  option RD_XZ = n
  option XZ_DEC = y
}

RECIPE
}
changes=
write() { # the kernel with its changes so far
    {
        echo "import \"${IMPORT:-lib/debian-13.kiln}\""
        [ -n "${BASE:-}" ] || small
        echo "kernel changed extends ${BASE:-small} {"
        echo "$changes"
        echo "}"
    } > "$recipe"
    quietly "$work/lock.log" "$kiln" lock "$recipe"
}
build() { # OPTION...
    "$kiln" build --out "$work/out" --jobs "$jobs" "$@" "$recipe"
}
sums() {
    (cd "$work/out" && find . -type f ! -name manifest.json -exec sha256sum {} +) | sort
}

change() { # NAME=VALUE[,NAME=VALUE]: in the place of earlier values
    for one in $(echo "$1" | tr ',' ' '); do
        changes=$(echo "$changes" | grep -v "^  option ${one%%=*} = " || true)
        changes="$changes
  option ${one%%=*} = ${one#*=}"
    done
    write
}
# No earlier run has this kernel's results, or its directory.
change "LOCALVERSION=\"-$(date +%s)\""
quietly "$work/log" "$kiln" kconfig explain LOCALVERSION "$recipe"
seconds scratch build --incremental
if grep -q 'incremental, from' "$work/scratch.log"; then
    echo "the store has a build directory of this kernel, from which the first build went on: it is compiled from scratch"
    change "LOCALVERSION=\"-$(date +%s)-scratch\""
    rm "$work/scratch.times" "$work/scratch.cpu"
    seconds scratch build
fi
echo "from scratch: $(last scratch) ($jobs jobs)"
# A flag of the compiler for a directory comes and goes, and a library comes back with another value of its own option.
for option in ${OPTIONS:-CRC7=y DEBUG_DRIVER=y XZ_DEC=n 'LOCALVERSION="-other"' XZ_DEC=y,XZ_DEC_ARM=n DEBUG_DRIVER=n}; do
    change "$option"
    seconds option build --incremental
    grep -q 'incremental, from' "$work/option.log" || { echo "$option: not incremental" >&2; cat "$work/option.log" >&2; exit 1; }
    part=$(ratio "$(tail -n1 "$work/option.cpu")" "$(median scratch.cpu)")
    echo "$option: $(last option), $(echo "$part" | awk '{ printf "%.1f %%", 100 * $1 }')"
done
of_peer "option.${BASE:-small}" option scratch "<=0.1"
[ "${PROVE:-1}" != 0 ] || exit 0
sums > "$work/incremental.sums"
seconds again build
sums > "$work/clean.sums"
cmp "$work/incremental.sums" "$work/clean.sums" || { echo "other bits than from scratch" >&2; exit 1; }
echo "the last one from scratch: $(last again); equal bits"
