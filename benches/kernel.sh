#!/bin/bash
# Times the compilation of a kernel: kiln's step kernel-build beside plain make, in turn. `option.sh` times a changed option.
#
# Usage, from anywhere, as root (the peer's root is put together from mounts):
#   benches/kernel.sh [KILN]           KILN: the program [default: target/release/kiln, built when it is not there]
#   RECIPE=recipes/cxl-expander.kiln LOCK=lockfiles/cxl-expander.lock benches/kernel.sh     another kernel, such as a whole one
#   STORE=DIR benches/kernel.sh        keeps the store for the next time; it must not be the user's own
#   JOBS=N, ROUNDS=N benches/kernel.sh     processors [default: all]; rounds [3]
# Needs the network for what the store lacks.
#
# Both sides start from the same source package on this disk and the same final configuration, and use the same compiler:
# the peer is chrooted into the tree of tools that the step's sandbox has, and does there what a person would: unpack,
# `make olddefconfig`, `make -j bzImage`, `make modules`. Ours: `kiln build` after the result of its step kernel-build, and
# the files that it made, were taken out of the store, so that exactly this step runs. It includes what the peer does not
# do: checking the source, configuring a second time to compare, installing and packing modules, digests of what comes out.
# Other work on the machine makes wall times say little: processor time (user and system, of all processes) is beside them.
# shellcheck source=benches/lib.sh
. "$(dirname "$0")/lib.sh"
needs kernel unshare chroot
needs_root kernel "the peer's root is put together from mounts"
program "${1:-}"
jobs=${JOBS:-$(nproc)}

# A kernel of one minute: what a machine would need to boot is waived by turning it off.
tiny() {
    cat <<'RECIPE'
import "lib/debian-13.kiln"

kernel tiny {
  source  = package "linux-source-6.12"
  base    = "tinyconfig"
  build   = kernel-build
  option LOCALVERSION = "-bench"
  option BINFMT_ELF = n
  option VIRTIO_PCI = n
  option VIRTIO_BLK = n
  option EXT4_FS = n
  option DEVTMPFS = n
  option SERIAL_8250_CONSOLE = n
}

image nothing {
  size           = 512MiB
  tools          = image-tools
  packages       = []
  dhcp           = false
  serial-console = false
}

machine m {
  kernel = tiny
  image  = nothing
  qemu   = qemu-11
}
RECIPE
}
cp -r recipes "$work/recipes"
recipe=${RECIPE:-$work/recipes/bench.kiln}
[ -n "${RECIPE:-}" ] || tiny > "$recipe"
# A copy: a build adds to the lock what came out.
lock=$work/kernel.lock
if [ -n "${LOCK:-}" ]; then cp "$LOCK" "$lock"; else quietly "$work/log" "$kiln" lock --lock "$lock" "$recipe"; fi

# shellcheck disable=SC2119,SC2120 # `seconds` calls it with an option
build() { # OPTION...
    "$kiln" build --lock "$lock" --out "$work/ours" --jobs "$jobs" "$@" "$recipe"
}
# What the step needs, and the kernel as well; where a kept store has everything but the kernel, the first round compiles it.
missing=$("$kiln" plan --lock "$lock" "$recipe" | awk 'length($1) == 12 && $2 != "kernel-build" && !/ cached$/')
[ -z "$missing" ] || quietly "$work/log" build

action() { # PREFIX OF A STEP: under which name the store keeps its result
    "$kiln" plan --json --lock "$lock" "$recipe" | awk -v step="\"$1" '
        index($0, "\"name\": " step) { here = 1 } here && /"action"/ { gsub(/[",]/, ""); print $2; exit }'
}
digests() { # RESULT: it is a REAPI message, in which digests stand as text.
    grep -aoE '[0-9a-f]{64}' "$KILN_STORE/ac/$1"
}
forget() { # PREFIX OF A STEP: its result, and the files that it made
    result=$(action "$1")
    [ -e "$KILN_STORE/ac/$result" ] || return 0
    digests "$result" | while read -r digest; do rm -f "$KILN_STORE/cas/$digest"; done
    rm -f "$KILN_STORE/ac/$result"
}
tree=$(digests "$(action "tools kernel-build")" | while read -r digest; do
    [ ! -d "$KILN_STORE/tree/$digest" ] || echo "$KILN_STORE/tree/$digest"
done | sed -n 1p)
source=$(sed -n 's/.*name = "linux-source-[0-9].*sha256 = "\([0-9a-f]*\)".*/\1/p' "$lock" | sed -n 1p)

# The peer's root: the tools' entries, read-only, on a file system of its own, as in kiln's sandbox.
cat > "$work/enter" <<'ENTER'
set -eu
root=$1/root
mkdir -p "$root"
mount -t tmpfs none "$root"
for entry in "$2"/*; do
    name=${entry##*/}
    if [ -L "$entry" ]; then cp -P "$entry" "$root/"
    elif [ -d "$entry" ]; then mkdir "$root/$name" && mount --bind "$entry" "$root/$name" && mount -o remount,bind,ro "$root/$name"
    else cp "$entry" "$root/"; fi
done
mkdir -p "$root/proc" "$root/dev" "$root/tmp" "$root/build"
mount -t proc none "$root/proc"
mount --bind /dev "$root/dev"
mount -t tmpfs none "$root/tmp"
mount --bind "$1/peer" "$root/build"
exec chroot "$root" env -i PATH=/tmp/bin:/usr/sbin:/usr/bin HOME=/nonexistent LC_ALL=C.UTF-8 /bin/sh -eu /build/run "$3"
ENTER
cat > "$work/run" <<'RUN'
cd /build
mkdir -p /tmp/bin linux
[ -e /usr/bin/awk ] || ln -s /usr/bin/mawk /tmp/bin/awk
now() { date +%s.%N; }
begin=$(now)
dpkg-deb --fsys-tarfile source.deb | tar -xO --wildcards './usr/src/linux-source-*.tar.xz' |
    tar -xJ --no-same-owner --strip-components=1 -C linux
cp kernel.config linux/.config
cd linux
unpacked=$(now)
make -s olddefconfig
make -j"$1" bzImage
if grep -q '^CONFIG_MODULES=y' .config; then make -j"$1" modules; fi
echo "$begin $unpacked $(now)" | awk '{ printf "unpacked in %.1f s, made in %.1f s\n", $2 - $1, $3 - $2 }' > ../times
RUN
peer() {
    unshare --mount --pid --fork /bin/sh "$work/enter" "$work" "$tree" "$jobs"
}

for round in $(seq "$rounds"); do
    forget "kernel-build "
    seconds ours build --offline
    grep -E '^[a-z-]+ .* done in' "$work/ours.log" | tr '\n' ';'
    rm -rf --one-file-system "$work/peer"
    mkdir "$work/peer"
    cp "$KILN_STORE/cas/$source" "$work/peer/source.deb"
    cp "$(find "$work/ours" -name kernel.config | sed -n 1p)" "$work/peer/kernel.config"
    cp "$work/run" "$work/peer/run"
    seconds peer peer
    echo " round $round: ours $(last ours); peer $(last peer) ($(cat "$work/peer/times"))"
done
rm -rf --one-file-system "$work/peer"
echo "jobs: $jobs, kernel: $(stat -c %s "$(find "$work/ours" -name vmlinuz | sed -n 1p)") bytes"
name=kernel.$([ -n "${RECIPE:-}" ] && basename "$RECIPE" .kiln || echo tiny)
of_peer "$name" ours peer "<=1.02"
version make "$(chroot "$tree" make --version 2> /dev/null | awk 'NR == 1 { print $3 }')"
