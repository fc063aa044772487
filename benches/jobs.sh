#!/bin/bash
# What `kiln test --jobs 2` saves of `--jobs 1`: two recipes whose machines boot one after the other, or at the same time.
#
# Usage, from anywhere:
#   benches/jobs.sh [KILN]           KILN: the program [default: target/release/kiln, built when it is not there]
#   STORE=DIR benches/jobs.sh        keeps the store for the next time; it must not be the user's own
#   ROUNDS=N benches/jobs.sh         [default: 3]
# Needs the network for what the store lacks.
#
# Both recipes are recipes/cxl-quick.kiln with one processor for each machine, and their image is built before: what is measured is the
# boot, one step and the end of each, by the clock and by software emulation. On a host with less than two processors to spare, or with
# other work, the figure says nothing.
# shellcheck source=benches/lib.sh
. "$(dirname "$0")/lib.sh"
[ "$(nproc)" -ge 2 ] || set_aside jobs "two machines side by side need two processors"
program "${1:-}"
cp -r recipes "$work/recipes"
for name in one two; do
    sed '/^test "/,/^}/d; s/^  cpus   = 2$/  cpus   = 1/; /^ *forward /d' recipes/cxl-quick.kiln > "$work/recipes/$name.kiln"
    printf '\ntest "it boots" on quick {\n  run "true"\n}\n' >> "$work/recipes/$name.kiln"
    grep -q '^  cpus   = 1$' "$work/recipes/$name.kiln" || { echo "cxl-quick.kiln has no two processors" >&2; exit 1; }
    quietly "$work/log" "$kiln" lock "$work/recipes/$name.kiln"
    quietly "$work/log" "$kiln" build --out "$work/$name" "$work/recipes/$name.kiln"
done
cd "$work"
tests() { # JOBS
    "$kiln" test --offline --accel tcg --jobs "$1" recipes/one.kiln recipes/two.kiln
}
for round in $(seq "$rounds"); do
    seconds alone tests 1
    seconds together tests 2
    echo " round $round: --jobs 1 $(last alone); --jobs 2 $(last together)"
done
# The peer is one after the other.
beside jobs together alone
