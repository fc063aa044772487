#!/bin/sh
# Times packages -> compressed qcow2: kiln beside mmdebstrap, mke2fs and qemu-img, in turn, three times each.
#
# Usage, from anywhere, as root (mmdebstrap without root is slower):
#   benches/image.sh [KILN]          KILN: the program [default: target/release/kiln, built when it is not there]
#   LOCK=lockfiles/cxl-quick.lock benches/image.sh     does not ask the archives for a new lock
#   STORE=DIR benches/image.sh                         keeps the store for the next time; it must not be the user's own
#   PEER_OPTIONS=--dpkgopt=force-unsafe-io benches/image.sh     mmdebstrap with other options
# Needs mmdebstrap, apt-utils, e2fsprogs, qemu-utils, and the network for what the store lacks.
#
# Both sides start from the same .deb files on this disk, install the same packages in the same versions, add the same
# kernel modules, and end with a zstd-compressed qcow2 of an ext4 file system of the same size. No network is used.
# Ours: `kiln build` after the results of its steps from `base` to the disk, and the files that they made, were taken out of the
# store, so that exactly these run; the script fails when one did not. It includes what the peer does not do: checking every
# package against its SHA-256, dpkg --audit and --verify, the rules that make two builds equal, digests of everything that comes out.
# Peer: what a person would type. mke2fs reads a directory there, for Debian 12's cannot read a tar.
set -eu
cd "$(dirname "$0")/.."
recipe=recipes/cxl-quick.kiln
work=$(mktemp -d)
# What is mounted below a directory is unmounted by mmdebstrap itself.
trap 'rm -rf --one-file-system "$work"' EXIT
trap 'exit 130' INT TERM

kiln=${1:-target/release/kiln}
[ -x "$kiln" ] || cargo build --quiet --release
export KILN_STORE="${STORE:-$work/store}"
# A copy: a build adds to the lock what came out.
lock=$work/cxl-quick.lock
if [ -n "${LOCK:-}" ]; then cp "$LOCK" "$lock"; else "$kiln" lock --lock "$lock" "$recipe"; fi

# shellcheck disable=SC2119,SC2120 # `seconds` calls it with an option
build() { # OPTION...
    "$kiln" build --lock "$lock" --out "$work/ours" "$@" "$recipe" > "$work/build.log" 2>&1 ||
        { cat "$work/build.log" >&2; exit 1; }
}
build

# A field of the lock's package lines, which are like `  { name = "apt", ..., sha256 = "15c2...", ... },`
field() { # NAME
    sed -n "s/.*[{ ]$1 = \"\([^\"]*\)\".*/\1/p"
}
packages() { # SET: its lines of the lock
    awk -v set="[sets.$1]" '/^\[/ { inside = $0 == set } inside && /^  \{ name = /' "$lock"
}
mkdir "$work/repository"
packages cxl-quick > "$work/packages"
field sha256 < "$work/packages" > "$work/digests"
field path < "$work/packages" | sed 's,.*/,,' | paste "$work/digests" - > "$work/files"
while read -r digest file; do
    # A copy where a hard link is impossible, and readable for apt's own user. A link must not change the blob's mode.
    cp "$KILN_STORE/cas/$digest" "$work/repository/$file"
done < "$work/files"
chmod 755 "$work"
(cd "$work/repository" && chmod 644 -- *.deb && apt-ftparchive packages . > Packages)
names=$(field name < "$work/packages" | paste -sd, -)
modules=$(packages '"stock.package"' | grep 'name = "linux-image-[0-9]' | field sha256)
bytes=$(qemu-img info "$work/ours/disk.qcow2" | sed -n 's/^virtual size: .*(\([0-9]*\) bytes)$/\1/p')

