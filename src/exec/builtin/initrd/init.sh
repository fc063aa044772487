#!/bin/busybox sh
# Mounts the root file system and hands over to its init. Written by kiln; see `initrd.json` of the build.
export PATH=/bin

say() {
    echo "kiln initrd: $*" > /dev/kmsg 2> /dev/null
    echo "kiln initrd: $*" > /dev/console
}

# There is nobody to type anything: say why, and switch the machine off.
fail() {
    say "failed: $*"
    echo 1 > /proc/sys/kernel/sysrq 2> /dev/null
    sync
    poweroff -f
    exit 1
}

mkdir -p /dev /proc /sys /root
mount -t devtmpfs -o mode=0755,nosuid dev /dev || fail "cannot mount /dev"
mount -t proc -o nosuid,nodev,noexec proc /proc || fail "cannot mount /proc"
mount -t sysfs -o nosuid,nodev,noexec sys /sys || fail "cannot mount /sys"

root='@ROOT@'
type='@TYPE@'
flags=
mode=ro
init=
for word in $(cat /proc/cmdline); do
    case $word in
        root=*) root=${word#root=} ;;
        rootfstype=*) type=${word#rootfstype=} ;;
        rootflags=*) flags=${word#rootflags=} ;;
        init=*) init=${word#init=} ;;
        ro) mode=ro ;;
        rw) mode=rw ;;
    esac
done

load() {
    insmod "/modules/$1.ko" || fail "cannot load the kernel module $1"
}
# What only makes others faster may be of no use on this machine.
try() {
    insmod "/modules/$1.ko" 2> /dev/null
}
@MODULES@
find_root() {
    case $root in
        UUID=* | LABEL=* | PARTUUID=*) device=$(findfs "$root" 2> /dev/null) ;;
        *) device=$root ;;
    esac
    [ -b "$device" ]
}
tries=0
until find_root; do
    tries=$((tries + 1))
    [ $tries -lt 300 ] || fail "the root device $root did not appear within 30 seconds"
    sleep 0.1
done

mount -t "$type" -o "$mode${flags:+,$flags}" "$device" /root || fail "cannot mount $device as $type ($mode${flags:+,$flags})"

runs() {
    [ -x "/root$1" ] || [ -L "/root$1" ]
}
if [ -n "$init" ]; then
    runs "$init" || fail "$device has no $init, which the command line names as init"
else
    for init in /sbin/init /etc/init /bin/init /bin/sh none; do
        [ $init != none ] || fail "$device has neither /sbin/init nor /bin/sh"
        runs $init && break
    done
fi

for place in dev proc sys; do
    mount --move /$place /root/$place || fail "the root file system has no directory /$place"
done
exec switch_root -c /dev/console /root "$init" "$@"
echo "kiln initrd: failed: cannot start $init"
exit 1
