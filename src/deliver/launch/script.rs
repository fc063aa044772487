//! `launch.sh`: POSIX sh for somebody without kiln.

use std::collections::{BTreeMap, BTreeSet};

use super::{DeliveredQemu, LaunchFile};
use crate::base::Arch;
use crate::base::arch::ArchFacts;
use crate::machine::argv::{Place, table_name};
use crate::machine::{Description, Topology};
use crate::recipe::machine::Chipset;

const HEAD: &str = r#"#!/bin/sh
# Starts the machine @MACHINE@ from the files beside this script. Written by kiln.
#
#   ./launch.sh            checks the files, then runs the machine on this terminal (Ctrl-A X ends it);
#                          what the guest writes to its disks is thrown away
#   ./launch.sh --print    shows the command and runs nothing
#   ./launch.sh --help     shows this text
#   ./launch.sh -- WORDS   adds WORDS to the options of QEMU, after all others
#
# KILN_QEMU=PROGRAM   instead of @USUAL@
# KILN_ANY_QEMU=1     take another version than @QEMU@, if it has everything that this machine needs
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
while [ $# -gt 0 ]; do
    case $1 in
        --print) print=1 ;;
        -h | --help)
            sed -n '2,/^# Exit codes/s/^# \{0,1\}//p' "$0"
            exit 0
            ;;
        --)
            shift
            break
            ;;
        *) fail 2 "unknown argument $1 (expected --print, --help, or -- and options of QEMU)" ;;
    esac
    shift
done

CDPATH='' cd -- "$(dirname -- "$0")"
qemu=${KILN_QEMU:-@START@}
machine=@MACHINE@
want=@QEMU@
board=@VERSIONED@
"#;

/// Of a QEMU that no package has, a version says too little.
const BUILT: &str = r#"# This machine was made for a QEMU that its recipe builds; another one of this version may lack what that changes.
if [ -z "${KILN_QEMU-}" ] && [ -z "$print" ]; then
    printf 'launch.sh: the recipe of this machine builds its own QEMU %s; name it with KILN_QEMU=PROGRAM\n' "$want" >&2
fi
"#;

const CHECKS: &str = r#"
# What QEMU says of itself. One that waits for something is ended, and it is given nothing to read: what is read here is not its.
ask() {
    if command -v timeout >/dev/null 2>&1; then
        timeout -s KILL 20 "$qemu" "$@" </dev/null
    else
        "$qemu" "$@" </dev/null
    fi
}

# Another version may lack the versioned machine type, or a property: the installed one says what it has.
other_version() {
    boards=$(ask -machine help) || fail 4 "$qemu does not say which machine types it has"
    boards=$(printf '%s\n' "$boards" | sed 's/ .*//')
    if ! printf '%s\n' "$boards" | grep -qxF -e "$board"; then
        printf '%s\n' "$boards" | grep -qxF -e @FAMILY@ ||
            fail 4 "QEMU ${have:-of an unknown version} has neither the machine type $board nor @FAMILY@, so it cannot run this machine"
        printf 'launch.sh: this QEMU has no machine type %s; using its own @FAMILY@, which may show the guest other hardware\n' "$board" >&2
        board=@FAMILY@
    fi
    printf '%s\n' "$needs" | while read -r option kind names; do
        known=$(ask "$option" "$kind,help" 2>/dev/null) ||
            fail 4 "QEMU ${have:-of an unknown version} has no $option $kind, so it cannot run this machine"
        for name in $names; do
            printf '%s\n' "$known" | grep -q "^ *$name=" ||
                fail 4 "QEMU ${have:-of an unknown version} does not know the property $name of $option $kind, so it cannot run this machine"
        done
    done
}

if [ -z "$print" ]; then
    command -v sha256sum >/dev/null 2>&1 || fail 4 'sha256sum is missing, so nothing can be checked'
    if ! said=$(printf '%s\n' "$sums" | sha256sum -c - 2>&1); then
        printf '%s\n' "$said" >&2
        fail 3 'a file is not the one that was built; get it again'
    fi
