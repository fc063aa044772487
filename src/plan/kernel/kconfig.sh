# Step `kernel-kconfig`: the part of the source that decides a configuration, in one small tar. Configuring from it
# gives what configuring the whole tree gives, in seconds, and a patch to a driver's code does not configure again.
# Output: kconfig.tar
. /kiln/in/source.sh
unpack_source
cd linux
{
    find . \( -name 'Kconfig*' -o -name 'Makefile*' -o -name 'Kbuild*' \) -type f
    find ./scripts ./arch/@SRCARCH@/configs ./kernel/configs -type f
} | sort -u >../members
# Times are all zero: they would tell nothing that the contents do not, and a patch would move them.
tar -c --format=gnu --owner=0 --group=0 --numeric-owner --mtime=@0 --mode=u=rwX,go=rX --no-recursion \
    -f ../kconfig.tar -T ../members
