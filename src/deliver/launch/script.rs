//! `launch.sh`: POSIX sh for somebody without kiln.

use super::LaunchFile;
use crate::base::Arch;
use crate::base::arch::ArchFacts;
use crate::machine::argv::Place;
use crate::recipe::machine::Chipset;

const HEAD: &str = r#"#!/bin/sh
# Starts the machine @MACHINE@ from the files beside this script. Written by kiln.
#
#   ./launch.sh            checks the files, then runs the machine on this terminal (Ctrl-A X ends it);
#                          what the guest writes to its disks is thrown away
#   ./launch.sh --print    shows the command and runs nothing
#
# KILN_QEMU=PROGRAM   instead of @PROGRAM@
# KILN_ANY_QEMU=1     take another version than @QEMU@
# KILN_ACCEL=kvm|tcg  instead of finding out
# KILN_SHARED=DIR     where machines that share memory or a network meet
# Exit codes: 2 usage, 3 a file differs, 4 something is missing, else QEMU's own.
# shellcheck disable=SC2016 # what a guest is told stands in single quotes on purpose
set -eu

fail() {
    code=$1
    shift
    printf 'launch.sh: %s\n' "$*" >&2
    exit "$code"
}

print=
case ${1-} in
    '') ;;
    --print) print=1 ;;
    *) fail 2 "unknown argument $1 (expected --print)" ;;
esac
[ $# -le 1 ] || fail 2 'too many arguments'

CDPATH='' cd -- "$(dirname -- "$0")"
qemu=${KILN_QEMU:-@PROGRAM@}
machine=@MACHINE@
want=@QEMU@
"#;

/// Of a QEMU that no package has, a version says too little.
const BUILT: &str = r#"# This machine was made for a QEMU that its recipe builds; another one of this version may lack what that changes.
if [ -z "${KILN_QEMU-}" ] && [ -z "$print" ]; then
    printf 'launch.sh: the recipe of this machine builds its own QEMU %s; name it with KILN_QEMU=PROGRAM\n' "$want" >&2
fi
"#;

const CHECKS: &str = r#"
if [ -z "$print" ]; then
    command -v sha256sum >/dev/null 2>&1 || fail 4 'sha256sum is missing, so nothing can be checked'
    if ! said=$(printf '%s\n' "$sums" | sha256sum -c - 2>&1); then
        printf '%s\n' "$said" >&2
        fail 3 'a file is not the one that was built; get it again'
    fi
    command -v "$qemu" >/dev/null 2>&1 || fail 4 "$qemu is missing; install QEMU $want (Debian: @PACKAGE@)"
    have=$("$qemu" --version | sed -n '1s/^QEMU emulator version \([^ ]*\).*/\1/p')
    if [ "$have" != "$want" ] && [ "${KILN_ANY_QEMU-}" != 1 ]; then
        fail 4 "this is QEMU ${have:-of an unknown version}, but the machine was locked with $want; set KILN_ANY_QEMU=1 to try it"
    fi
fi

# /dev/kvm may open, and firmware may even run, where Linux dies in its first instructions: only Linux proves that it works.
kvm_works() {
    if [ ! -r /dev/kvm ] || [ ! -w /dev/kvm ]; then return 1; fi
    timeout 8 "$qemu" -accel kvm -cpu max -machine @BOARD@ -m 256M -nodefaults -no-user-config -display none -no-reboot \
        -serial stdio -kernel "$kernel" -append '@EARLY@ console=@CONSOLE@ panic=-1' </dev/null 2>/dev/null |
        grep -q 'Linux version'
}

accel=${KILN_ACCEL-}
case $accel in
    kvm | tcg) ;;
    '')
        accel=tcg
        if [ -n "$print" ]; then
            if [ -w /dev/kvm ]@HERE@; then accel=kvm; fi
        elif kvm_works; then
            accel=kvm
        else
            printf 'launch.sh: no working KVM here: emulating in software, which is slow\n' >&2
        fi
        ;;
    *) fail 2 "KILN_ACCEL must be kvm or tcg, not $accel" ;;
esac

if [ -n "$print" ]; then
    run=${TMPDIR:-/tmp}/kiln-$machine
