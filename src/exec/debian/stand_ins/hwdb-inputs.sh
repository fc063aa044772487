# For both scripts about systemd-hwdb: everything that its result depends on.
place=/dev/kiln-hwdb
own=/dev/kiln/own/systemd-hwdb
rules=/usr/lib/udev/hwdb.d
result=/usr/lib/udev/hwdb.bin

# As the loader says it: `NAME => PATH (ADDRESS)`, and of itself `PATH (ADDRESS)`.
libraries() {
    LD_TRACE_LOADED_OBJECTS=1 "$own" | while read -r name arrow path rest; do
        case $name,$arrow in
            /*) echo "$name" ;;
            *,'=>') echo "$path" ;;
        esac
    done
}

# Variables, and the place and times of change of every file.
inputs() {
    env | grep -E '^(LD_|GLIBC_|MALLOC_|SYSTEMD_)' | sort
    libraries | xargs -d '\n' stat -L -c '%n %F %d %i %s %y %z' "$own" || echo unknown
    find "$rules" -printf '%p %y %D %i %s %T@ %C@\n' | sort
}
