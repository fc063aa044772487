# What `kiln shell` runs in the sandbox of a step. $1: `fresh`, or `after` the step's command, which is in the other words.
when=$1
shift
if [ "$when" = after ]; then
    status=0
    "$@" || status=$?
    echo "kiln: the step's command ended with exit status $status" >&2
fi
shell=/bin/sh
[ ! -x /bin/bash ] || shell='/bin/bash --norc'
# With a terminal of its own, the shell has job control, and Ctrl-C ends what runs in it.
if [ -t 0 ]; then
    [ ! -x /usr/bin/setsid ] || exec /usr/bin/setsid --ctty --wait $shell -i
    exec $shell -i
fi
exec $shell
