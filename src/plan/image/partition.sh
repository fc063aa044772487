# Writes the ext4 file system of a partition from a canonical tar. Every identity comes from the environment; nothing is
# mounted.
# $1: the tar, $2: bytes of the file system, $3: what to say when they do not suffice, $4: what debugfs does to its root.
set -eu
truncate -s "$2" disk.raw
MKE2FS_CONFIG=/kiln/in/mke2fs.conf mke2fs -q -F -t ext4 -b 4096 -I 256 -m 1 \
  -U "$KILN_FS_UUID" \
  -E "hash_seed=$KILN_HASH_SEED,root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0,nodiscard,assume_storage_prezeroed=1" \
  -d "$1" disk.raw || {
  status=$?
  cat "$3"
  exit $status
}
export E2FSPROGS_FAKE_TIME="$SOURCE_DATE_EPOCH"
debugfs -w -f "$4" disk.raw
