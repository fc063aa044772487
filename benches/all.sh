#!/bin/bash
# Every measurement, one after the other, and a table of what came out beside what was aimed at.
#
# Usage, from anywhere, as root:
#   benches/all.sh                       what fits into half an hour on two processors
#   benches/all.sh --json FILE           also writes everything as JSON
#   benches/all.sh --budget MINUTES      [default: 30]; what would take longer than what is left of it is set aside
#   benches/all.sh --full                also what takes long: a whole kernel, kiln itself from nothing; without a budget
#   benches/all.sh --store DIR           keeps the store for the next time; it must not be the user's own [default: a new one]
#   benches/all.sh NAME...               only these, such as `image` or `rebuild`
# KILN and PROFILE as in lib.sh. Needs the network: packages are downloaded into a new store.
#
# kiln and its benches are compiled first, which is not part of the budget. Of what takes long there is one round; the table says how
# many. What the scripts say goes to standard error, the table to standard output. Exits with 1 when a script failed; a missed aim is no
# failure.
# shellcheck source=benches/lib.sh
. "$(dirname "$0")/lib.sh"
json="" full="" minutes=30 wanted=()
# All of them, in order.
known=$(sed -nE 's/^(long|run [0-9]+) ([a-z0-9-]+).*/\2/p' benches/all.sh | paste -sd' ' -)
while [ $# -gt 0 ]; do
    case $1 in
        --json | --budget | --store)
            [ -n "${2:-}" ] || usage "$1 needs a value"
            case $1 in
                --json) json=$(cd "$from" && realpath -m -- "$2") ;;
                --budget) minutes=$2 ;;
                --store) STORE=$2 ;;
            esac
            shift
            ;;
        --full) full=yes ;;
        -*) usage "no option \`$1\`" ;;
        *) [[ " $known " == *" $1 "* ]] || usage "no measurement \`$1\`: $known"; wanted+=("$1") ;;
    esac
    shift
done
[[ $minutes =~ ^[0-9]+$ ]] || usage "\`$minutes\` is no number of minutes"
# Before half an hour has passed.
[ -z "$json" ] || { : >> "$json"; } 2> /dev/null || usage "cannot write $json"
# Compiling is no other work.
load=$(cut -d' ' -f1 /proc/loadavg)
profile=${PROFILE:-release}
[ -n "${KILN:-}" ] || cargo build --quiet --locked --profile "$profile"
program "${KILN:-$PWD/target/$([ "$profile" = dev ] && echo debug || echo "$profile")/kiln}"
for name in machine qcow2 resolve; do compiled "$name"; done
export KILN=$kiln STORE=$KILN_STORE
failed=""
SECONDS=0
touch "$work/collected"

