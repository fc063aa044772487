
# Appended to source.sh where the source is a directory of whoever builds, and replaces what that has. Input, below /kiln/in:
#   source.tar            the files of the directory, all of one time
# The kernel is dated by that time: when a file was edited is no fact that a second build would repeat.
unpack_source() {
    mkdir linux
    tar -x --no-same-owner --no-same-permissions -C linux -f /kiln/in/source.tar
    [ -f linux/Makefile ] && [ -f linux/Kconfig ] || die "the source holds no kernel: no Makefile and Kconfig at its top"
    for file in /kiln/in/patches/*; do
        [ ! -f "$file" ] || apply "$file"
    done
    touch -d @86400 linux/Makefile
    source_date=86400
    tell_failures
}

# What fails from here on fails because of the source, or is interrupted: make has ended by then, and the tree that it leaves is
# whole. The next build goes on from it.
tell_failures() {
    trap 'exit 143' TERM
    trap '[ $? = 0 ] || : >/kiln/build/failed' EXIT
}
