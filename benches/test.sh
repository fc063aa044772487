#!/bin/sh
# When `kiln test` runs the first step of recipes/cxl-quick.kiln, beside when its machine by itself has booted.
#
# Usage, from anywhere:
#   benches/test.sh [KILN]           KILN: the program [default: target/release/kiln, built when it is not there]
#   STORE=DIR benches/test.sh        keeps the store for the next time; it must not be the user's own
#   FILE=RECIPE benches/test.sh      another recipe of recipes/ with one image and one machine
# Needs the network for what the store lacks.
#
# As in boot.sh the guest's clock counts instructions, so that other work on the host does not matter. Both machines are one
# machine with one image, which has no program for this: under `kiln test` the shell of the tests asks systemd when the default
# target was reached, and what the clock says. By itself it is the same boot without that shell, as boot.sh measures it.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT
trap 'exit 130' INT TERM
kiln=$(realpath "${1:-target/release/kiln}")
[ -x "$kiln" ] || cargo build --quiet --release
export KILN_STORE="${STORE:-$work/store}"
recipe=${FILE:-cxl-quick.kiln}

bare=$(STORE="$KILN_STORE" FILE="$recipe" benches/boot.sh "$kiln" | sed -n 's/^Startup finished in .* = \([0-9.]*\)s.*/\1/p' | head -n 1)

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
"$kiln" lock "$work/recipes/measured.kiln" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
(cd "$work" && "$kiln" test --accel tcg --logs "$work/guest" --only "the clock at the first step" recipes/measured.kiln) \
    >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
awk -v bare="$bare" '
    NR == 1 { first = $1 }
    NR == 2 { target = $1 / 1000000 }
    END { printf "by itself: booted at %.1f s\nkiln test: booted at %.1f s, first step at %.1f s: %.2f times\n",
          bare, target, first, first / bare }' "$work/guest/$machine/run/clock"
