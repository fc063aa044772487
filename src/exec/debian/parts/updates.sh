# What a system with systemd does at its first boot because nothing says that it was done: caches made of files below /usr and
# /etc, and users (systemd-update-done.service(8)). Here the same programs do it, and the files that say so are written. What
# would be another thing in a build stays for the first boot, with its reason in the log.
# $root: nothing, or the root that a test looks at. $stated: files that the recipe states, between blanks.
etc=yes var=yes
units=$root/usr/lib/systemd/system

stated() {
  case " $stated " in *" $1 "*) return 0 ;; esac
  return 1
}

# later DIRECTORY REASON: the first boot updates this directory.
later() {
  if [ "$1" = /etc ]; then etc=; else var=; fi
  echo "the first boot updates $1: $2"
}

# update DIRECTORY UNIT FILE COMMAND...: makes a file as the unit would, unless the recipe states it.
update() {
  directory=$1 unit=$units/$2 file=$3
  shift 3
  if [ ! -e "$unit" ] || stated "$file"; then return; fi
  "$@" || later "$directory" "\`$*\` failed"
}

update /etc ldconfig.service /etc/ld.so.cache ldconfig -X
update /var systemd-journal-catalog-update.service /var/lib/systemd/catalog/database journalctl --update-catalog
# As the unit's conditions have it: /usr/lib/udev/hwdb.bin of the packages is enough where /etc adds nothing to it.
if [ ! -e "$root/usr/lib/udev/hwdb.bin" ] || [ -e "$root/etc/udev/hwdb.bin" ] ||
  [ -n "$(find "$root/etc/udev/hwdb.d" -mindepth 1 2>/dev/null)" ]; then
  update /etc systemd-hwdb-update.service /etc/udev/hwdb.bin systemd-hwdb update
fi

# Users have the numbers of the lock; one that only systemd-sysusers would make has none. It says nothing when nobody is
# missing, but for lines of its configuration that it does not like.
if [ -e "$units/systemd-sysusers.service" ]; then
  if missing=$(systemd-sysusers --dry-run 2>&1); then
    missing=$(printf '%s\n' "$missing" | grep -vE '^(/[^:]*:[0-9]+: .*)?$' | head -n 1)
  else
    missing="systemd-sysusers failed"
  fi
  [ -z "$missing" ] || later /etc "$missing"
fi

# Whoever else waits for an update gets one. Files of 1 MiB at most, two levels deep: a unit may be a link to anything.
for directory in /etc /var; do
  ours='(ldconfig|systemd-(hwdb-update|journal-catalog-update|sysusers|update-done))\.service'
  other=$(find -L "$units" "$root/usr/local/lib/systemd/system" "$root/etc/systemd/system" -maxdepth 2 -type f -size -2048 \
    -exec grep -slE "^[[:blank:]]*ConditionNeedsUpdate[[:blank:]]*=[[:blank:]]*[|!]*$directory" {} + 2>/dev/null |
    grep -vE "^$units/([a-z-]*\.target\.wants/)?$ours\$" | head -n 1)
  [ -z "$other" ] || later "$directory" "${other#"$root"} asks for it"
done

# The time of the file counts, which is the epoch: no file of the image is younger. Whoever changes /usr later and wants
# the next boot to update touches it, as on any system.
for directory in /etc /var; do
  if [ "$directory" = /etc ]; then done=$etc; else done=$var; fi
  if [ -z "$done" ] || [ ! -e "$units/systemd-update-done.service" ] || stated "$directory/.updated"; then continue; fi
  rm -f "$root$directory/.updated"
  printf '# The build of this image did what systemd-update-done.service(8) stands for.\nTIMESTAMP_NSEC=%s000000000\n' \
    "$SOURCE_DATE_EPOCH" >"$root$directory/.updated"
done
