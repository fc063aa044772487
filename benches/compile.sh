#!/bin/bash
# What compiling kiln costs from nothing: processor time in all and by crate, and the size of the program.
#
# Usage, from anywhere:
#   benches/compile.sh                            with `cargo build --release`
#   OPTIONS="--profile dist" benches/compile.sh   with other options of `cargo build`
# Needs the network for crates that Cargo has not downloaded, and 3 GiB below TMPDIR.
#
# Processor time (user and system, of every process) is what stays comparable where other work runs. C libraries are compiled
# by build scripts: they are what the crates leave of the whole.
# shellcheck source=benches/lib.sh
. "$(dirname "$0")/lib.sh"
read -ra options <<<"${OPTIONS:---release}"

cat >"$work/rustc" <<'WRAPPER'
#!/bin/bash
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

export KILN_CRATES="$work/crates" RUSTC_WRAPPER="$work/rustc" CARGO_TARGET_DIR="$work/target"
quietly "$work/log" cargo fetch --locked
seconds whole cargo build --locked "${options[@]}"
echo "crates (s of processor time):"
awk '{ spent[$3] += $1 + $2; all += $1 + $2 }
     END { for (name in spent) printf "%8.1f %5.1f %%  %s\n", spent[name], 100 * spent[name] / all, name
           printf "%8.1f          all crates\n", all }' "$KILN_CRATES" | sort -rn | awk "NR <= 25"
figure compile.kiln "$(median whole.times)" s
figure compile.kiln-processor "$(median whole.cpu)" s
for program in "$CARGO_TARGET_DIR"/*/kiln; do figure compile.size "$(stat -c %s "$program")" bytes; done
