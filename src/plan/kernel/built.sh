
# Appended to source.sh where the source is what a build of the recipe left. Input, below /kiln/in:
#   built                 a tar archive with one directory at its top, as of a tarball; or a directory
# A directory has no times of its own: the kernel is then dated as one from a directory of whoever builds.
unpack_tar_or_directory() {
    if [ ! -d /kiln/in/built ]; then
        unpack_tar /kiln/in/built linux
        return
    fi
    tar -c -C /kiln/in/built --mtime=@86400 . | tar -x --no-same-owner --no-same-permissions -C linux
}
unpack_source() {
    mkdir linux
    unpack_tar_or_directory
    [ -f linux/Makefile ] && [ -f linux/Kconfig ] || die "the source holds no kernel: no Makefile and Kconfig at its top"
    source_date=$(stat -c %Y linux/Makefile)
    for file in /kiln/in/patches/*; do
        [ ! -f "$file" ] || apply "$file"
    done
}
