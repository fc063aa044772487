//! A machine ready to be started, and the argv that starts it: on the terminal, or under test.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::accel::Accelerator;
use super::overlay::{self, Below};
use super::{GuestError, agent};
use crate::base::Digest;
use crate::exec::sandbox::{Ids, Mount, Network, Privileges, Root, Spec};
use crate::machine::argv::SMBIOS_WORDS;
use crate::plan::boot;
use crate::world::fs;

/// Where QEMU finds the built artifacts.
pub const ARTIFACTS: &str = "/kiln/artifacts";
/// Where QEMU finds what belongs to this start of this machine.
pub const RUN: &str = "/kiln/run";
/// Where QEMU finds what the machines of one start share.
pub const SHARED: &str = "/kiln/shared";
/// Where QEMU writes console logs.
pub const LOGS: &str = "/kiln/logs";
/// Where a lasting overlay appears.
pub const KEEP: &str = "/kiln/keep.qcow2";
/// `COMMAND_LINE_SIZE` of `arch/x86/include/asm/setup.h`, less the final zero.
const KERNEL_LINE: usize = 2047;
/// How the machine layer calls the first serial port where it leads to a pipe.
const CONSOLE: &str = "kiln.console";
/// What it says where that port leads to the terminal, with QEMU's monitor behind it.
const TERMINAL: &str = "mon:stdio";

/// A machine ready to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// Its name.
    pub machine: String,
    /// The directory that becomes `/` for QEMU: the locked packages, unpacked.
    pub tree: PathBuf,
    /// The directory with kernel, initramfs and disk.
    pub artifacts: PathBuf,
    /// QEMU in the tree: `/usr/bin/qemu-system-x86_64`.
    pub program: String,
    /// Its arguments as `launch.json` has them, with `${kernel}`, `${disk}`, `${run}`, ... left open and `$$` for `$`.
    pub argv: Vec<String>,
    /// Files below `artifacts` by the place that they fill: `kernel`, `initrd`, `disk`, `firmware-code`, `firmware-vars`.
    pub files: BTreeMap<String, String>,
    /// Digest of the disk: a lasting overlay only fits this one.
    pub disk: Digest,
    /// Sparse files that QEMU expects in `${run}`: name and bytes.
    pub blanks: Vec<(String, u64)>,
}

/// What a start is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Console on the terminal; `Ctrl-A X` ends QEMU.
    Terminal,
    /// Beside another machine that has the terminal: the console goes to a log.
    Background,
    /// Headless, with the log, the test shell's port and QMP.
    Test,
}

/// Directories of the host for one start of one machine.
#[derive(Debug, Clone)]
pub struct Places {
    /// Becomes [`RUN`].
    pub run: PathBuf,
    /// Becomes [`SHARED`].
    pub shared: PathBuf,
    /// Becomes [`LOGS`], with the name of the console log in there; none on the terminal.
    pub log: Option<(PathBuf, String)>,
    /// A lasting overlay, which becomes [`KEEP`]; else the overlay is made in `run`.
    pub keep: Option<PathBuf>,
}

/// Makes what QEMU expects to find: the overlay, empty disks, UEFI variables.
pub fn prepare(launch: &Launch, places: &Places) -> Result<(), GuestError> {
    let disk = launch.files.get("disk").ok_or_else(|| GuestError::Launch {
        machine: launch.machine.clone(),
        reason: "it has no disk to boot from".to_owned(),
    })?;
    let below = Below { artifacts: &launch.artifacts, file: disk, digest: launch.disk };
    match &places.keep {
        Some(keep) => overlay::create_or_check(keep, below)?,
        None => overlay::create(&places.run.join("disk.qcow2"), below)?,
    }
    for (name, bytes) in &launch.blanks {
        let path = places.run.join(name);
        fs::context("size", &path, fs::create(&path)?.set_len(*bytes))?;
    }
    if let Some(variables) = launch.files.get("firmware-vars") {
        let bytes = fs::read(&launch.artifacts.join(variables), 64 << 20)?;
        fs::write_atomically(&places.run.join("firmware-vars"), &bytes)?;
    }
    Ok(())
}