else
    run=$(mktemp -d "${TMPDIR:-/tmp}/kiln-$machine.XXXXXX") || fail 4 'no directory for temporary files'
    trap 'rm -rf -- "$run"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
fi
shared=${KILN_SHARED:-$run}
# QEMU reads a comma in a path as the end of it.
case $run$shared in *,*) fail 4 'TMPDIR and KILN_SHARED must not contain a comma' ;; esac
# Throw-away disks grow here.
TMPDIR=$run
export TMPDIR
"#;

const TAIL: &str = r#"
if [ -n "$print" ]; then
    printf '%s' "$qemu"
    for word in "$@"; do
        case $word in
            -[a-z]*) printf ' \\\n  %s' "$word" ;;
            *) printf " '%s'" "$(printf '%s' "$word" | sed "s/'/'\\\\''/g")" ;;
        esac
    done
    printf '\n'
    exit 0
fi
status=0
"$qemu" "$@" || status=$?
exit "$status"
"#;

/// The text of `launch.sh`.
pub fn script(file: &LaunchFile) -> String {
    let described = &file.description;
    let arch = described.machine.arch();
    let head = named(HEAD, arch);
    let built = if described.origin.is_packages() { "" } else { BUILT };
    let mut text = head.replace("@MACHINE@", &described.machine.name).replace("@QEMU@", &described.qemu);
    text.push_str(built);
    for (place, artifact) in &file.artifacts {
        text.push_str(&format!("{}=./{}\n", variable(*place), artifact.file));
    }
    if !file.artifacts.contains_key(&Place::Kernel) {
        // Without a kernel of its own the machine has nothing to try KVM with.
        text.push_str("kernel=/nonexistent\n");
    }
    let sums: Vec<String> = file.artifacts.values().map(|one| format!("{}  {}", one.sha256, one.file)).collect();
    text.push_str(&format!("sums='{}'\n", sums.join("\n")));
    text.push_str(&named(CHECKS, arch));
    text.push_str(&prepare(file));
    text.push_str("\nset --");
    for word in described.argv(|_| ()).shell(&variable) {
        text.push_str(if word.starts_with('-') { " \\\n    " } else { " " });
        text.push_str(&word);
    }
    text.push('\n');
    text.push_str(TAIL);
    text
}

/// The text with the names of an architecture filled in.
fn named(text: &str, arch: Arch) -> String {
    let ArchFacts { processor, qemu, kernel, .. } = arch.facts();
    // Where nothing but KVM itself tells whether it runs this machine, `--print` looks at the processor first.
    let here = if arch.is_default() { String::new() } else { format!(" && [ \"$(uname -m)\" = {processor} ]") };
    let words = [
        ("@PROGRAM@", qemu.program),
        ("@PACKAGE@", qemu.package),
        ("@BOARD@", Chipset::usual(arch).name()),
        ("@EARLY@", kernel.early_console),
        ("@CONSOLE@", &arch.serial(0)),
        ("@HERE@", &here),
    ];
    words.into_iter().fold(text.to_owned(), |text, (word, value)| text.replace(word, value))
}

/// Empty disks, and a copy of what the firmware writes to.
fn prepare(file: &LaunchFile) -> String {
    let mut text = String::new();
    for disk in &file.description.machine.disks {
        let (name, size) = (&disk.name.value, disk.size.value);
        let make = format!("dd if=/dev/null of=\"$run/{name}.disk\" bs=1 count=0 seek={size} 2>/dev/null");
        text.push_str(&format!("[ -n \"$print\" ] || {make}\n"));
    }
    if file.artifacts.contains_key(&Place::FirmwareVars) {
        text.push_str("[ -n \"$print\" ] || cat <\"$firmware_vars\" >\"$run/vars\"\nfirmware_vars=$run/vars\n");
    }
    text
}

fn variable(place: Place) -> &'static str {
    match place {
        Place::Kernel => "kernel",
        Place::Initrd => "initrd",
        Place::Disk => "disk",
        Place::Run => "run",
        Place::Shared => "shared",
        Place::FirmwareCode => "firmware_code",
        Place::FirmwareVars => "firmware_vars",
        Place::Accel => "accel",
        Place::Log => "log",
    }
}