@UNPACK@    command -v "$qemu" >/dev/null 2>&1 || fail 4 "$qemu is missing; install QEMU $want (Debian: @PACKAGE@)"
    have=$(ask --version) || fail 4 "$qemu does not say which version it is; name another one with KILN_QEMU=PROGRAM"
    have=$(printf '%s\n' "$have" | sed -n '1s/^QEMU emulator version \([^ ]*\).*/\1/p')
    if [ "$have" != "$want" ] && [ "${KILN_ANY_QEMU-}" != 1 ]; then
        fail 4 "this is QEMU ${have:-of an unknown version}, but the machine was locked with $want; set KILN_ANY_QEMU=1 to try it"
    fi
    [ "$have" = "$want" ] || other_version
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
    trap 'rm -rf -- "$run"@UNPACKED@' EXIT
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

/// The delivered QEMU is unpacked for each start, once its digest was checked.
const UNPACK: &str = r#"    if [ -z "${KILN_QEMU-}" ]; then
        command -v tar >/dev/null 2>&1 || fail 4 'tar is missing, so the QEMU beside this script cannot be unpacked'
        unpacked=$(mktemp -d "${TMPDIR:-/tmp}/kiln-qemu.XXXXXX") || fail 4 'no directory for temporary files'
        trap 'rm -rf -- "$unpacked"' EXIT
        trap 'exit 130' INT
        trap 'exit 143' TERM HUP
        tar -xf @TAR@ -C "$unpacked" || fail 4 "cannot unpack the delivered QEMU to $unpacked"
        qemu=$unpacked/@PROGRAM@
        "$qemu" --version >/dev/null ||
            fail 4 "the delivered QEMU for @PROCESSOR@ does not start from $unpacked; set TMPDIR to a directory for programs"
    fi
"#;

const NOTICE: &str = r#"    [ -n "${KILN_QEMU-}" ] ||
        printf 'launch.sh: first: mkdir -p %s && tar -xf %s -C %s\n' "${qemu%/*}" @TAR@ "${qemu%/*}" >&2
"#;

const TAIL: &str = r#"
if [ -n "$print" ]; then
@NOTICE@    printf '%s' "$qemu"
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

/// The text of `launch.sh`, which takes a QEMU of the host unless one is delivered.
pub fn script(file: &LaunchFile, qemu: Option<&DeliveredQemu>) -> String {
    let described = &file.description;
    let arch = described.machine.arch();
    let head = named(&origin(HEAD, qemu), arch);
    let board = described.emulator.machine_type(described.machine.chipset.value);
    let mut text = head.replace("@MACHINE@", &described.machine.name).replace("@QEMU@", &described.qemu);
    text = text.replace("@VERSIONED@", &board);
    if !described.origin.is_packages() && qemu.is_none() {
        text.push_str(BUILT);
    }
    for (place, artifact) in &file.artifacts {
        text.push_str(&format!("{}=./{}\n", variable(*place), artifact.file));
    }
    if !file.artifacts.contains_key(&Place::Kernel) {
        // Without a kernel of its own the machine has nothing to try KVM with.
        text.push_str("kernel=/nonexistent\n");
    }
    let mut sums: Vec<String> = file.artifacts.values().map(|one| format!("{}  {}", one.sha256, one.file)).collect();
    sums.extend(qemu.map(|qemu| format!("{}  {}", qemu.sha256, qemu.file)));
    text.push_str(&format!("sums='{}'\n", sums.join("\n")));
    text.push_str(&format!("needs='{}'\n", needs(described)));
    text.push_str(&named(&origin(CHECKS, qemu), arch).replace("@FAMILY@", described.machine.chipset.value.name()));
    text.push_str(&prepare(file));
    text.push_str("\nset --");
    for word in described.argv(|_| ()).shell(&variable) {
        text.push_str(if word.starts_with('-') { " \\\n    " } else { " " });
        text.push_str(&with_board(&word, &board));
    }
    text.push_str(" \\\n    \"$@\"\n");
    text.push_str(&named(&origin(TAIL, qemu), arch));
    text
}

