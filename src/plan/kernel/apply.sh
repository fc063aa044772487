
# Follows source.sh where anything is patched, and replaces what it has. A patch that does not fit says in which file and
# hunk. Patching gives a file the time of patching; the Makefile's dates the kernel, so it keeps its own.
apply() {
    touch -r linux/Makefile Makefile.time
    patch -p1 -F0 -f -d linux --no-backup-if-mismatch <"$1" >patch.log 2>&1 || {
        cat patch.log >&2
        echo "${1##*/} does not apply to this source"
        # See plan/statement.rs: a patch of the recipe is to be changed there.
        case $1 in /kiln/in/patches/*) exit 65 ;; esac
        exit 1
    }
    touch -r Makefile.time linux/Makefile
}
