# Step `kernel-build`: source and .config to vmlinuz, with nothing in it that a second build would not repeat.
# Inputs: those of source.sh and kernel.config.
# Outputs: vmlinuz, System.map, kernel.release, and modules.tar where the configuration has modules.
# KILN_JOBS is the number of jobs; it must not change a bit.
. /kiln/in/source.sh
unpack_source
top=$PWD/linux
cd linux

# The banner tells when the source was made: it changes with the source, and not with every new lock.
KBUILD_BUILD_TIMESTAMP=$(date -u -d "@$source_date")
export ARCH=@ARCH@ KBUILD_BUILD_TIMESTAMP KBUILD_BUILD_USER=kiln KBUILD_BUILD_HOST=kiln KBUILD_BUILD_VERSION=1
export KCONFIG_NOTIMESTAMP=1 SOURCE_DATE_EPOCH="$source_date" PYTHONHASHSEED=0 PERL_HASH_SEED=0
# The path is the same everywhere; the maps are for whoever builds elsewhere and compares.
map="-ffile-prefix-map=$top/=./"
export KCFLAGS="$map" KAFLAGS="$map"

if ! configured; then
    cp /kiln/in/kernel.config .config
    chmod u+w .config
    make -s olddefconfig
    cmp .config /kiln/in/kernel.config || die "configuring again changed the configuration: the two steps saw different tools"
fi

run() {
    make -j"${KILN_JOBS:-$(nproc)}" "$@"
}
run @IMAGE@
cp arch/@SRCARCH@/boot/@IMAGE@ ../vmlinuz
cp System.map ../System.map
# What `make kernelrelease` says, without reading all makefiles for it once more.
cp include/config/kernel.release ../kernel.release
release=$(cat ../kernel.release)

grep -q '^CONFIG_MODULES=y' .config || exit 0
run modules
# The indexes are made by a step of their own, as they are for a stock kernel.
run modules_install INSTALL_MOD_PATH=/kiln/build/modules INSTALL_MOD_STRIP=1 DEPMOD=true
modules=/kiln/build/modules/lib/modules/$release
# Links into the build tree, which nobody will have.
rm -f "$modules/build" "$modules/source"
mkdir -p ../modules/usr/lib
mv ../modules/lib/modules ../modules/usr/lib/modules
# Only what lies below usr/lib/modules: the image already has the directories above, and /lib as a link.
tar -c --format=gnu --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$source_date" \
    --mode=u=rwX,go=rX -C ../modules -f ../modules.tar "usr/lib/modules/$release"
