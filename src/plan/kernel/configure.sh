# Step `kernel-config`: a base, fragments on top, and the kernel's own word on what follows.
# Arguments: the base: `target NAME`, `file` or `deb`. Inputs, below /kiln/in: kconfig.tar, base.config or base.deb,
# fragments/NNN-NAME. Outputs: kernel.config, and config.log with Kconfig's own warnings.
set -eu
mkdir -p /tmp/bin linux
[ -e /usr/bin/awk ] || ln -s /usr/bin/mawk /tmp/bin/awk
PATH=/tmp/bin:$PATH
die() {
    echo "error: $*" >&2
    exit 1
}
tar -x -C linux -f /kiln/in/kconfig.tar
cd linux
export ARCH=@ARCH@ KCONFIG_NOTIMESTAMP=1 KBUILD_BUILD_USER=kiln KBUILD_BUILD_HOST=kiln

# Debian ships its configurations beside each kernel image, and compressed in one package for all flavours.
debian_base() {
    mkdir ../base
    dpkg-deb --fsys-tarfile /kiln/in/base.deb |
        tar -x -C ../base --no-same-owner --wildcards './boot/config-*' 2>/dev/null && cat ../base/boot/config-* >.config &&
        return
    dpkg-deb --fsys-tarfile /kiln/in/base.deb |
        tar -x -C ../base --no-same-owner --wildcards './usr/src/linux-config-*/config.@DEBIAN@_none_@DEBIAN@.xz' ||
        die "the package ships no kernel configuration for @DEBIAN@"
    xz -dc ../base/usr/src/linux-config-*/config.@DEBIAN@_none_@DEBIAN@.xz >.config
}

case $1 in
target) make -s "$2" || die "the source has no configuration target '$2'" ;;
file) cp /kiln/in/base.config .config ;;
deb) debian_base ;;
esac
# A copy of a read-only input may be read-only itself.
chmod u+w .config

# Of two assignments Kconfig takes the later one, and among the members of a choice the one set last.
for fragment in /kiln/in/fragments/*; do
    [ ! -f "$fragment" ] || cat "$fragment" >>.config
done
make olddefconfig >../config.log 2>&1 || {
    cat ../config.log >&2
    die "the kernel's own configuration step failed"
}
cp .config ../kernel.config
