#!/bin/bash
# Bytes that an update of a disk sends: kiln pull through Debian's docker-registry, beside rsync, casync and the whole image.
#
# Usage, from anywhere:
#   benches/updates.sh [KILN]                      KILN: the program [default: target/release/kiln, built when it is not there]
#   PACKAGES="bash git" benches/updates.sh         other packages of this machine's Debian for the disk
#   PROFILE=dev benches/updates.sh target/debug/kiln     does not build for release
# Needs mke2fs, zstd, python3, dpkg-deb and apt-get, whose sources give the packages, older versions of `openssl` and `libssl3` among them, two
# of the kernel for virtual machines, and docker-registry, rsync, casync, which are unpacked and not installed. Writes below TMPDIR, some 3 GiB.
#
# The disk is an ext4 as kiln makes them, from the packages' trees. Each case changes the tree, makes the disk anew and pulls it into the
# store that has the disk of the case before. The tree is never copied: mke2fs of Debian 12 reads no tar, and writes the times of inodes
# that nobody can set into the disk.
#   nothing        the same disk
#   one-file       a configuration file of 800 bytes is another
#   longer-file    a program of 1 MB is 40 KB longer, so that all files behind it move
#   package        openssl and libssl3 of the security archive for those of the release
#   kernel-option  the kernel file and the modules below fs/ and net/ are of the next version, as if it had been compiled with another option
#   kernel         so are all other modules, each of which names its version
# kiln: the delta to the disk of the case before, or the index of chunks and the ranges that were asked for; not the manifests, which have
# some 3 KB. Whoever pushes has the disk of the case before in their store, as whoever builds has. chunks: the same without a delta, as
# another store pulls that has an older disk or another one. rsync: what it says it sent and received, of the qcow2 image and of the raw
# disk (compressed on the way). casync: new chunks of its store and the index, of the raw disk. Changed files: the size of the files that
# differ in a tar, by zstd -3 and without their old versions, which is as little as anybody can send who knows nothing of the old bytes.
# shellcheck source=benches/lib.sh
. "$(dirname "$0")/lib.sh"
needs updates mke2fs zstd python3 dpkg-deb apt-get apt-cache
program "${1:-}"
compiled qcow2
qcow2=$compiled

