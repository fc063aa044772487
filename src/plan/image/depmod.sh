# Indexes a module tree with the locked kmod. $1: the tar of the tree, $2: the kernel's release, or `auto`.
set -eu
mkdir tree
tar -x -f "$1" -C tree
for modules in tree/usr/lib/modules/*; do
  release=${modules##*/}
  # kmod looks below /lib/modules; the tree, like every Debian root since 12, has only /usr/lib.
  [ -e tree/lib ] || ln -s usr/lib tree/lib
  depmod -b tree "$release"
done
tar -c -f depmod.tar -C tree --sort=name --format=posix --owner=0 --group=0 --numeric-owner --mode=u+rw,go=r \
  --mtime="@$SOURCE_DATE_EPOCH" --pax-option=delete=atime,delete=ctime \
  $(cd tree && ls -d usr/lib/modules/*/modules.alias* usr/lib/modules/*/modules.dep* usr/lib/modules/*/modules.symbols* \
    usr/lib/modules/*/modules.softdep usr/lib/modules/*/modules.weakdep usr/lib/modules/*/modules.devname usr/lib/modules/*/modules.builtin.bin \
    usr/lib/modules/*/modules.builtin.alias.bin 2>/dev/null)
