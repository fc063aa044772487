
# Follows source.sh where a step goes on from the tree that an earlier run of it left in ./linux, and replaces what it has.
# That run had the same source, patches, scripts and tools, and ended well; only its configuration was another.
unpack_source() {
    [ -f linux/Makefile ] && [ -f linux/.config ] && [ -f linux/include/config/auto.conf ] ||
        die "the kept tree is not that of a finished kernel"
    source_date=$(stat -c %Y linux/Makefile)
    untracked
    forward
    # What is linked is made again: it costs seconds, and some of it depends on more than make knows, such as the types
    # of a module on those of the kernel. The programs of the build stay: every object depends on objtool.
    find linux -path linux/tools -prune -o -path linux/scripts -prune -o \
        -type f \( -name '*.ko' -o -name '*.mod.o' -o -name '*.a' \) -exec rm -f {} +
    rm -f linux/vmlinux linux/vmlinux.o linux/System.map linux/Module.symvers linux/modules.*
    # From here on whoever interrupts this goes on from what it leaves: the shell hears of it when make has ended.
    trap ': >/kiln/build/failed; exit 143' TERM
}

# The times stay as make left them. What was made for an option that is off now is not made again, and may be older than what
# it was made of; only its time tells, once the option is back. So nothing may have been written later than now: had the clock
# been set back, what is written from now on would seem older than what was made of it.
forward() {
    : >now
    ahead=$(find linux -newer now -print -quit)
    [ -z "$ahead" ] || die "$ahead was written later than now: the clock was set back since the kept tree was built"
}

# Options that reach files which their .cmd files do not tell of, or not whenever they change: with another value of one
# of these the step starts from nothing. So it does where headers are packed, for those of other configurations are there.
untracked() {
    ! grep -q '^CONFIG_IKHEADERS=' /kiln/in/kernel.config || die "IKHEADERS packs what is left of other configurations"
    for file in linux/.config /kiln/in/kernel.config; do
        grep -E '^CONFIG_(MODVERSIONS|TRIM_UNUSED_KSYMS|GCC_PLUGIN.*|LTO.*|CFI.*|DEBUG_INFO.*|RUST)=' "$file" || true
    done | sort | uniq -u | { ! grep . >&2; } || die "these options changed, which make does not follow everywhere"
}
