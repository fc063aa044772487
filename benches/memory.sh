#!/bin/sh
# Peak memory of every kiln process of a build, those inside sandboxes included.
#
# Usage, as root (other users may not look at processes with subordinate ids):
#   benches/memory.sh KILN BUILD-ARGUMENT...      e.g. benches/memory.sh target/release/kiln --no-cache recipes/cxl-quick.kiln
# Prints for each kind of process (kiln's own names its command, those inside are __sandbox, __init and __inside) the
# largest VmHWM (proc_pid_status(5): resident pages, the program's own among them) that a look every 20 ms found.
set -eu
kiln=$(readlink -f "$1")
shift
seen=$(mktemp)
build=
trap 'rm -f "$seen" "$seen.log"; [ -z "$build" ] || kill "$build" 2> /dev/null' EXIT
trap 'exit 130' INT TERM
"$kiln" build "$@" > "$seen.log" 2>&1 &
build=$!
while kill -0 "$build" 2> /dev/null; do
    for process in /proc/[0-9]*; do
        [ "$(readlink "$process/exe" 2> /dev/null)" = "$kiln" ] || continue
        peak=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\) kB/\1/p' "$process/status" 2> /dev/null) || continue
        kind=$(tr '\0' ' ' < "$process/cmdline" 2> /dev/null | cut -d' ' -f2) || continue
        [ -z "$peak" ] || echo "$kind $peak" >> "$seen"
    done
    sleep 0.02
done
wait "$build" || { cat "$seen.log" >&2; exit 1; }
build=
awk '$2 > most[$1] { most[$1] = $2 } END { for (kind in most) printf "%s: %.1f MiB\n", kind, most[kind] / 1024 }' "$seen" | sort
