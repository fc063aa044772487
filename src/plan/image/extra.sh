# Step `extra-modules`: kernel modules that builds left, in a directory where kmod looks before it takes the kernel's own.
# Inputs: modules.tar, the kernel's; extra/NNN-NAME: modules, or directories with modules in them. Output: extra.tar.
set -eu
die() {
    echo "error: $*" >&2
    exit 1
}
release=$(tar -t -f /kiln/in/modules.tar | sed -n 's,^usr/lib/modules/\([^/]*\)/.*,\1,p' | sort -u)
top=/kiln/build/tree/usr/lib/modules/$release/updates
mkdir -p "$top"

# add FILE BELOW: each name once, since modprobe knows modules by their names alone, and `-` in them as `_`.
add() {
    [ "${1%.ko}" != "$1" ] || die "$number: $name is no module: its name does not end in .ko"
    file=${1##*/}
    printf '%s\n' "${file%.ko}" | tr - _ >module
    ! grep -q -x -F -f module modules.known || die "$number: there is a module $file already"
    cat module >>modules.known
    magic=$(modinfo -F vermagic "$1") || die "$number: $file is no module that modinfo can read"
    [ "${magic%% *}" = "$release" ] ||
        die "$number: $file was compiled for Linux ${magic%% *}, and the kernel of the machine is $release"
    mkdir -p "$top/$2"
    cp "$1" "$top/$2$file"
    chmod 644 "$top/$2$file"
}

: >modules.known
for extra in /kiln/in/extra/*; do
    entry=${extra##*/}
    number=${entry%%-*}
    name=${entry#*-}
    if [ ! -d "$extra" ]; then
        cp -L "$extra" "$name"
        add "/kiln/build/$name" ""
        continue
    fi
    # Nothing that looks like a module is left out in silence.
    find "$extra" '(' -name '*.ko' ! -type f ')' -o -name '*.ko.gz' -o -name '*.ko.xz' -o -name '*.ko.zst' \
        -o '(' -name '*.ko' -name '*[!A-Za-z0-9._-]*' ')' | sort >odd
    [ ! -s odd ] || die "$number: $(head -n 1 odd | sed "s,^$extra/,,") in $name is no module: it has to be a file NAME.ko, not compressed and no link"
    find "$extra" -type f -name '*.ko' | sort >modules
    [ -s modules ] || die "$number: no module, which is a file NAME.ko, is in $name"
    while IFS= read -r module; do
        add "$module" "$name/"
    done <modules
done
tar -c -f extra.tar -C tree --sort=name --format=posix --owner=0 --group=0 --numeric-owner --mode=u+rwX,go=rX \
    --mtime="@$SOURCE_DATE_EPOCH" --pax-option=delete=atime,delete=ctime "usr/lib/modules/$release/updates"