/// The argv with everything filled in.
pub fn argv(launch: &Launch, purpose: Purpose, places: &Places, accel: Accelerator) -> Result<Vec<String>, GuestError> {
    let place = |name: &str| -> Option<String> {
        Some(match name {
            "disk" if places.keep.is_some() => KEEP.to_owned(),
            "disk" => format!("{RUN}/disk.qcow2"),
            "firmware-vars" => format!("{RUN}/firmware-vars"),
            "run" => RUN.to_owned(),
            "shared" => SHARED.to_owned(),
            "accel" => accel.name().to_owned(),
            "kernel" | "initrd" | "firmware-code" => format!("{ARTIFACTS}/{}", launch.files.get(name)?),
            _ => return None,
        })
    };
    let failed = |word: &String| GuestError::Launch {
        machine: launch.machine.clone(),
        reason: format!("its command line has a place that cannot be filled in: {word}"),
    };
    let mut argv = vec![launch.program.clone()];
    for word in &launch.argv {
        argv.push(without(&fill(word, &place).ok_or_else(|| failed(word))?, "snapshot="));
    }
    if purpose != Purpose::Terminal {
        argv = without_console(argv);
        argv.extend(log_port(places.log.as_ref().map_or("console.log", |(_, name)| name)));
    }
    if purpose == Purpose::Test {
        append(launch, &mut argv)?;
        argv.iter_mut().for_each(|word| *word = without(word, "hostfwd="));
        argv.extend(test_ports());
    }
    Ok(argv)
}

/// Fills in `${name}` and `$$`; `None` when a place is unknown. What is filled in has no comma, which would have to be
/// doubled for QEMU: all of it lies below `/kiln` and in the tree.
fn fill(word: &str, place: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let mut filled = String::new();
    let mut rest = word;
    while let Some((before, after)) = rest.split_once('$') {
        filled.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            filled.push('$');
            rest = after;
        } else {
            let (name, after) = after.strip_prefix('{')?.split_once('}')?;
            filled.push_str(&place(name)?);
            rest = after;
        }
    }
    filled.push_str(rest);
    Some(filled)
}

/// Memories that machines share, by name, with the file below the run's directory that is each; for the notice that says so.
pub fn memories<'a>(launches: impl IntoIterator<Item = &'a Launch>) -> BTreeSet<String> {
    let words = launches.into_iter().flat_map(|launch| &launch.argv);
    let file = |word: &'a String| word.split_once("mem-path=${shared}/")?.1.split(',').next()?.strip_suffix(".memory");
    words.filter_map(file).map(str::to_owned).collect()
}

/// What is told of a memory that machines share.
pub fn memory_notice(shared: &Path, name: &str) -> String {
    format!("memory `{name}` is {} while the machines run", shared.join(format!("{name}.memory")).display())
}

/// Drops the options of the terminal's serial port and monitor.
fn without_console(argv: Vec<String>) -> Vec<String> {
    let mut kept = Vec::new();
    let mut words = argv.into_iter().peekable();
    while let Some(word) = words.next() {
        let leads_there =
            |value: &String| value == TERMINAL || value.split([',', ':', '=']).any(|part| part == CONSOLE);
        let of_console = matches!(word.as_str(), "-chardev" | "-serial") && words.peek().is_some_and(leads_there);
        if of_console {
            words.next();
        } else {
            kept.push(word);
        }
    }
    kept
}

/// A property list without one kind of property. `snapshot=on` is for `launch.sh`: here there is an overlay. Forwarded
/// ports belong to `kiln run`: tests work inside the guest, and two of them may run side by side.
fn without(word: &str, property: &str) -> String {
    if !word.contains(property) || word.contains(' ') {
        return word.to_owned();
    }
    word.split(',').filter(|part| !part.starts_with(property)).collect::<Vec<_>>().join(",")
}

/// ttyS0 as a file.
fn log_port(console: &str) -> Vec<String> {
    let file = format!("file,id=kiln-console,path={LOGS}/{console}");
    ["-chardev", &file, "-serial", "chardev:kiln-console"].map(str::to_owned).into()
}

