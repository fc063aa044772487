#!/bin/sh
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
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT
trap 'exit 130' INT TERM
kiln=$(realpath "${1:-target/release/kiln}")
[ -x "$kiln" ] || cargo build --quiet --release
export KILN_STORE="${STORE:-$work/store}"
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
"$kiln" lock "$work/recipes/measured.kiln" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
"$kiln" build --out "$work/out" "$work/recipes/measured.kiln" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }

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
