#!/bin/bash
# Times what a build does after one thing changed, beside the full build, and fails when more than the dependents run.
#
# Usage, from anywhere:
#   benches/rebuild.sh [KILN]        KILN: the program [default: target/release/kiln, built when it is not there]
#   STORE=DIR benches/rebuild.sh     keeps the store for the next time; it must not be the user's own
#   ROUNDS=N benches/rebuild.sh      [default: 3]; each round makes every change again, with other values
#   KERNEL=1 benches/rebuild.sh      with one option of a compiled kernel changed, too: it compiles a small kernel twice
# Needs the network for what the store lacks.
#
# "Full" is every step of the recipe run again with its packages cached (`--no-cache --offline`); the others are plain builds. What is
# measured is the build, not the lock before it.
# shellcheck source=benches/lib.sh
. "$(dirname "$0")/lib.sh"
program "${1:-}"
cp -r recipes "$work/recipes"
wrong=0

change() { # FILE FROM TO: exactly one line
    [ "$(grep -cF -- "$2" "$1")" = 1 ] || { echo "$1 does not have \`$2\` once" >&2; exit 1; }
    awk -v from="$2" -v to="$3" '{ at = index($0, from); if (at) $0 = substr($0, 1, at - 1) to substr($0, at + length(from)); print }' \
        "$1" > "$1.new"
    mv "$1.new" "$1"
}

build() { # RECIPE LOCK NAME "STEPS THAT RUN" OPTION...
    local recipe=$1 lock=$2 name=$3 expected=$4 ran
    shift 4
    quietly "$work/log" "$kiln" lock --lock "$lock" "$recipe"
    seconds "$name" "$kiln" build --lock "$lock" --out "$work/out" "$@" "$recipe"
    ran=$(sed -n 's/^\([a-z-]*\) .*: running (.*/\1/p' "$work/$name.log" | LC_ALL=C sort -u | paste -sd' ' -)
    echo "$name | $(last "$name") | $ran"
    [ "$expected" = any ] || [ "$ran" = "$expected" ] || { echo "  expected to run: $expected" >&2; wrong=1; }
}

forget() { # RECIPE LOCK STEP: its result alone, by the whole name of the step, which a store that is kept may have from the last time
    quietly "$work/log" "$kiln" lock --lock "$2" "$1"
    "$kiln" plan --json --lock "$2" "$1" | awk -F '"' -v step="$3" '
        $2 == "name" { name = $4 } $2 == "action" && name == step { print $4 }' |
        while read -r action; do rm -f "$KILN_STORE/ac/$action"; done
}

quick=$work/recipes/cxl-quick.kiln
lock=$work/quick.lock
more=(less file tree nano bc lsof)
[ "$rounds" -le ${#more[@]} ] || { echo "at most ${#more[@]} rounds" >&2; exit 1; }
# Other values than those of the last run.
host=other-$$
name=cxl-quick text="" package="" memory=2GiB
change "$quick" 'hostname = "cxl-quick"' 'hostname = "cxl-quick" user "visitor" { uid = 2000 } file "/etc/motd" { text = "" }'
build "$quick" "$lock" first any
for round in $(seq "$rounds"); do
    build "$quick" "$lock" full any --no-cache --offline
    build "$quick" "$lock" nothing "" --offline
    change "$quick" "hostname = \"$name\"" "hostname = \"$host-$round\""
    build "$quick" "$lock" host-name "disk named root"
    change "$quick" "text = \"$text\"" "text = \"changed $host $round\""
    build "$quick" "$lock" file "disk root"
    change "$quick" "uid = $((1999 + round))" "uid = $((2000 + round))"
    build "$quick" "$lock" user "disk root"
    change "$quick" "hostname = \"$host-$round\"$package" "hostname = \"$host-$round\" packages += [\"${more[round - 1]}\"]"
    forget "$quick" "$lock" "base cxl-quick"
    build "$quick" "$lock" package "base disk named root"
    change "$quick" "param memory-size = $memory" "param memory-size = $((2 + round))GiB"
    build "$quick" "$lock" machine ""
    name=$host-$round text="changed $host $round" package=" packages += [\"${more[round - 1]}\"]" memory=$((2 + round))GiB
    sed "s/image cxl-quick /image second /; s/= cxl-quick$/= second/; s/changed $host/a second recipe with these packages, $host/" "$quick" \
        > "$work/recipes/second.kiln"
    sed 's/^\[\(sets\|images\)\.cxl-quick\]/[\1.second]/' "$lock" > "$work/second.lock"
    build "$work/recipes/second.kiln" "$work/second.lock" another-recipe "disk root"
done

if [ -n "${KERNEL:-}" ]; then
    tiny=$work/recipes/tiny.kiln
    cat > "$tiny" <<'RECIPE'
import "lib/debian-13.kiln"

kernel tiny {
  source  = package "linux-source-6.12"
  base    = "tinyconfig"
  build   = kernel-build
  option LOCALVERSION = "-tiny"
  # What a machine would need to boot is waived by turning it off.
  option BINFMT_ELF = n
  option VIRTIO_PCI = n
  option VIRTIO_BLK = n
  option EXT4_FS = n
  option DEVTMPFS = n
  option SERIAL_8250_CONSOLE = n
}

machine small {
  kernel = tiny
  image  = debian-13
  qemu   = qemu-11
}
RECIPE
    build "$tiny" "$work/tiny.lock" kernel-first any
    build "$tiny" "$work/tiny.lock" kernel-full any --no-cache --offline
    change "$tiny" 'option LOCALVERSION = "-tiny"' 'option LOCALVERSION = "-other"'
    build "$tiny" "$work/tiny.lock" kernel-option "kernel-build kernel-check kernel-config"
fi

for case in full nothing machine another-recipe ${KERNEL:+kernel-full kernel-option}; do
    figure "rebuild.$case.kiln" "$(median "$case.times")" s
done
for case in host-name file user; do
    figure "rebuild.$case.kiln" "$(median "$case.times")" s "<=2"
    figure "rebuild.$case.kiln-processor" "$(median "$case.cpu")" s
done
# The peer is the full build.
of_peer rebuild.package package full "<=0.333"
exit $wrong