/// ttyS1 for the test shell, and the monitor. QEMU is the one that connects: when it starts, somebody listens, so the
/// guest's first word is not lost.
fn test_ports() -> Vec<String> {
    let agent = format!("socket,id=kiln-agent,path={RUN}/agent");
    // `-mon`, the longer spelling, makes QEMU 11.1 print a warning; older ones have no other long spelling.
    let qmp = format!("unix:{RUN}/qmp");
    ["-chardev", &agent, "-serial", "chardev:kiln-agent", "-qmp", &qmp].map(str::to_owned).into()
}

/// Adds the words that start the test shell to the kernel's command line: where QEMU hands the kernel over, or where
/// what boots from the disk looks for them.
fn append(launch: &Launch, argv: &mut [String]) -> Result<(), GuestError> {
    let failed = |reason: String| GuestError::Launch { machine: launch.machine.clone(), reason };
    let [stub, grub] = SMBIOS_WORDS.map(|before| format!("type=11,value={before}"));
    let place = |find: &dyn Fn(&String) -> bool| argv.iter().position(find);
    let direct = place(&|word| word == "-append").map(|at| (at + 1, " ", agent::kernel_words()));
    let direct = direct.filter(|(at, ..)| *at < argv.len());
    let firmware = |before: &str, words: String| {
        let at = place(&|word| word.starts_with(before))?;
        Some((at, if argv[at].len() == before.len() { "" } else { " " }, words.replace(',', ",,")))
    };
    let found = direct
        .or_else(|| firmware(&stub, agent::kernel_words()))
        .or_else(|| firmware(&grub, boot::grub_words(&agent::grub_words())));
    let Some((at, blank, words)) = found else {
        return Err(failed("its command line has no place for what the kernel must be told in tests".to_owned()));
    };
    let line = &mut argv[at];
    line.push_str(blank);
    line.push_str(&words);
    if line.len() > KERNEL_LINE {
        return Err(failed(format!(
            "its kernel command line is {} characters too long for tests: the kernel keeps {KERNEL_LINE}, \
             of which tests need {}",
            line.len() - KERNEL_LINE,
            words.len()
        )));
    }
    Ok(())
}

