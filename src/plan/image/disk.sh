# Writes an ext4 file system from a canonical tar. Every identity comes from the environment; nothing is mounted.
# $1: the tar, $2: bytes of the file system.
set -eu

# Only the last -E of mke2fs counts, hence one. No configuration file of any machine is read.
# $1: the tar, $2: bytes.
make() {
  rm -f disk.raw
  truncate -s "$2" disk.raw
  MKE2FS_CONFIG=/kiln/in/mke2fs.conf mke2fs -q -F -t ext4 -b 4096 -I 256 -m 1 -L root \
    -U "$KILN_FS_UUID" \
    -E "hash_seed=$KILN_HASH_SEED,root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0,nodiscard,assume_storage_prezeroed=1" \
    -d "$1" disk.raw 2>mke2fs.log
}

# What is too large for the size that the recipe gives fits on a larger disk, which says how large it must be.
too_small() {
  size=$2
  while [ "$size" -lt 4398046511104 ]; do
    size=$((size * 2))
    if make "$1" "$size"; then
      # `Estimated minimum size of the filesystem: 54321`
      blocks=$(resize2fs -P disk.raw 2>/dev/null)
      blocks=${blocks##*: }
      rm -f disk.raw
      needed=$((blocks * 4096 / 1048576 + 1))
      echo "the files of this image do not fit on $(($2 / 1048576))MiB: they need about ${needed}MiB"
      # See plan/statement.rs: the recipe is to be changed.
      exit 65
    fi
  done
}

if ! make "$1" "$2"; then
  case $(cat mke2fs.log) in
  *'Could not allocate'* | *'No space left'* | *'too small'*)
    cp mke2fs.log first.log
    too_small "$1" "$2"
    mv first.log mke2fs.log
    ;;
  esac
  cat mke2fs.log >&2
  exit 1
fi
cat mke2fs.log >&2
rm mke2fs.log
