
# Appended to build.sh where the kernel has modules: what other modules are compiled against, as one archive. It holds what
# the kernel's own scripts/package/install-extmod-build takes, and the configuration. Of include/config only what names no
# option: files for single options stay behind from other configurations in an incremental tree.
# Output: headers.tar
[ -s Module.symvers ] || die "the kernel was compiled without Module.symvers, which modules need"
{
    find Makefile .config Module.symvers arch/@SRCARCH@/Makefile* arch/@SRCARCH@/include
    [ ! -d arch/@SRCARCH@/scripts ] || find arch/@SRCARCH@/scripts
    find include -path include/config -prune -o -print
    find include/config/auto.conf include/config/kernel.release
    find scripts -name package -prune -o -name dtc -prune -o -print
    [ ! -e tools/objtool/objtool ] || echo tools/objtool/objtool
} >../header-files
# What was compiled on the way, and the notes that make keeps of that, are of no use.
grep -vE '\.(o|a|cmd|d|tmp)$' ../header-files | sort -u >../headers
tar -c --format=gnu --owner=0 --group=0 --numeric-owner --mtime="@$source_date" --mode=u=rwX,go=rX --no-recursion \
    -f ../headers.tar -T ../headers