# run SECONDS NAME [VARIABLE=VALUE]...: benches/NAME.sh or benches/NAME.rs. SECONDS: what it takes on two idle processors, rounded up.
run() {
    local needs=$1 name=$2 left=$((minutes * 60 - SECONDS)) began=$SECONDS status=0 times=1 said=$work/said.$2 command
    shift 2
    [ ${#wanted[@]} = 0 ] || [[ " ${wanted[*]} " == *" $name "* ]] || return 0
    [ -e "benches/$name.sh" ] || [ -e "benches/$name.rs" ] || return 0
    [ -z "$full" ] || left=0
    if [ -z "$full" ] && [ "$needs" -gt "$left" ]; then
        echo "set-aside $name takes some $needs s, and of $minutes minutes $left s are left" >> "$work/collected"
        return 0
    fi
    [[ $* =~ ROUNDS=([0-9]+) ]] && times=${BASH_REMATCH[1]}
    if [ -e "benches/$name.sh" ]; then
        command=("benches/$name.sh" "$KILN")
    else
        compiled "$name"
        command=("$compiled")
    fi
    echo "=== $name $*" >&2
    # 0 is no limit. A group of its own, all of which ends at the limit, or when this script does.
    timeout --kill-after=60 "$left" env "$@" "${command[@]}" > "$said" 2>&1 &
    daemons=($!)
    wait "${daemons[0]}" || status=$?
    daemons=()
    cat "$said" >&2
    awk -v times="$times" '
        $1 == "version" || $1 == "set-aside"
        $1 != "figure" { next }
        /^figure [a-z0-9.-]+ [0-9.]+ [^ ]+( [<>]=[0-9.]+)?$/ { print $1, $2, $3, $4, NF == 5 ? $5 : "-", times; next }
        { print "set-aside", $2, "is no number:", $0 }' "$said" >> "$work/collected"
    case $status in
        0 | 77) grep -qE '^(figure|set-aside) ' "$said" || { echo "set-aside $name printed no figure" >> "$work/collected"; failed=yes; } ;;
        124 | 137) echo "set-aside $name was ended after $left s, when $minutes minutes were over" >> "$work/collected" ;;
        *) echo "set-aside $name failed with status $status: $(tail -n1 "$said")" >> "$work/collected"; failed=yes ;;
    esac
    echo "=== $name took $((SECONDS - began)) s" >&2
}
# long NAME [VARIABLE=VALUE]...: the same for what does not fit.
long() {
    if [ -n "$full" ] || [[ " ${wanted[*]} " == *" $1 "* ]]; then
        run 0 "$@"
    elif [ ${#wanted[@]} = 0 ]; then
        echo "set-aside $* takes long: only with --full, or by its name" >> "$work/collected"
    fi
}

# In the order of what people wait for; what is left out when time runs short stands at the end.
run 340 image ROUNDS=3
run 150 rebuild ROUNDS=3
run 120 cold ROUNDS=3
run 100 boot
run 90 test "BARE=$(sed -n 's/^figure boot.booted.kiln \([^ ]*\) .*/\1/p' "$work/collected")"
run 40 qcow2 ROUNDS=3
run 50 memory
run 10 machine
run 150 updates
run 300 option ROUNDS=1 PROVE=0 "OPTIONS=CRC7=y DEBUG_DRIVER=y"
run 240 kernel ROUNDS=1
run 100 jobs ROUNDS=1
run 120 resolve ROUNDS=3
long compile
[ -z "$full" ] || run 0 kernel ROUNDS=1 RECIPE=recipes/cxl-expander.kiln LOCK=lockfiles/cxl-expander.lock

echo
echo "$("$kiln" --version), $(git rev-parse --short HEAD 2> /dev/null || echo "no git"), $((SECONDS / 60)) min $((SECONDS % 60)) s"
echo "$(nproc) processors ($(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n1)), $(awk '/^MemTotal/ { printf "%.0f", $2 / 1048576 }' /proc/meminfo) GiB," \
    "Linux $(uname -r), load $load at the start"
awk -v load="$load" 'BEGIN { if (load >= 1) print "other work ran at the start: times by the clock say little" }'
sed -n 's/^version //p' "$work/collected" | sort -u | paste -sd, - | sed 's/,/, /g; s/^./peers: &/'
echo
# What is called WHAT.kiln, WHAT.peer, WHAT.ratio is one line. An aim is about the ratio, or about kiln's own figure where there is none.
awk '
    $1 == "figure" {
        what = $2; sub(/\.[^.]*$/, "", what); part = substr($2, length(what) + 2)
        if (!(what in seen)) { seen[what]; order[++count] = what }
        value[what, part] = $3; unit[what, part] = $4; rounds[what] = $6
        if ($5 != "-") { aim[what] = $5; part_of[what] = part }
    }
    function shown(what, part) { return (what, part) in value ? value[what, part] " " unit[what, part] : "" }
    function met(what, number) {
        if (aim[what] == "") return ""
        number = substr(aim[what], 3) + 0
        return (aim[what] ~ /^>/ ? value[what, part_of[what]] >= number : value[what, part_of[what]] <= number) ? "met" : "missed"
    }
    END {
        print "| what | kiln | peer | ratio | of processor time | aim | | rounds |\n|---|---|---|---|---|---|---|---|"
        for (at = 1; at <= count; at++) {
            what = order[at]
            print "| " what " | " shown(what, "kiln") " | " shown(what, "peer") " | " shown(what, "ratio") " | " value[what, "ratio-processor"] \
                " | " aim[what] " | " met(what) " | " rounds[what] " |"
        }
    }' "$work/collected"
echo
sed -n 's/^set-aside /set aside: /p' "$work/collected"

[ -z "$json" ] || awk -v kiln="$("$kiln" --version)" -v processors="$(nproc)" -v kernel="$(uname -r)" -v load="$load" -v seconds="$SECONDS" \
    -v memory="$(awk '/^MemTotal/ { printf "%.0f", $2 * 1024 }' /proc/meminfo)" '
    function text(string) { gsub(/[\\"]/, "\\\\&", string); gsub(/[\001-\037]/, " ", string); return "\"" string "\"" }
    function rest(from,    at, line) { for (at = from; at <= NF; at++) line = line (at > from ? " " : "") $at; return line }
    $1 == "figure" {
        met = $5 == "-" ? "null" : ($5 ~ /^>/ ? $3 >= substr($5, 3) + 0 : $3 <= substr($5, 3) + 0) ? "true" : "false"
        figures = figures (figures ? ",\n" : "") "    { \"name\": " text($2) ", \"value\": " $3 + 0 ", \"unit\": " text($4) \
            ", \"aim\": " ($5 == "-" ? "null" : text($5)) ", \"met\": " met ", \"rounds\": " $6 " }"
    }
    $1 == "version" { versions = versions (versions ? ",\n" : "") "    { \"peer\": " text($2) ", \"version\": " text(rest(3)) " }" }
    $1 == "set-aside" { aside = aside (aside ? ",\n" : "") "    { \"name\": " text($2) ", \"reason\": " text(rest(3)) " }" }
    END {
        print "{\n  \"kiln\": " text(kiln) ",\n  \"seconds\": " seconds ",\n  \"machine\": { \"processors\": " processors ", \"memory\": " \
            memory ", \"kernel\": " text(kernel) ", \"load\": " load " },"
        print "  \"figures\": [\n" figures "\n  ],\n  \"peers\": [\n" versions "\n  ],\n  \"set_aside\": [\n" aside "\n  ]\n}"
    }' "$work/collected" > "$json"
[ -z "$failed" ]
