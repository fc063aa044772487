
# Follows source.sh where a step goes on from the tree that an earlier run of it left in ./linux, and replaces what it has.
# That run had the same source, patches, scripts and tools, and ended well; only its configuration was another.
unpack_source() {
    [ -f linux/Makefile ] && [ -f linux/.config ] && [ -f linux/include/config/auto.conf ] ||
        die "the kept tree is not that of a finished kernel"
    source_date=$(stat -c %Y linux/Makefile)
    untracked
    # One time for everything: nothing is newer than anything else, as it is when everything is up to date, and whatever
    # is written from now on is newer, however wrong the clock is or was. The Makefile's time dates the kernel.
    find linux ! -path linux/Makefile -exec touch -h -d @86400 {} +
    # What is linked is made again: it costs seconds, and some of it depends on more than make knows, such as the types
    # of a module on those of the kernel. The programs of the build stay: every object depends on objtool.
    find linux -path linux/tools -prune -o -path linux/scripts -prune -o \
        -type f \( -name '*.ko' -o -name '*.mod.o' -o -name '*.a' \) -exec rm -f {} +
    rm -f linux/vmlinux linux/vmlinux.o linux/System.map linux/Module.symvers linux/modules.*
}

# Options that reach files which their .cmd files do not tell of, or not whenever they change: with another value of one
# of these the step starts from nothing. So it does where headers are packed, for those of other configurations are there.
untracked() {
    ! grep -q '^CONFIG_IKHEADERS=' /kiln/in/kernel.config || die "IKHEADERS packs what is left of other configurations"
    for file in linux/.config /kiln/in/kernel.config; do
        grep -E '^CONFIG_(MODVERSIONS|TRIM_UNUSED_KSYMS|GCC_PLUGIN.*|LTO.*|CFI.*|DEBUG_INFO.*|RUST)=' "$file" || true
    done | sort | uniq -u | { ! grep . >&2; } || die "these options changed, which make does not follow everywhere"
}
