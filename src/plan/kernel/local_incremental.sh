
# Follows incremental.sh where the source is a directory of whoever builds, and replaces what that has. Inputs, below /kiln/in:
#   source.tar            the files of the directory that are new or changed since the tree in ./linux was built
#   source.removed        the paths that are gone, each ended by a zero byte
# What is written now is newer than everything that was made of it, so that make compiles what depends on it.
unpack_source() {
    [ -f linux/Makefile ] && [ -f linux/.config ] && [ -f linux/include/config/auto.conf ] ||
        die "the kept tree is not that of a finished kernel"
    untracked
    forward
    links
    (cd linux && xargs -0 -r rm -rf -- </kiln/in/source.removed)
    # What was made of a source that is gone would be up to date for make, which has no rule for it any more.
    sed -z -n 's/\.\(c\|S\|rs\)$/.o/p' /kiln/in/source.removed | (cd linux && xargs -0 -r rm -f --)
    tar -x -m --recursive-unlink --no-same-owner --no-same-permissions -C linux -f /kiln/in/source.tar
    source_date=86400
    linked='-name *.ko -o -name *.mod.o'
    if cmp -s linux/.config /kiln/in/kernel.config && ! decisive; then
        # Nothing that configuring reads is another. make knows of what an archive was made and with which words, and makes it
        # again when either changes; a thousand archives that are up to date stay.
        configured() {
            true
        }
    else
        linked="$linked -o -name *.a"
    fi
    # Without modules and with all archives there is nothing to look for among a hundred thousand files.
    if ! configured || grep -q '^CONFIG_MODULES=y' linux/.config; then
        set -f
        find linux -path linux/tools -prune -o -path linux/scripts -prune -o -type f \( $linked \) -exec rm -f {} +
        set +f
    fi
    rm -f linux/vmlinux linux/vmlinux.o linux/System.map linux/Module.symvers linux/modules.*
    tell_failures
}

# make asks a link for the time of what it leads to, and not since when it leads there.
links() {
    link=$(tar -t -v -f /kiln/in/source.tar | sed -n 's/^l.* [0-9][0-9-]* [0-9][0-9:]* \(.*\) -> .*/\1/p' | head -n 1)
    [ -z "$link" ] || die "$link is a symbolic link that is new or leads elsewhere, which make does not see"
}

# Whether a path that is new, changed or gone is among those that decide a configuration: the files of `kconfig.tar`. A name
# with a line break in it is one, too.
decisive() {
    {
        tar -t -f /kiln/in/source.tar
        tr '\n\0' '\\\n' </kiln/in/source.removed
    } | grep -qE '\\|(^|/)(Kconfig|Makefile|Kbuild)[^/]*$|^scripts/|^arch/[^/]*/configs/|^kernel/configs/'
}
