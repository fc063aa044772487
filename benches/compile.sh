#!/usr/bin/env bash
# What compiling kiln costs from nothing: processor time in all and by crate, and the size of the program.
#
#   benches/compile.sh [OPTION...]          options of `cargo build`; without any, `--release`
#
# Processor time (user and system, of every process) is what stays comparable where other work runs. C libraries are compiled
# by build scripts: they are what the crates leave of the whole.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d -p target compile.XXXXXX)
trap 'rm -rf "$work"' EXIT

cat >"$work/rustc" <<'WRAPPER'
#!/usr/bin/env bash
name=-
for ((at = 1; at < $#; at++)); do
  if [ "${!at}" = --crate-name ]; then
    next=$((at + 1))
    name=${!next}
  fi
done
TIMEFORMAT="%U %S $name"
{ time "$@" 2>&3; } 3>&2 2>>"$KILN_CRATES"
WRAPPER
chmod +x "$work/rustc"

[ "$#" -gt 0 ] || set -- --release
export KILN_CRATES="$PWD/$work/crates" RUSTC_WRAPPER="$PWD/$work/rustc" CARGO_TARGET_DIR="$PWD/$work/target"
cargo fetch --locked
TIMEFORMAT='whole: %R s on the clock, %U s user, %S s system'
time cargo build --locked "$@"
echo "crates (s of processor time):"
awk '{ spent[$3] += $1 + $2; all += $1 + $2 }
     END { for (name in spent) printf "%8.1f %5.1f %%  %s\n", spent[name], 100 * spent[name] / all, name
           printf "%8.1f          all crates\n", all }' "$KILN_CRATES" | sort -rn | head -25
for program in "$CARGO_TARGET_DIR"/*/kiln; do
  echo "$(stat -c %s "$program") bytes: $(basename "$(dirname "$program")")/kiln"
done
