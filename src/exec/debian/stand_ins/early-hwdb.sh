#!/bin/sh
# Beside the first scripts: runs systemd-hwdb as udev's postinst is going to call it, in a root of its own with a copy of all that
# it reads. What lies over that program takes the result, if everything is still as it was copied.
set -eu
umask 022
. /dev/kiln/hwdb-inputs
root=$place/root
mkdir "$place"
# Whoever waits for the end of this waits for the lock.
exec 9>"$place/lock"
flock 9

mkdir -p "$root/usr/bin"
for directory in bin lib lib32 lib64 libx32 sbin; do
    if [ -L "/$directory" ]; then
        mkdir -p "$root/usr/$directory"
        ln -s "usr/$directory" "$root/$directory"
    fi
done
inputs >"$place/before"
# No link among the rules, which would lead to what is not copied.
[ -z "$(find "$rules" -mindepth 1 ! -type f)" ]
cp "$own" "$root/usr/bin/systemd-hwdb"
libraries | xargs -d '\n' cp -L --parents -t "$root"
cp -r --parents -t "$root" "$rules"

find "$root" | sort >"$place/files"
chroot "$root" /usr/bin/systemd-hwdb --usr update >"$place/said" 2>&1
[ ! -s "$place/said" ]
# It wrote this file and no other.
[ -f "$root$result" ] && [ ! -L "$root$result" ]
find "$root" ! -path "$root$result" | sort | cmp -s - "$place/files"
inputs | cmp -s - "$place/before"
mv "$place/before" "$place/inputs"
