
# Appended to build.sh where the kernel has modules: what other modules are compiled against, as one archive. It holds what
# the kernel's own scripts/package/install-extmod-build takes, and the configuration.
# Output: headers.tar
header_files() {
    find Makefile .config Module.symvers arch/@SRCARCH@/Makefile* arch/@SRCARCH@/include arch/@SRCARCH@/scripts include
    find scripts -name package -prune -o -name dtc -prune -o -print
    [ ! -e tools/objtool/objtool ] || echo tools/objtool/objtool
}
# What was compiled on the way, and the notes that make keeps of that.
header_files 2>/dev/null | grep -vE '\.(o|a|cmd|d|tmp)$' | sort -u >../headers
[ -s Module.symvers ] || die "the kernel was compiled without Module.symvers, which modules need"
tar -c --format=gnu --owner=0 --group=0 --numeric-owner --mtime="@$source_date" --mode=u=rwX,go=rX --no-recursion \
    -f ../headers.tar -T ../headers
