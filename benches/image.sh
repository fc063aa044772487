#!/bin/bash
# Times packages -> compressed qcow2: kiln beside mmdebstrap, mke2fs and qemu-img, in turn.
#
# Usage, from anywhere, as root (mmdebstrap without root is slower):
#   benches/image.sh [KILN]          KILN: the program [default: target/release/kiln, built when it is not there]
#   SETS=server benches/image.sh     only this set: cxl-quick or server [default: both]
#   STORE=DIR benches/image.sh       keeps the store for the next time; it must not be the user's own
#   ROUNDS=N benches/image.sh        [default: 3]
#   PEER_OPTIONS=--dpkgopt=force-unsafe-io benches/image.sh     mmdebstrap with other options
# Needs mmdebstrap, apt-utils, e2fsprogs, qemu-utils, and the network for what the store lacks.
#
# Both sides start from the same .deb files on this disk, install the same packages in the same versions, add the same
# kernel modules from the kernel's package, and end with a zstd-compressed qcow2 of an ext4 file system of the same size. No network
# is used. Ours: `kiln build` after the results of its steps from packages to the disk, and the files that they made, were taken out of the
# store, so that exactly these run; the script fails when one did not. It includes what the peer does not do: checking every
# package against its SHA-256, the modules' indexes, dpkg --audit and --verify, the rules that make two builds equal, digests of everything that comes out.
# Peer: what a person would type. mke2fs reads a directory there, for Debian 12's cannot read a tar.
# shellcheck source=benches/lib.sh
. "$(dirname "$0")/lib.sh"
needs image mmdebstrap apt-ftparchive mke2fs qemu-img dpkg-deb
needs_root image "mmdebstrap without root is slower"
program "${1:-}"
version mmdebstrap "$(mmdebstrap --version | awk '{ print $2 }')"
version mke2fs "$(mke2fs -V 2>&1 | awk 'NR == 1 { print $2 }')"
version qemu-img "$(qemu-img --version | awk 'NR == 1 { print $3 }')"
cp -r recipes "$work/recipes"
cat > "$work/recipes/server.kiln" <<'RECIPE'
import "lib/debian-13.kiln"

kernel stock {
  package = package "linux-image-cloud-amd64"
}

image server extends debian-13 {
  packages += ["nginx", "postgresql", "python3"]
}

machine m {
  kernel = stock
  image  = server
  qemu   = qemu-11
}
RECIPE

# shellcheck disable=SC2119,SC2120 # `seconds` calls it with an option
build() { # OPTION...
    "$kiln" build --lock "$lock" --out "$work/ours" "$@" "$recipe"
}

# A field of the lock's package lines, which are like `  { name = "apt", ..., sha256 = "15c2...", ... },`
field() { # NAME
    sed -n "s/.*[{ ]$1 = \"\([^\"]*\)\".*/\1/p"
}
packages() { # SET: its lines of the lock
    awk -v set="[sets.$1]" '/^\[/ { inside = $0 == set } inside && /^  \{ name = /' "$lock"
}

timed() { # The steps that make the image of its packages, by the image's name in theirs, and those of the kernel's modules: a name and an action in each line.
    "$kiln" plan --json --lock "$lock" "$recipe" | awk -F '"' -v image="$set" '
        $2 == "name" { name = $4 } $2 == "action" && (name ~ " " image "( |$)" || name ~ /^(kernel|depmod|modules) stock$/) { print name "\t" $4 }'
}
forget() { # The results of the steps that are timed, and the files that the results name.
    # All actions are found before the first result goes: those of later steps follow from it.
    timed > "$work/timed"
    for step in kernel modules base root; do
        grep -q "^$step " "$work/timed" || { echo "the plan has no step \`$step\`" >&2; exit 1; }
    done
    cut -f 2 "$work/timed" | while read -r action; do
        result=$KILN_STORE/ac/$action
        # A step whose output only passes to the next has no result. A result is a REAPI message, in which digests stand as text.
        [ -e "$result" ] || continue
        grep -aoE '[0-9a-f]{64}' "$result" | while read -r digest; do rm -f "$KILN_STORE/cas/$digest"; done
        rm -f "$result"
    done
}
ran() { # The timed steps with their times; fails when one was cached, or when none wrote the disk.
    cut -f 1 "$work/timed" > "$work/names"
    sed -n 's/: cached (.*//p' "$work/ours-$set.log" | grep -xFf "$work/names" > "$work/cached" &&
        { echo "not timed, since it is cached: $(cat "$work/cached")" >&2; exit 1; }
    grep -Ff "$work/names" "$work/ours-$set.log" | grep ' done in ' | sed 's/ done in//' | paste -sd ';' -
    # The last step of the image is the one whose file is delivered.
    grep -q "^$(tail -n1 "$work/names"): done in" "$work/ours-$set.log" || { echo "the last step did not run" >&2; exit 1; }
}