/// Everything the QEMU of this start can see.
pub fn spec(launch: &Launch, places: &Places, argv: Vec<String>) -> Spec {
    let bind =
        |source: &Path, target: &str, readonly| Mount { source: source.to_owned(), target: target.into(), readonly };
    let mut mounts = vec![
        bind(&launch.artifacts, ARTIFACTS, true),
        bind(&places.run, RUN, false),
        bind(&places.shared, SHARED, false),
    ];
    mounts.extend(places.log.as_ref().map(|(logs, _)| bind(logs, LOGS, false)));
    mounts.extend(places.keep.as_ref().map(|keep| bind(keep, KEEP, false)));
    let kvm = Path::new("/dev/kvm");
    mounts.extend(kvm.exists().then(|| bind(kvm, "/dev/kvm", false)));
    let env =
        [("LC_ALL", "C.UTF-8"), ("TZ", "UTC"), ("HOME", "/tmp"), ("TMPDIR", "/tmp"), ("PATH", "/usr/bin:/usr/sbin")];
    Spec {
        root: Root::ReadOnly(launch.tree.clone()),
        mounts,
        ids: Ids::Single,
        network: Network::None,
        privileges: Privileges::None,
        env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        argv,
        cwd: RUN.into(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A machine that is never started.
    pub(in crate::guest) fn launch(argv: &[&str]) -> Launch {
        Launch {
            machine: "m".into(),
            tree: "/tree".into(),
            artifacts: "/built".into(),
            program: "/usr/bin/qemu".into(),
            argv: argv.iter().map(|word| (*word).to_owned()).collect(),
            files: [("kernel", "vmlinuz"), ("disk", "disk.qcow2")].map(|(a, b)| (a.into(), b.into())).into(),
            disk: Digest::of(b""),
            blanks: Vec::new(),
        }
    }

    fn places() -> Places {
        Places { run: "/r".into(), shared: "/s".into(), log: Some(("/l".into(), "m.log".into())), keep: None }
    }

    #[test]
    fn a_test_adds_words_for_the_kernel_and_drops_the_terminal_and_forwarded_ports() {
        let base = [
            "-append",
            "root=/dev/vda",
            "-serial",
            "mon:stdio",
            "-netdev",
            "user,id=n,hostfwd=tcp:127.0.0.1:2222-:22,restrict=on",
        ];
        let argv = argv(&launch(&base), Purpose::Test, &places(), Accelerator::Tcg).unwrap();
        assert!(argv[2].starts_with("root=/dev/vda systemd.unit=") && argv[2].contains("/dev/ttyS1"));
        assert_eq!(argv[3..6], ["-netdev", "user,id=n,restrict=on", "-chardev"]);
        assert!(!argv.iter().any(|word| word.contains("stdio")));
        assert_eq!(argv.iter().filter(|word| *word == "-serial").count(), 2);
    }

    #[test]
    fn a_test_of_a_disk_that_boots_by_itself_tells_its_loader() {
        let line = |before: &str| {
            let argv = argv(&launch(&["-smbios", before]), Purpose::Test, &places(), Accelerator::Tcg).unwrap();
            argv[2].strip_prefix(before).unwrap().to_owned()
        };
        let stub = line("type=11,value=io.systemd.stub.kernel-cmdline-extra=");
        assert!(stub.starts_with("systemd.unit=") && stub.ends_with("-d)'\""), "{stub}");
        let grub = line("type=11,value=kiln.kernel-words='a'");
        assert!(grub.starts_with(" 'systemd.unit=graphical.target' 'systemd.wants="), "{grub}");
        assert!(grub.contains(" eval$IFS$(") && !grub.contains(['"', '\\']), "{grub}");
    }

    #[test]
    fn shared_memories_are_named() {
        let object = "memory-backend-file,id=mem0.volatile,size=1,mem-path=${shared}/pool.memory,share=on";
        let own = "memory-backend-file,id=x,mem-path=${run}/x.memory";
        let launches = [launch(&["-object", object]), launch(&["-object", object, "-object", own])];
        let names = memories(&launches);
        assert_eq!(names, BTreeSet::from(["pool".to_owned()]));
        let notice = memory_notice(Path::new("/tmp/r/shared"), "pool");
        assert_eq!(notice, "memory `pool` is /tmp/r/shared/pool.memory while the machines run");
    }

    #[test]
    fn places_are_filled_in() {
        let base =
            ["-accel", "${accel}", "-kernel", "${kernel}", "-drive", "if=none,file=${disk},snapshot=on", "-x", "a$$b"];
        let argv = argv(&launch(&base), Purpose::Terminal, &places(), Accelerator::Kvm).unwrap();
        let wanted = [
            "/usr/bin/qemu",
            "-accel",
            "kvm",
            "-kernel",
            "/kiln/artifacts/vmlinuz",
            "-drive",
            "if=none,file=/kiln/run/disk.qcow2",
            "-x",
            "a$b",
        ];
        assert_eq!(argv, wanted);
        for wrong in ["${initrd}", "${nothing}", "${disk", "$disk"] {
            let error = super::argv(&launch(&[wrong]), Purpose::Terminal, &places(), Accelerator::Kvm).unwrap_err();
            assert!(error.to_string().contains(wrong), "{error}");
        }
    }

    #[test]
    fn a_kernel_line_that_tests_do_not_fit_into_is_refused() {
        let error = argv(&launch(&[]), Purpose::Test, &places(), Accelerator::Tcg).unwrap_err();
        assert!(error.to_string().contains("no place"), "{error}");
        let long = "x".repeat(1800);
        let error = argv(&launch(&["-append", &long]), Purpose::Test, &places(), Accelerator::Tcg).unwrap_err();
        assert!(error.to_string().contains("too long"), "{error}");
    }
}
