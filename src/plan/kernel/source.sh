# Sourced by the steps that need the kernel's source tree; leaves it, patched, in ./linux. Inputs, below /kiln/in:
#   source.deb            a package that ships /usr/src/linux-source-*.tar.xz; or
#   source/               the files of a Debian source package; or one upstream tarball
#   patches/NNN-NAME      patches of the recipe, in order
# Patches are applied by apply(), which apply.sh appends to this script where there are any.
# Every pipe ends in a reader that notices a truncated stream, since sh looks at the last exit code only.
set -eu

# Debian's tool packages name their awk through an alternative, which an unpacked tree does not have.
mkdir -p /tmp/bin
[ -e /usr/bin/awk ] || ln -s /usr/bin/mawk /tmp/bin/awk
PATH=/tmp/bin:$PATH

die() {
    echo "error: $*" >&2
    exit 1
}

# Whether the tree is configured as it is to be, so that configuring it again would change nothing.
configured() {
    false
}

# The tarball's own top directory is dropped: the tree is always at the same path, whatever its version.
unpack_tar() {
    tar -x --no-same-owner --no-same-permissions --strip-components=1 -C "$2" -f "$1"
}

unpack_deb() {
    dpkg-deb --fsys-tarfile "$1" |
        tar -xO --wildcards './usr/src/linux-source-*.tar.xz' |
        tar -xJ --no-same-owner --no-same-permissions --strip-components=1 -C linux
}

unpack_dsc() {
    for file in /kiln/in/source/*.orig.tar.*; do
        case $file in *.asc) continue ;; esac
        unpack_tar "$file" linux
    done
    mkdir debian-part
    unpack_tar /kiln/in/source/*.debian.tar.* debian-part
    [ ! -f debian-part/patches/series ] ||
        sed -e 's/#.*//' -e 's/[[:space:]]*$//' -e '/^$/d' debian-part/patches/series | while read -r name _; do
            apply "debian-part/patches/$name"
        done
    rm -rf debian-part
}

unpack_source() {
    mkdir linux
    if [ -e /kiln/in/source.deb ]; then
        unpack_deb /kiln/in/source.deb
    elif ls /kiln/in/source/*.dsc >/dev/null 2>&1; then
        unpack_dsc
    else
        for file in /kiln/in/source/*; do unpack_tar "$file" linux; done
    fi
    [ -f linux/Makefile ] && [ -f linux/Kconfig ] || die "the source holds no kernel: no Makefile and Kconfig at its top"
    source_date=$(stat -c %Y linux/Makefile)
    for file in /kiln/in/patches/*; do
        [ ! -f "$file" ] || apply "$file"
    done
}
