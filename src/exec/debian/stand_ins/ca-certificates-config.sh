#!/bin/sh
# In the place of ca-certificates.config while packages are configured: its own text, which looks twice for the name of each
# certificate in a variable. Where that is empty, as in a new system, no program is started for it.
grep() {
    case $#,$1,$2,$3,$4 in
        4,-F,-q,-x,*[!A-Za-z0-9_./=-]* | 4,-F,-q,-x,) ;;
        4,-F,-q,-x,*)
            if ! IFS= read -r kiln_line; then
                printf %s "$kiln_line" | command grep "$@"
            elif [ -n "$kiln_line" ]; then
                { printf '%s\n' "$kiln_line" && cat; } | command grep "$@"
            elif IFS= read -r kiln_line; then
                { printf '\n%s\n' "$kiln_line" && cat; } | command grep "$@"
            elif [ -n "$kiln_line" ]; then
                printf '\n%s' "$kiln_line" | command grep "$@"
            else
                # An empty line and nothing more.
                return 1
            fi
            return
            ;;
    esac
    command grep "$@"
}
. /dev/kiln/own/ca-certificates.config
