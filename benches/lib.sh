# shellcheck shell=bash disable=SC2034 # what it sets is for the scripts
# What the scripts have in common; each sources it first. It goes to the root of the repository, makes `$work`, which is removed at
# the end, and sets:
#   kiln, KILN_STORE   by `program`: the first argument, or KILN [default: target/release/kiln, compiled when it is not there]; the
#                      store STORE, which is kept for the next time and must not be the user's own [default: a new one]
#   rounds             ROUNDS [default: 3]: how often kiln and its peer run, in turn; what counts is the median
#
# What all.sh collects stands on lines of their own:
#   figure NAME VALUE UNIT [AIM]     AIM: such as `>=4` or `<=1.2`. What belongs together is called WHAT.kiln, WHAT.peer, WHAT.ratio,
#                                    and WHAT.kiln-processor and so on for processor time
#   version PEER TEXT                which peer it was
#   set-aside NAME REASON            what cannot be measured here
set -euo pipefail
case ${1:-} in
    -h | --help) # The script's own first lines.
        sed -n '1d; /^#/!q; /^# shellcheck/d; s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
esac
from=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."
work=$(mktemp -d)
daemons=()
# Whoever still works in the directory ends before it goes. What is mounted below it is unmounted by whoever mounted it.
ended() {
    if [ ${#daemons[@]} != 0 ]; then
        kill "${daemons[@]}" 2> /dev/null || true
        wait "${daemons[@]}" 2> /dev/null || true
    fi
    rm -rf --one-file-system "$work"
}
trap ended EXIT
trap 'exit 130' INT TERM
usage() { # TEXT
    echo "$1; $0 --help lists what there is" >&2
    exit 2
}
rounds=${ROUNDS:-3}
[[ $rounds =~ ^[1-9][0-9]*$ ]] || usage "\`$rounds\` is no number of rounds"

program() { # [KILN]
    kiln=${1:-${KILN:-}}
    if [ -z "$kiln" ]; then
        kiln=$PWD/target/release/kiln
        [ -x "$kiln" ] || cargo build --quiet --release --locked
    else
        # As whoever started this names it.
        kiln=$(cd "$from" && realpath -m -- "$kiln")
        [ -f "$kiln" ] && [ -x "$kiln" ] || usage "no program \`${1:-$KILN}\`"
    fi
    [ -z "${STORE:-}" ] || STORE=$(cd "$from" && realpath -m -- "$STORE")
    export KILN_STORE=${STORE:-$work/store}
}

compiled() { # NAME: sets `compiled` to the bench NAME of benches/NAME.rs, compiled by PROFILE [default: release]
    local profile=${PROFILE:-release} directory
    directory=$([ "$profile" = dev ] && echo debug || echo "$profile")
    cargo build --quiet --locked --profile "$profile" --bench "$1"
    compiled=$(find "target/$directory/deps" -maxdepth 1 -name "$1-*" -type f -executable -printf '%T@ %p\n' |
        sort -n | tail -n1 | cut -d' ' -f2)
}

figure() { # NAME VALUE UNIT [AIM]
    echo "figure $*"
}
version() { # PEER TEXT
    echo "version $*"
}
set_aside() { # NAME REASON: ends the script with the status that says so
    echo "set-aside $*"
    exit 77
}
needs() { # NAME PROGRAM...
    local name=$1 program
    shift
    for program; do command -v "$program" > /dev/null || set_aside "$name" "no $program on this machine"; done
}
needs_root() { # NAME REASON
    [ "$(id -u)" = 0 ] || set_aside "$1" "not root: $2"
}

quietly() { # LOG COMMAND...: shows what the command said only when it fails
    local log=$1
    shift
    "$@" > "$log" 2>&1 || { tail -n50 "$log" >&2; exit 1; }
}
seconds() { # NAME COMMAND...: appends its time by the clock to NAME.times, and the processor time of all its processes to NAME.cpu
    local name=$1 start
    shift
    times > "$work/before"
    start=$(date +%s.%N)
    quietly "$work/$name.log" "$@"
    echo "$start $(date +%s.%N)" | awk '{ printf "%.2f\n", $2 - $1 }' >> "$work/$name.times"
    times > "$work/after"
    # The second line is about children: user and system time, like `0m1.500000s 0m0.250000s`.
    tail -qn1 "$work/before" "$work/after" | tr 'ms' '  ' |
        awk '{ sum = 60 * ($1 + $3) + $2 + $4 } NR == 1 { was = sum } END { printf "%.2f\n", sum - was }' >> "$work/$name.cpu"
}
last() { # NAME
    echo "$(tail -n1 "$work/$1.times") s, $(tail -n1 "$work/$1.cpu") s of processor"
}
median() { # FILE: of an even number of lines the lower one of the two
    sort -n "$work/$1" | awk '{ line[NR] = $1 } END { print line[int((NR + 1) / 2)] }'
}
ratio() { # A B: to three digits, since some aims are within a few percent
    echo "$1 $2" | awk '{ printf "%.3f\n", $1 / $2 }'
}
medians() { # NAME OURS PEER
    figure "$1.kiln" "$(median "$2.times")" s
    figure "$1.kiln-processor" "$(median "$2.cpu")" s
    figure "$1.peer" "$(median "$3.times")" s
    figure "$1.peer-processor" "$(median "$3.cpu")" s
}
beside() { # NAME OURS PEER [AIM]: the medians of both, and how many times as long the peer takes
    medians "$@"
    figure "$1.ratio" "$(ratio "$(median "$3.times")" "$(median "$2.times")")" peer/kiln ${4:+"$4"}
    figure "$1.ratio-processor" "$(ratio "$(median "$3.cpu")" "$(median "$2.cpu")")" peer/kiln
}
of_peer() { # NAME OURS PEER [AIM]: the same where kiln takes a part of the peer's time, or little more
    medians "$@"
    figure "$1.ratio" "$(ratio "$(median "$2.times")" "$(median "$3.times")")" kiln/peer ${4:+"$4"}
    figure "$1.ratio-processor" "$(ratio "$(median "$2.cpu")" "$(median "$3.cpu")")" kiln/peer
}
