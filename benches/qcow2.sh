#!/bin/bash
# Times kiln's qcow2 writer beside `qemu-img convert -c` with zstd, on the same raw disk, in turn, three times each.
#
# Usage: benches/qcow2.sh [RAW]
# Without RAW it makes an ext4 disk from this machine's /usr/bin, /usr/lib and /usr/share (at most 1 GiB of it).
# Needs qemu-img, mke2fs. Prints seconds, sizes, the ratio of the medians; fails when the images are not equal.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

raw=${1:-}
if [ -z "$raw" ]; then
    raw=$work/disk.raw
    mkdir "$work/tree"
    find /usr/bin /usr/lib /usr/share -xdev -type f -size -20M -print0 | sort -z > "$work/all"
    # Not in the pipe: `head` leaves early, and then `sort` fails.
    head -z -n 12000 "$work/all" > "$work/list"
    tar -C / -c --null -T "$work/list" 2> "$work/tar.log" | tar -C "$work/tree" -x
    truncate -s 3G "$raw"
    mke2fs -q -t ext4 -d "$work/tree" "$raw"
fi

cargo build --quiet --release --benches
bench=$(find target/release/deps -maxdepth 1 -name 'qcow2-*' -type f -executable -printf '%T@ %p\n' | sort -n | tail -n1 | cut -d' ' -f2)
cat "$raw" > /dev/null

seconds() { # NAME COMMAND...
    local name=$1 start end
    shift
    rm -f "$work/$name.qcow2"
    start=$(date +%s.%N)
    "$@" > /dev/null 2>&1
    end=$(date +%s.%N)
    echo "$end - $start" | bc >> "$work/$name.times"
}
for _ in 1 2 3; do
    seconds kiln "$bench" "$raw" "$work/kiln.qcow2"
    seconds qemu qemu-img convert -c -O qcow2 -o compression_type=zstd "$raw" "$work/qemu.qcow2"
done
qemu-img check -q "$work/kiln.qcow2"
qemu-img compare -q -f raw -F qcow2 "$raw" "$work/kiln.qcow2"

median() { sort -n "$work/$1.times" | sed -n 2p; }
size() { stat -c %s "$work/$1.qcow2"; }
kiln=$(median kiln)
qemu=$(median qemu)
echo "raw disk: $(stat -c '%s bytes, %b blocks of %B' "$raw")"
echo "kiln: $kiln s, $(size kiln) bytes ($(tr '\n' ' ' < "$work/kiln.times"))"
echo "qemu-img: $qemu s, $(size qemu) bytes ($(tr '\n' ' ' < "$work/qemu.times"))"
echo "ratio of times: $(echo "scale=2; $qemu / $kiln" | bc); of sizes: $(echo "scale=4; $(size kiln) / $(size qemu)" | bc)"
