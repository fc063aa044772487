# Writes an ext4 file system from a canonical tar. Every identity comes from the environment; nothing is mounted.
# $1: the tar, $2: bytes of the file system, $3: what to say when they do not suffice, $4: see below.
set -eu
truncate -s "$2" disk.raw
# Only the last -E of mke2fs counts, hence one. No configuration file of any machine is read.
MKE2FS_CONFIG=/kiln/in/mke2fs.conf mke2fs -q -F -t ext4 -b 4096 -I 256 -m 1 -L root \
  -U "$KILN_FS_UUID" \
  -E "hash_seed=$KILN_HASH_SEED,root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0,nodiscard,assume_storage_prezeroed=1" \
  -d "$1" disk.raw || {
  status=$?
  cat "$3"
  exit $status
}
# $4: bytes of a swap file, if there is to be one. Its blocks are taken, and none but the first is written: what was never
# written reads as zeros, and a swap file may have no holes.
[ -n "${4-}" ] || exit 0
cp /kiln/in/swap.page swapfile
truncate -s "$4" swapfile
chmod 600 swapfile
last=$(($4 / 4096 - 1))
printf 'write swapfile /swapfile\nfallocate /swapfile 0 %s\n' "$last" >commands
export E2FSPROGS_FAKE_TIME="$SOURCE_DATE_EPOCH"
debugfs -w -f commands disk.raw
# It says what it cannot do, and ends well all the same.
block=$(debugfs -R "bmap /swapfile $last" disk.raw)
case $block in
[1-9]*) ;;
*)
  echo "mke2fs: Could not allocate block for the swap file"
  cat "$3"
  exit 1
  ;;
esac
rm swapfile commands