/// The text with where QEMU comes from filled in.
fn origin(text: &str, qemu: Option<&DeliveredQemu>) -> String {
    let words = match qemu {
        None => {
            [("@USUAL@", "@PROGRAM@"), ("@START@", "@PROGRAM@"), ("@UNPACK@", ""), ("@UNPACKED@", ""), ("@NOTICE@", "")]
        }
        Some(_) => [
            ("@USUAL@", "the one in @TAR@"),
            ("@START@", "${TMPDIR:-/tmp}/kiln-qemu/@PROGRAM@"),
            ("@UNPACK@", UNPACK),
            ("@UNPACKED@", " ${unpacked:+\"$unpacked\"}"),
            ("@NOTICE@", NOTICE),
        ],
    };
    let text = words.into_iter().fold(text.to_owned(), |text, (word, value)| text.replace(word, value));
    text.replace("@TAR@", qemu.map_or("", |qemu| &qemu.file))
}

/// The word with the machine type of the installed QEMU in the place of the locked one.
fn with_board(word: &str, board: &str) -> String {
    match word.strip_prefix(board) {
        Some(rest) if rest.is_empty() || rest.starts_with(',') => format!("\"$board\"{rest}"),
        _ => word.to_owned(),
    }
}

/// What this machine asks of its devices and objects, one kind a line. The help of machine types is left out, which does
/// not list everything that they know.
fn needs(described: &Description) -> String {
    let line = described.argv(|_| ());
    let mut asked: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    for property in line.properties().into_iter().filter(|property| property.flag != "-machine") {
        let names = asked.entry((property.flag, property.kind)).or_default();
        names.extend(Some(property.listed()).filter(|name| !name.is_empty()));
    }
    let line = |((flag, kind), names): (&(&str, &str), &BTreeSet<&str>)| {
        let names: Vec<&str> = names.iter().copied().collect();
        format!("{flag} {kind} {}", names.join(" "))
    };
    asked.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The text with the names of an architecture filled in.
fn named(text: &str, arch: Arch) -> String {
    let ArchFacts { processor, qemu, kernel, .. } = arch.facts();
    // Where nothing but KVM itself tells whether it runs this machine, `--print` looks at the processor first.
    let here = if arch.is_default() { String::new() } else { format!(" && [ \"$(uname -m)\" = {processor} ]") };
    let words = [
        ("@PROGRAM@", qemu.program),
        ("@PROCESSOR@", processor),
        ("@PACKAGE@", qemu.package),
        ("@BOARD@", Chipset::usual(arch).name()),
        ("@EARLY@", kernel.early_console),
        ("@CONSOLE@", &arch.serial(0)),
        ("@HERE@", &here),
    ];
    words.into_iter().fold(text.to_owned(), |text, (word, value)| text.replace(word, value))
}

/// Empty disks, tables of performance, and a copy of what the firmware writes to.
fn prepare(file: &LaunchFile) -> String {
    let mut text = String::new();
    for disk in &file.description.machine.disks {
        let (name, size) = (&disk.name.value, disk.size.value);
        let make = format!("dd if=/dev/null of=\"$run/{name}.disk\" bs=1 count=0 seek={size} 2>/dev/null");
        text.push_str(&format!("[ -n \"$print\" ] || {make}\n"));
    }
    for (id, cdat) in file.description.machine.cxl.as_ref().map(Topology::of).iter().flat_map(Topology::tables) {
        let bytes: String = cdat.bytes.iter().map(|byte| format!("\\0{byte:03o}")).collect();
        let name = table_name(id);
        text.push_str(&format!("[ -n \"$print\" ] || printf %b '{bytes}' >\"$run/{name}\"\n"));
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
        // What the script starts has anonymous memory.
        Place::Memory => "memory",
        Place::FirmwareCode => "firmware_code",
        Place::FirmwareVars => "firmware_vars",
        Place::Accel => "accel",
        Place::Log => "log",
    }
}
