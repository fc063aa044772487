#!/bin/bash
# Peak memory of every kiln process of a build, those inside sandboxes included.
#
# Usage, from anywhere, as root (other users may not look at processes with subordinate ids):
#   benches/memory.sh [KILN]                      every step of recipes/cxl-quick.kiln; KILN: the program [default: target/release/kiln]
#   benches/memory.sh KILN BUILD-ARGUMENT...      another build, e.g. --no-cache recipes/cxl-switch-4.kiln
#   benches/memory.sh KILN --thousand             an image of 1,200 packages: lock, plan, build, export, push; takes 15 GB of disk below
#                                                 TMPDIR, and half an hour
#   STORE=DIR benches/memory.sh                   keeps the store for the next time; it must not be the user's own
# Prints for each kind of process (kiln's own names its command, those inside are __sandbox, __init and __inside) the
# largest VmHWM (proc_pid_status(5): resident pages, the program's own among them) that a look every 20 ms found.
# shellcheck source=benches/lib.sh
. "$(dirname "$0")/lib.sh"
needs_root memory "processes with subordinate ids show their memory to root only"
program "${1:-}"
# A copy, whose processes are no other's.
cp "$kiln" "$work/kiln"
kiln=$work/kiln

watch() { # KILN-ARGUMENT...: kinds of processes with their peaks in MiB, in $work/most
    local running process peak kind
    : > "$work/seen"
    "$kiln" "$@" > "$work/log" 2>&1 &
    running=$!
    daemons=("$running")
    while kill -0 "$running" 2> /dev/null; do
        for process in /proc/[0-9]*; do
            [ "$(readlink "$process/exe" 2> /dev/null)" = "$kiln" ] || continue
            # Each may end between two looks.
            peak=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\) kB/\1/p' "$process/status" 2> /dev/null) || continue
            kind=$(tr '\0' ' ' 2> /dev/null < "$process/cmdline" | cut -d' ' -f2) || continue
            [ -z "$peak" ] || echo "$kind $peak" >> "$work/seen"
        done
        sleep 0.02
    done
    wait "$running" || { tail -n50 "$work/log" >&2; exit 1; }
    daemons=()
    awk '$2 > most[$1] { most[$1] = $2 } END { for (kind in most) printf "%s %.1f\n", kind, most[kind] / 1024 }' "$work/seen" |
        sort > "$work/most"
}
show() { # PREFIX
    local kind most
    while read -r kind most; do figure "memory.$1${kind#__}.kiln" "$most" MiB "<=150"; done < "$work/most"
}

if [ "${2:-}" = --thousand ]; then
    cp -r recipes "$work/recipes"
    recipe=$work/recipes/thousand.kiln
    # The popular packages that go together, and one whose dependencies are many others.
    excepted=$(cut -d: -f1 tests/popular-exceptions.txt | paste -sd'|' -)
    names=$(tr ' ' '\n' < tests/popular.txt | grep -vxE "fcitx5|$excepted" | sed 's/.*/"&"/' | paste -sd, -)
    cat > "$recipe" <<RECIPE
import "lib/debian-13.kiln"
kernel stock { package = package "linux-image-cloud-amd64" }
image thousand { size = 24GiB tools = image-tools packages = ["systemd-sysv", "libalien-sdl-dev-perl", $names] }
machine m { kernel = stock image = thousand qemu = qemu-11 }
RECIPE
    cd "$work"
    both() { # WHAT KILN-ARGUMENT...
        watch "${@:2}"
        show "thousand-$1."
    }
    both lock lock --lock lock "$recipe"
    both plan plan --lock lock "$recipe"
    both build build --allow-leaks --lock lock --out result "$recipe"
    both again build --allow-leaks --lock lock --out again "$recipe"
    for format in raw tar oci vmdk; do
        both "export-$format" export result --format "$format" -o "out.$format"
        rm "out.$format"
    done
    both push push --lock lock result oci:layout:v1
    both sbom sbom --lock lock result --format spdx
    exit
fi
if [ $# -gt 1 ]; then
    arguments=("${@:2}")
else
    cp -r recipes "$work/recipes"
    quietly "$work/log" "$kiln" lock --lock "$work/lock" "$work/recipes/cxl-quick.kiln"
    # What is downloaded is not what is measured.
    quietly "$work/log" "$kiln" build --lock "$work/lock" --out "$work/out" "$work/recipes/cxl-quick.kiln"
    arguments=(--offline --no-cache --lock "$work/lock" --out "$work/out" "$work/recipes/cxl-quick.kiln")
fi
watch build "${arguments[@]}"
show ""