read -ra packages <<< "${PACKAGES:-bash coreutils perl-base perl-modules-5.36 libpython3.11-stdlib libc6 systemd vim-runtime git libgcc-s1 tzdata e2fsprogs}"
unpack() { # DIRECTORY PACKAGE[=VERSION]...
    local to=$1
    shift
    mkdir -p "$work/debs" "$to"
    (cd "$work/debs" && rm -f ./*.deb && apt-get -qq -o APT::Sandbox::User=root download "$@")
    for deb in "$work"/debs/*.deb; do dpkg-deb -x "$deb" "$to"; done
}
unpack "$work/tools" docker-registry rsync casync libacl1 libpopt0 libxxhash0 liblz4-1 libzstd1 libfuse2 libcurl4
export LD_LIBRARY_PATH=$work/tools/usr/lib/x86_64-linux-gnu:$work/tools/lib/x86_64-linux-gnu
rsync=$work/tools/usr/bin/rsync
casync=$work/tools/usr/bin/casync
version rsync "$("$rsync" --version | awk 'NR == 1 { print $3 }')"
version casync "$("$casync" --version | awk 'NR == 1 { print $2 }')"
version zstd "$(zstd --version | grep -o 'v[0-9.]*')"

versions() { apt-cache madison "$1" | cut -d'|' -f2 | tr -d ' ' | sort -uV; }
old=$(versions openssl | head -n1)
new=$(versions openssl | tail -n1)
[ "$old" != "$new" ] || set_aside updates "the archives have one version of openssl"
unpack "$work/tree" "${packages[@]}"
unpack "$work/tree" "openssl=$old" "libssl3=$old"
# Both versions in the place of one, since a kernel of another name would be no changed file.
kernels=$(apt-cache search --names-only '^linux-image-[0-9.]+-[0-9]+-cloud-amd64$' | cut -d' ' -f1 | sort -V | tail -n2)
for kernel in $kernels; do
    unpack "$work/$kernel" "$kernel"
    mkdir -p "$work/kernel-$kernel/boot" "$work/kernel-$kernel/lib/modules/kernel"
    cp -r "$work/$kernel"/lib/modules/*/. "$work/kernel-$kernel/lib/modules/kernel"
    for file in vmlinuz System.map config; do cp "$work/$kernel/boot/$file"-* "$work/kernel-$kernel/boot/$file"; done
    rm -rf "${work:?}/$kernel"
done
[ "$(echo "$kernels" | wc -w)" = 2 ] || set_aside updates "the archives have no two kernels for virtual machines"
old_kernel=$work/kernel-$(echo "$kernels" | head -n1)
new_kernel=$work/kernel-$(echo "$kernels" | tail -n1)
cp -r "$old_kernel"/. "$work/tree"

cat > "$work/mke2fs.conf" << 'CONF'
[defaults]
	base_features = has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,huge_file,dir_nlink,extra_isize,metadata_csum
	inode_ratio = 16384
[fs_types]
	ext4 = {
		features = has_journal
	}
	small = {
		inode_ratio = 16384
	}
CONF

image() { # NAME: a result directory with the disk of the tree
    local out=$work/$1
    mkdir -p "$out"
    truncate -s 1G "$work/$1.raw"
    MKE2FS_CONFIG=$work/mke2fs.conf E2FSPROGS_FAKE_TIME=1700000000 mke2fs -q -F -t ext4 -b 4096 -I 256 -m 1 -L root \
        -U 00000000-0000-4000-8000-000000000000 \
        -E hash_seed=00000000-0000-4000-8000-000000000001,root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0,nodiscard \
        -d "$work/tree" "$work/$1.raw"
    "$qcow2" "$work/$1.raw" "$out/disk.qcow2" 2> /dev/null
    python3 - "$out" << 'MANIFEST'
import hashlib, json, sys
bytes = open(sys.argv[1] + "/disk.qcow2", "rb").read()
file = {"size": len(bytes), "sha256": hashlib.sha256(bytes).hexdigest()}
manifest = {"format": 1, "recipe": "bench", "output_version": 1, "lock": "0" * 64, "artifacts": {"disk.qcow2": file}, "steps": {},
            "qemu": {}, "images": {"bench": "disk.qcow2"}, "kernels": {}, "warnings": {}}
open(sys.argv[1] + "/manifest.json", "w").write(json.dumps(manifest, indent=2) + "\n")
MANIFEST
}
size() { stat -c %s "$@" | awk '{ sum += $1 } END { print sum + 0 }'; }

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
printf 'version: 0.1\nlog: { level: error }\nstorage:\n  filesystem: { rootdirectory: %s }\nhttp: { addr: "127.0.0.1:%s" }\n' \
    "$work/registry" "$port" > "$work/registry.yml"
"$work/tools/usr/bin/docker-registry" serve "$work/registry.yml" > /dev/null 2>&1 &
daemons+=($!)
python3 -c 'import socket, sys, time
for _ in range(300):
    if not socket.socket().connect_ex(("127.0.0.1", int(sys.argv[1]))): sys.exit()
    time.sleep(0.1)
sys.exit("the registry does not listen")' "$port"

ours() { # STORE WORD...
    KILN_STORE=$work/$1 "$kiln" "${@:2}"
}
# Reading sets times of access, once.
image first
image first
ours pushes push "$work/first" "127.0.0.1:$port/bench:first" > /dev/null 2>&1
for store in pushes pulls; do ours $store pull "127.0.0.1:$port/bench:first" -o "$work/pulled-first" > /dev/null 2>&1; done
# Pushes from a store that never has the disk of the case before, and pulls from there.
ours chunks pull "127.0.0.1:$port/bench:first" -o "$work/pulled-first" > /dev/null 2>&1
"$casync" make --store="$work/chunks.castr" "$work/first.caibx" "$work/first.raw" > /dev/null
cp -r "$work/tree" "$work/tree.before"
last=first
echo "first disk: $(size "$work/first/disk.qcow2") bytes as qcow2, tree of $(du -sk "$work/tree" | cut -f1) KiB"
echo "openssl and libssl3 $old to $new; the kernels $(echo "$kernels" | paste -sd ' ')"

measure() { # NAME [AIM]: what kiln may send for each byte of the changed files
    image "$1"
    local kiln_bytes chunks whole changed sent qcow raw before
    fetched() { # STORE REPOSITORY: bytes of a disk that a pull fetches
        ours "$1" pull "127.0.0.1:$port/$2" -o "$work/pulled-$1" --json > "$work/$1.json" 2> "$work/$1.log"
        cmp "$work/disk" "$work/pulled-$1/disk.qcow2"
        python3 -c 'import json, sys
print(sum(disk["fetched"] for disk in json.load(open(sys.argv[1]))["rebuilt"]))' "$work/$1.json"
    }
    cp "$work/$1/disk.qcow2" "$work/disk"
    KILN_STORE=$(mktemp -d -p "$work") "$kiln" push "$work/$1" "127.0.0.1:$port/chunks:$1" > /dev/null 2>&1
    ours pushes push "$work/$1" "127.0.0.1:$port/bench:$1" > /dev/null 2>&1
    chunks=$(fetched chunks "chunks:$1")
    kiln_bytes=$(fetched pulls "bench:$1")
    fetched pushes "bench:$1" > /dev/null
    whole=$(size "$work/$1/disk.qcow2")
    cmp -s "$work/$last/disk.qcow2" "$work/$1/disk.qcow2" || [ "$kiln_bytes" != 0 ] || kiln_bytes=$whole
    cmp -s "$work/$last/disk.qcow2" "$work/$1/disk.qcow2" || [ "$chunks" != 0 ] || chunks=$whole
    sent() { # FROM TO OPTION...
        cp "$2" "$work/target"
        "$rsync" --no-whole-file --stats "${@:3}" "$1" "$work/target" | tr -d , |
            awk '/^Total bytes (sent|received)/ { sum += $4 } END { print sum }'
    }
    qcow=$(sent "$work/$1/disk.qcow2" "$work/$last/disk.qcow2")
    raw=$(sent "$work/$1.raw" "$work/$last.raw" --compress)
    before=$(find "$work/chunks.castr" -type f | sort)
    "$casync" make --store="$work/chunks.castr" "$work/$1.caibx" "$work/$1.raw" > /dev/null
    sent=$(find "$work/chunks.castr" -type f | sort | comm -13 <(echo "$before") - | xargs -r stat -c %s | awk '{ sum += $1 } END { print sum + 0 }')
    sent=$((sent + $(size "$work/$1.caibx")))
    changed=$(cd "$work/tree" && find . -type f | while read -r file; do
        cmp -s "$file" "$work/tree.before/$file" || echo "$file"
    done | tar -c -T - | zstd -3 -c | wc -c)
    printf '| %s | %s | %s | %s | %s | %s | %s | %s |\n' "$1" "$changed" "$kiln_bytes" "$chunks" "$qcow" "$raw" "$sent" "$whole"
    {
        figure "updates.$1.kiln" "$kiln_bytes" bytes
        figure "updates.$1.peer" "$changed" bytes
        figure "updates.$1.chunks" "$chunks" bytes
        figure "updates.$1.rsync-qcow2" "$qcow" bytes
        figure "updates.$1.rsync-raw" "$raw" bytes
        figure "updates.$1.casync" "$sent" bytes
        figure "updates.$1.whole" "$whole" bytes
        # No quotient by the few bytes of an empty archive.
        [ "$1" = nothing ] || figure "updates.$1.ratio" "$(ratio "$kiln_bytes" "$changed")" kiln/peer ${2:+"$2"}
    } >> "$work/figures"
    rm -rf "$work/tree.before" "$work/$last.raw" "$work/target"
    cp -r "$work/tree" "$work/tree.before"
    last=$1
}
echo '| case | changed files | kiln | chunks | rsync, qcow2 | rsync -z, raw | casync, raw | whole |'
echo '|---|---|---|---|---|---|---|---|'
measure nothing
head -c 600 /dev/urandom | base64 > "$work/tree/etc/bash.bashrc"
measure one-file "<=1.3"
head -c 40000 /dev/urandom >> "$work/tree/bin/bash"
measure longer-file "<=1.3"
unpack "$work/tree" "openssl=$new" "libssl3=$new"
measure package "<=1.3"
cp -r "$new_kernel"/boot/. "$work/tree/boot"
for part in fs net; do cp -r "$new_kernel/lib/modules/kernel/kernel/$part/." "$work/tree/lib/modules/kernel/kernel/$part"; done
measure kernel-option "<=1.3"
cp -r "$new_kernel"/. "$work/tree"
measure kernel "<=1.3"
cat "$work/figures"
