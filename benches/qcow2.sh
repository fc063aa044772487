#!/bin/bash
# Times kiln's qcow2 writer beside `qemu-img convert -c` with zstd, on the same raw disk, in turn.
#
# Usage, from anywhere:
#   benches/qcow2.sh                   with an ext4 disk from this machine's /usr/bin, /usr/lib and /usr/share (at most 1 GiB of it)
#   RAW=DISK benches/qcow2.sh          with that disk
#   ROUNDS=N, PROFILE=dev benches/qcow2.sh     rounds [default: 3]; another profile of Cargo [default: release]
# Needs qemu-img, mke2fs. Fails when the images are not equal.
# shellcheck source=benches/lib.sh
. "$(dirname "$0")/lib.sh"
needs qcow2 qemu-img mke2fs
version qemu-img "$(qemu-img --version | awk 'NR == 1 { print $3 }')"
compiled qcow2

raw=${RAW:-}
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
cat "$raw" > /dev/null

for _ in $(seq "$rounds"); do
    rm -f "$work"/*.qcow2
    seconds kiln "$compiled" "$raw" "$work/kiln.qcow2"
    seconds qemu qemu-img convert -c -O qcow2 -o compression_type=zstd "$raw" "$work/qemu.qcow2"
done
qemu-img check -q "$work/kiln.qcow2"
qemu-img compare -q -f raw -F qcow2 "$raw" "$work/kiln.qcow2"
echo "raw disk: $(stat -c '%s bytes, %b blocks of %B' "$raw")"
beside qcow2 kiln qemu
figure qcow2.kiln-size "$(stat -c %s "$work/kiln.qcow2")" bytes
figure qcow2.peer-size "$(stat -c %s "$work/qemu.qcow2")" bytes
