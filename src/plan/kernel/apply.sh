
# Appended to source.sh where anything is patched. -F0: a patch that does not fit exactly is an error, not a guess; it
# says in which file and hunk. Patching gives a file the time of patching; the Makefile's dates the kernel, so it keeps its own.
apply() {
    touch -r linux/Makefile Makefile.time
    patch -p1 -F0 -f -d linux --no-backup-if-mismatch <"$1" >patch.log 2>&1 || {
        cat patch.log >&2
        die "${1##*/} does not apply to this source"
    }
    touch -r Makefile.time linux/Makefile
}