timed() { # The steps that make the image of its packages, by the image's name in theirs: a name and an action in each line.
    "$kiln" plan --json --lock "$lock" "$recipe" | awk -F '"' '
        $2 == "name" { name = $4 } $2 == "action" && name ~ / cxl-quick( |$)/ { print name "\t" $4 }'
}
forget() { # The results of the steps that are timed, and the files that the results name.
    # All actions are found before the first result goes: those of later steps follow from it.
    timed > "$work/timed"
    for step in base root; do
        grep -q "^$step " "$work/timed" || { echo "the plan has no step \`$step\`" >&2; exit 1; }
    done
    cut -f 2 "$work/timed" | while read -r action; do
        result=$KILN_STORE/ac/$action
        # A step whose output only passes to the next has no result. A result is a REAPI message, in which digests stand as text.
        [ -e "$result" ] || continue
        grep -aoE '[0-9a-f]{64}' "$result" | while read -r digest; do rm -f "$KILN_STORE/cas/$digest"; done
        rm -f "$result"
    done
}
ran() { # The timed steps with their times; fails when one was cached, or when none wrote the disk.
    cut -f 1 "$work/timed" > "$work/names"
    sed -n 's/: cached (.*//p' "$work/build.log" | grep -xFf "$work/names" > "$work/cached" &&
        { echo "not timed, since it is cached: $(cat "$work/cached")" >&2; exit 1; }
    grep -Ff "$work/names" "$work/build.log" | grep ' done in ' | sed 's/ done in//' | paste -sd ';' -
    # The last step of the image is the one whose file is delivered.
    grep -q "^$(tail -n1 "$work/names"): done in" "$work/build.log" || { echo "the last step did not run" >&2; exit 1; }
}

peer() { # Within `||` the shell does not stop at errors by itself.
    # shellcheck disable=SC2086 # options are words
    mmdebstrap --quiet --variant=custom --include="$names" ${PEER_OPTIONS:-} trixie "$work/tree" \
        "deb [trusted=yes] copy://$work/repository ./" &&
    dpkg-deb --fsys-tarfile "$KILN_STORE/cas/$modules" | tar -x -C "$work/tree" ./usr/lib/modules &&
    truncate -s "$bytes" "$work/peer.raw" &&
    mke2fs -q -F -t ext4 -d "$work/tree" "$work/peer.raw" &&
    qemu-img convert -c -O qcow2 -o compression_type=zstd "$work/peer.raw" "$work/peer.qcow2"
}

seconds() { # NAME COMMAND...: appends its time to NAME.times, and that of all its processes to NAME.cpu
    name=$1
    shift
    times > "$work/before"
    start=$(date +%s.%N)
    "$@" > "$work/$name.log" 2>&1 || { cat "$work/$name.log" >&2; exit 1; }
    echo "$start $(date +%s.%N)" | awk '{ printf "%.2f\n", $2 - $1 }' >> "$work/$name.times"
    times > "$work/after"
    # The second line is about children: user and system time, like `0m1.500000s 0m0.250000s`.
    tail -qn1 "$work/before" "$work/after" | tr 'ms' '  ' |
        awk '{ sum = 60 * ($1 + $3) + $2 + $4 } NR == 1 { was = sum } END { printf "%.2f\n", sum - was }' >> "$work/$name.cpu"
}
for round in 1 2 3; do
    forget
    rm -rf "$work/ours"
    seconds ours build --offline
    ran
    rm -rf --one-file-system "$work/tree" "$work/peer.raw" "$work/peer.qcow2"
    seconds peer peer
    echo " round $round: ours $(tail -n1 "$work/ours.times") s, peer $(tail -n1 "$work/peer.times") s"
done

median() { sort -n "$work/$1" | sed -n 2p; }
size() { stat -c %s "$1"; }
echo "packages: $(wc -l < "$work/packages"), file system: $bytes bytes"
echo "kiln: median $(median ours.times) s ($(median ours.cpu) s of processor), $(size "$work/ours/disk.qcow2") bytes"
echo "peer: median $(median peer.times) s ($(median peer.cpu) s of processor), $(size "$work/peer.qcow2") bytes"
echo "$(median peer.times) $(median ours.times)" | awk '{ printf "ratio: %.2f\n", $1 / $2 }'
