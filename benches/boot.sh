#!/bin/bash
# What the first boot of recipes/cxl-quick.kiln does until the last job of systemd: `systemd-analyze` in the guest.
#
# Usage, from anywhere:
#   benches/boot.sh [KILN]           KILN: the program [default: target/release/kiln, built when it is not there]
#   STORE=DIR benches/boot.sh        keeps the store for the next time; it must not be the user's own
#   ICOUNT= benches/boot.sh          by the clock, on as many processors as the machine has
#   FILE=RECIPE benches/boot.sh      another recipe of recipes/ with one image and one machine
# Needs the network for what the store lacks.
#
# Other work on the host makes times by the clock useless. So the guest's clock counts instructions: QEMU's `-icount` lets 2 ns
# pass for each, on one processor after the other.
# shellcheck source=benches/lib.sh
. "$(dirname "$0")/lib.sh"
program "${1:-}"
icount=${ICOUNT--icount shift=1}
recipe=${FILE:-cxl-quick.kiln}
cp -r recipes "$work/recipes"

# The image says itself how long it took, on the second serial port: the first has a login that hangs up on others.
awk '{ print } /^image / && !done { done = 1
    print "  file \"/etc/systemd/system/measure.service\" {"
    print "    text = \"\"\""
    print "      [Service]"
    print "      ExecStart=/bin/sh -c \047exec >/dev/ttyS1 2>&1; systemctl is-system-running --wait; systemd-analyze time; systemd-analyze --no-pager blame; systemd-analyze --no-pager critical-chain; sleep 5; poweroff -ff\047"
    print ""
    print "      [Install]"
    print "      WantedBy=multi-user.target"
    print "      \"\"\""
    print "  }"
    print "  enable += [\"measure.service\"]" }
' "recipes/$recipe" >"$work/recipes/measured.kiln"
sed -i '/^ *forward /d' "$work/recipes/measured.kiln"
quietly "$work/log" "$kiln" lock "$work/recipes/measured.kiln"
quietly "$work/log" "$kiln" build --out "$work/out" "$work/recipes/measured.kiln"

tree=$(echo "$KILN_STORE"/tree/*/usr/bin/qemu-system-x86_64 | cut -d ' ' -f 1)
tree=${tree%/usr/bin/*}
cat >"$work/qemu" <<END
#!/bin/sh
exec $tree/lib64/ld-linux-x86-64.so.2 --library-path $tree/usr/lib/x86_64-linux-gnu $tree/usr/bin/qemu-system-x86_64 \
  -L $tree/usr/share/qemu -L $tree/usr/share/seabios "\$@" -serial file:$work/measured $icount
END
chmod +x "$work/qemu"
KILN_ACCEL=tcg KILN_QEMU=$work/qemu sh "$work/out/launch.sh" </dev/null >"$work/console" 2>&1 || true
grep -q 'Startup finished' "$work/measured" || { tail -n 20 "$work/console" >&2; exit 1; }
cat "$work/measured"
# `Startup finished in 2.1s (kernel) + 1min 11.3s (userspace) = 1min 13.4s`
sed -n '/^Startup finished in /{s///p;q}' "$work/measured" | awk '{
    for (at = 1; at <= NF; at++) {
        if ($at ~ /min$/) spent += 60 * $at
        else if ($at ~ /ms$/) spent += $at / 1000
        else if ($at ~ /[0-9]s$/) spent += $at
        else if ($at ~ /^\(/ || $at == "=") { if ($at != "=") print substr($at, 2, length($at) - 2), spent; spent = 0 }
    }
    print "booted", spent
}' >"$work/parts"
while read -r part spent; do figure "boot.$part.kiln" "$spent" s-of-the-guest; done <"$work/parts"
