#!/bin/bash
# When `kiln test` runs the first step of recipes/cxl-quick.kiln, beside when its machine by itself has booted.
#
# Usage, from anywhere:
#   benches/test.sh [KILN]           KILN: the program [default: target/release/kiln, built when it is not there]
#   STORE=DIR benches/test.sh        keeps the store for the next time; it must not be the user's own
#   BARE=SECONDS benches/test.sh     does not run boot.sh, which found that
#   FILE=RECIPE benches/test.sh      another recipe of recipes/ with one image and one machine
# Needs the network for what the store lacks.
#
# As in boot.sh the guest's clock counts instructions, so that other work on the host does not matter. Both machines are one
# machine with one image, which has no program for this: under `kiln test` the shell of the tests asks systemd when the default
# target was reached, and what the clock says. By itself it is the same boot without that shell, as boot.sh measures it.
# shellcheck source=benches/lib.sh
. "$(dirname "$0")/lib.sh"
program "${1:-}"
recipe=${FILE:-cxl-quick.kiln}

bare=${BARE:-}
if [ -z "$bare" ]; then
    STORE="$KILN_STORE" FILE="$recipe" benches/boot.sh "$kiln" >"$work/boot"
    bare=$(awk '$1 == "figure" && $2 == "boot.booted.kiln" { print $3 }' "$work/boot")
fi

cp -r recipes "$work/recipes"
machine=$(sed -n 's/^machine \([a-z0-9-]*\) .*/\1/p' "recipes/$recipe" | head -n 1)
awk '{ print } /^machine / && !done { done = 1; print "  qemu-args = [\"-icount\", \"shift=1\"]" }' "recipes/$recipe" \
    >"$work/recipes/measured.kiln"
cat >>"$work/recipes/measured.kiln" <<END

test "the clock at the first step" on $machine {
  run "cat /proc/uptime >/run/clock; systemctl show -P ActiveEnterTimestampMonotonic multi-user.target >>/run/clock"
  fetch "/run/clock"
}
END
quietly "$work/log" "$kiln" lock "$work/recipes/measured.kiln"
cd "$work"
quietly "$work/log" "$kiln" test --accel tcg --logs "$work/guest" --only "the clock at the first step" recipes/measured.kiln
{
    read -r first _
    read -r target
} <"$work/guest/$machine/run/clock"
figure test.booted "$(ratio "$target" 1000000)" s-of-the-guest
figure test.kiln "$first" s-of-the-guest
figure test.peer "$bare" s-of-the-guest
figure test.ratio "$(ratio "$first" "$bare")" kiln/peer "<=1.2"