peer() { # Within `||` the shell does not stop at errors by itself.
    # shellcheck disable=SC2086 # options are words
    mmdebstrap --quiet --variant=custom --include="$names" ${PEER_OPTIONS:-} trixie "$work/tree" \
        "deb [trusted=yes] copy://$work/repository ./" &&
    dpkg-deb --fsys-tarfile "$KILN_STORE/cas/$modules" | tar -x -C "$work/tree" ./usr/lib/modules &&
    truncate -s "$bytes" "$work/peer.raw" &&
    mke2fs -q -F -t ext4 -d "$work/tree" "$work/peer.raw" &&
    qemu-img convert -c -O qcow2 -o compression_type=zstd "$work/peer.raw" "$work/peer.qcow2"
}

measure() { # SET AIM: an image and its recipe have the name of the set
    set=$1 recipe=$work/recipes/$1.kiln lock=$work/$1.lock
    quietly "$work/log" "$kiln" lock --lock "$lock" "$recipe"
    quietly "$work/log" build
    rm -rf --one-file-system "$work/repository"
    mkdir "$work/repository"
    packages "$set" > "$work/packages"
    field sha256 < "$work/packages" > "$work/digests"
    field path < "$work/packages" | sed 's,.*/,,' | paste "$work/digests" - > "$work/files"
    while read -r digest file; do
        # A copy where a hard link is impossible, and readable for apt's own user. A link must not change the blob's mode.
        cp "$KILN_STORE/cas/$digest" "$work/repository/$file"
    done < "$work/files"
    chmod 755 "$work"
    (cd "$work/repository" && chmod 644 -- *.deb && apt-ftparchive packages . > Packages)
    names=$(field name < "$work/packages" | paste -sd, -)
    modules=$(packages '"stock.package"' | grep 'name = "linux-image-[0-9]' | field sha256)
    bytes=$(qemu-img info "$work/ours/disk.qcow2" | sed -n 's/^virtual size: .*(\([0-9]*\) bytes)$/\1/p')
    echo "$set: $(wc -l < "$work/packages") packages, file system of $bytes bytes"
    for round in $(seq "$rounds"); do
        forget
        rm -rf "$work/ours"
        seconds "ours-$set" build --offline
        ran
        rm -rf --one-file-system "$work/tree" "$work/peer.raw" "$work/peer.qcow2"
        seconds "peer-$set" peer
        echo " round $round: ours $(last "ours-$set"); peer $(last "peer-$set")"
    done
    beside "image.$set" "ours-$set" "peer-$set" "$2"
    figure "image.$set.kiln-size" "$(stat -c %s "$work/ours/disk.qcow2")" bytes
    figure "image.$set.peer-size" "$(stat -c %s "$work/peer.qcow2")" bytes
}

for set in ${SETS:-cxl-quick server}; do
    case $set in
        cxl-quick) measure cxl-quick ">=4" ;;
        server) measure server ">=3.5" ;;
        *) echo "no set \`$set\`: cxl-quick, server" >&2; exit 1 ;;
    esac
done
