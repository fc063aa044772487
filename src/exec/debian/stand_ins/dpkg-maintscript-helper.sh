#!/bin/sh
# In the place of dpkg-maintscript-helper while packages are configured: of a package that was never installed before there is
# nothing to move, remove or replace, and none of the programs is started that would find that out. Where it is asked for anything
# else, or in a way that is a mistake, it runs itself.
own() {
    exec /dev/kiln/own/dpkg-maintscript-helper "$@"
}

[ -z "$DPKG_ROOT$DPKG_DEBUG$DPKG_DATADIR" ] && [ -n "$DPKG_MAINTSCRIPT_NAME" ] && [ -n "$DPKG_MAINTSCRIPT_PACKAGE" ] || own "$@"
case $1 in
    supports)
        case $2 in rm_conffile | mv_conffile | symlink_to_dir | dir_to_symlink) exit 0 ;; esac
        own "$@"
        ;;
    rm_conffile) paths=1 ;;
    mv_conffile | symlink_to_dir | dir_to_symlink) paths=2 ;;
    *) own "$@" ;;
esac

# The command, its paths, perhaps a version and a package, `--`, and what the package's script was called with.
count=0 end=no version='' path='' action='' old=''
for word; do
    count=$((count + 1))
    if [ "$end" = yes ]; then
        [ -n "$action" ] && old=$old$word || action=$word
    elif [ "$word" = -- ]; then
        [ "$count" -ge $((paths + 2)) ] && [ "$count" -le $((paths + 4)) ] || own "$@"
        end=yes
    elif [ "$count" -eq 2 ]; then
        path=$word
    elif [ "$count" -eq 3 ] && [ "$paths" -eq 2 ]; then
        # The target of a link may be relative.
        [ -n "$word" ] && [ "$1" != mv_conffile ] || case $word in /*) ;; *) own "$@" ;; esac
    elif [ "$count" -eq $((paths + 2)) ]; then
        version=$word
    elif [ "$count" -gt 1 ]; then
        # The name of a package. As an operator of `[` it would be a mistake.
        case $word in [!A-Za-z0-9]* | *[!A-Za-z0-9:.+-]*) own "$@" ;; esac
    fi
done
case $path in /*/ | / | [!/]* | '') own "$@" ;; esac
case ${version#[0-9]:} in
    '') [ -z "$version" ] || own "$@" ;;
    [!0-9]* | *[!0-9A-Za-z.+~-]* | *-) own "$@" ;;
esac
case $DPKG_MAINTSCRIPT_NAME,$action,$old in
    preinst,install,) exit 0 ;;
    # What an earlier call may have left, before the package was ever configured.
    postinst,configure,) [ -e "$path.dpkg-backup" ] || [ -h "$path.dpkg-backup" ] || exit 0 ;;
esac
own "$@"
