//! A machine ready to be started, and the argv that starts it: on the terminal, or under test.
//!
//! The argv is written by the machine layer from the machine's description; here it is only said what this start wants,
//! and where its files are.

mod changed;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::accel::{AccelChoice, Accelerator};
pub use super::overlay::ARTIFACTS;
use super::overlay::{self, BackingDisk};
use super::{GuestError, agent};
use crate::base::Digest;
use crate::exec::sandbox::{HOST_NAME, Mount, Privileges, Root, SandboxIds, Spec};
use crate::machine::argv::{self, Console, Forwards, Place, QmpPort, UserNetworkBackend, Writes};
use crate::machine::rules::longest_kernel_line;
use crate::machine::{Description, LaunchAdditions};
use crate::recipe::image::DiskFormat;
use crate::recipe::machine::Firmware;
use crate::recipe::machine::device::Forward;
use crate::world::fs;
use crate::world::plain::FileState;

/// Where QEMU finds what belongs to this start of this machine.
pub const RUN: &str = "/kiln/run";
/// Where QEMU finds what the machines of one start share.
pub const SHARED: &str = "/kiln/shared";
/// Where QEMU writes console logs.
pub const LOGS: &str = "/kiln/logs";
/// Where a lasting overlay appears.
pub const KEEP: &str = "/kiln/keep.qcow2";
/// A firmware's variables are no larger.
const VARIABLES: u64 = 1 << 20;

/// A machine ready to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    pub machine: String,
    /// The directory that becomes `/` for QEMU: the locked packages, unpacked.
    pub tree: PathBuf,
    /// The directory with kernel, initramfs and disk.
    pub artifacts: PathBuf,
    /// QEMU in the tree, as an absolute path.
    pub program: String,
    /// What its argv is written from.
    pub description: Description,
    /// Files below `artifacts` by the place that they fill.
    pub files: BTreeMap<Place, String>,
    /// Digest of the disk: a lasting overlay only fits this one.
    pub disk: Digest,
    /// The state in which a file below `artifacts` was when its digest was compared, for those that were. A start
    /// refuses a file that has changed since.
    pub states: BTreeMap<String, FileState>,
    /// The firmware's variables, when they were read already.
    pub variables: Option<Vec<u8>>,
    /// Bytes of the disk that the guest sees, when it is larger than the image's.
    pub disk_size: Option<u64>,
    /// What this start has besides.
    pub additions: LaunchAdditions,
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
    changed::refuse(launch)?;
    let (artifacts, format, size) = (&launch.artifacts, launch.description.disk, launch.disk_size);
    let below = BackingDisk { artifacts, file: file(launch, Place::Disk)?, format, digest: launch.disk, size };
    match &places.keep {
        Some(keep) => overlay::create_or_check(keep, below)?,
        None => overlay::create(&places.run.join("disk.qcow2"), below)?,
    }
    if let Some((logs, name)) = &places.log {
        fs::create_anew(&logs.join(name))?;
    }
    for disk in &launch.description.machine.disks {
        let path = places.run.join(format!("{}.disk", disk.name.value));
        fs::context("size", &path, fs::create(&path)?.set_len(disk.size.value))?;
    }
    if launch.files.contains_key(&Place::FirmwareVars) {
        let bytes = match &launch.variables {
            Some(bytes) => bytes.clone(),
            None => fs::read(&launch.artifacts.join(file(launch, Place::FirmwareVars)?), VARIABLES)?,
        };
        fs::write_atomically(&places.run.join("firmware-vars"), &bytes)?;
    }
    Ok(())
}

/// The name of the file that fills a place.
fn file(launch: &Launch, place: Place) -> Result<&str, GuestError> {
    let missing = || GuestError::NoFile { machine: launch.machine.clone(), place: place.name() };
    launch.files.get(&place).map(String::as_str).ok_or_else(missing)
}

/// What executes a machine of a start whose others are executed by `first`.
pub fn accelerator(launch: &Launch, asked: AccelChoice, first: Accelerator) -> Result<Accelerator, GuestError> {
    let refused = |reason| GuestError::Accel { machine: launch.machine.clone(), reason };
    asked.of(launch.description.machine.arch(), first).map_err(refused)
}

/// The argv with everything filled in, program first.
pub fn argv(launch: &Launch, purpose: Purpose, places: &Places, accel: Accelerator) -> Result<Vec<String>, GuestError> {
    let append = (purpose == Purpose::Test).then(|| test_words(launch)).transpose()?;
    let line = launch.description.argv(|wishes| {
        wishes.accel = match accel {
            Accelerator::Kvm => argv::Accel::Kvm,
            Accelerator::Tcg => argv::Accel::Tcg,
        };
        wishes.console = if purpose == Purpose::Terminal { Console::Terminal } else { Console::Log };
        // Here the disk is an overlay already, whatever is below.
        (wishes.disk, wishes.writes) = (DiskFormat::Qcow2, Writes::Kept);
        // QEMU has no network that it could do it with: see [`super::network`].
        wishes.user_network = UserNetworkBackend::Socket;
        wishes.qmp = if purpose == Purpose::Test { QmpPort::Connects } else { QmpPort::Listens };
        if purpose == Purpose::Test {
            (wishes.agent, wishes.forwards) = (true, Forwards::Closed);
        }
        wishes.append.extend(append);
        wishes.append.extend(launch.additions.append.iter().cloned());
        wishes.arguments.extend(launch.additions.arguments.iter().cloned());
    });
    let missing = line.places().into_iter().filter(|place| place.is_artifact());
    missing.map(|place| file(launch, place)).collect::<Result<Vec<_>, _>>()?;
    let words = line.words(&|place| inside(launch, places, place));
    Ok(std::iter::once(launch.program.clone()).chain(words).collect())
}

/// Where QEMU finds what fills a place.
fn inside(launch: &Launch, places: &Places, place: Place) -> String {
    let log = places.log.as_ref().map_or("console.log", |(_, name)| name);
    match place {
        Place::Disk if places.keep.is_some() => KEEP.to_owned(),
        Place::Disk => format!("{RUN}/disk.qcow2"),
        Place::FirmwareVars => format!("{RUN}/firmware-vars"),
        Place::Run => RUN.to_owned(),
        Place::Shared => SHARED.to_owned(),
        Place::Log => format!("{LOGS}/{log}"),
        // A launch says which; the word stands in the argv itself.
        Place::Accel => "tcg".to_owned(),
        Place::Kernel | Place::Initrd | Place::FirmwareCode => {
            format!("{ARTIFACTS}/{}", launch.files.get(&place).map_or("", String::as_str))
        }
    }
}

/// The ports of the host that lead into the guest, when it has a user network.
pub fn forwards(launch: &Launch, purpose: Purpose) -> Option<&[Forward]> {
    let machine = &launch.description.machine;
    // Tests work inside the guest, and two of them may run side by side.
    let forwards = if purpose == Purpose::Test { &[][..] } else { &machine.forwards[..] };
    machine.user_network.then_some(forwards)
}

/// Memories that machines share, by name, with the file below the run's directory that is each; for the notice that says so.
pub fn memories<'a>(launches: impl IntoIterator<Item = &'a Launch>) -> BTreeSet<String> {
    let names = launches.into_iter().flat_map(|launch| launch.description.shared_memories());
    names.map(str::to_owned).collect()
}

/// What is told of a memory that machines share.
pub fn memory_notice(shared: &Path, name: &str) -> String {
    format!("memory `{name}` is {} while the machines run", shared.join(format!("{name}.memory")).display())
}

/// The words that start the test shell, as whatever hands them to the kernel wants them.
fn test_words(launch: &Launch) -> Result<String, GuestError> {
    let machine = &launch.description.machine;
    let port = machine.arch().serial(1);
    let words = match machine.firmware.value {
        Firmware::Direct | Firmware::Uefi => agent::kernel_words(&port),
        Firmware::Seabios => agent::grub_words(&port),
    };
    let own = launch.description.kernel_line();
    let longest = longest_kernel_line(machine);
    let (over, needed) = ((own.len() + 1 + words.len()).saturating_sub(longest), words.len());
    if over > 0 {
        return Err(GuestError::KernelLine { machine: launch.machine.clone(), over, longest, needed });
    }
    Ok(words)
}

/// Everything the QEMU of this start can see.
pub fn spec(launch: &Launch, places: &Places, argv: Vec<String>) -> Spec {
    let bind =
        |source: &Path, target: &str, readonly| Mount { source: source.to_owned(), target: target.into(), readonly };
    // The files alone: the directory may be closed to whom QEMU is, and hold more than a machine.
    let files = launch.files.values();
    let artifacts = files.map(|name| bind(&launch.artifacts.join(name), &format!("{ARTIFACTS}/{name}"), true));
    let mut mounts: Vec<Mount> = artifacts.collect();
    mounts.extend([bind(&places.run, RUN, false), bind(&places.shared, SHARED, false)]);
    // The file alone: the directory may be one of the user's, with much else in it.
    mounts.extend(places.log.as_ref().map(|(logs, name)| bind(&logs.join(name), &format!("{LOGS}/{name}"), false)));
    mounts.extend(places.keep.as_ref().map(|keep| bind(keep, KEEP, false)));
    mounts.extend(Path::new("/dev/kvm").exists().then(|| bind(Path::new("/dev/kvm"), "/dev/kvm", false)));
    let env =
        [("LC_ALL", "C.UTF-8"), ("TZ", "UTC"), ("HOME", "/tmp"), ("TMPDIR", "/tmp"), ("PATH", "/usr/bin:/usr/sbin")];
    Spec {
        root: Root::ReadOnly(launch.tree.clone()),
        mounts,
        ids: SandboxIds::Single,
        privileges: Privileges::None,
        env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        argv,
        hostname: HOST_NAME.to_owned(),
        cwd: RUN.into(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::deliver::launch::LaunchFile;
    use crate::world::dir::Dir;

    /// A machine that is never started, with more fields than the least.
    pub(in crate::guest) fn launch(more: &str) -> Launch {
        let artifact =
            |file: &str| format!("{{ \"file\": \"{file}\", \"size\": 1, \"sha256\": \"{}\" }}", Digest::of(b""));
        let artifacts = [("kernel", "vmlinuz"), ("disk", "disk.qcow2"), ("firmware-code", "c"), ("firmware-vars", "v")];
        let artifacts = artifacts.map(|(place, file)| format!("\"{place}\": {}", artifact(file))).join(", ");
        let firmware = if more.contains("\"firmware\"") { "" } else { "\"firmware\": \"direct\", " };
        let text = format!(
            "{{ \"format\": 2, \"qemu\": \"11.1.3\", \"artifacts\": {{ {artifacts} }}, \"machine\": {{ {firmware} {more} \
             \"name\": \"m\", \"type\": \"q35\", \"cpus\": 1, \"memory\": 1073741824, \"cpu\": \"max\", \
             \"user-network\": true, \"bounce\": false, \"rng\": true }}, \
             \"memories\": [{{ \"name\": \"pool\", \"size\": 1073741824 }}] }}"
        );
        let read = LaunchFile::read(text.as_bytes()).unwrap();
        Launch {
            machine: "m".into(),
            tree: "/tree".into(),
            artifacts: "/built".into(),
            program: "/usr/bin/qemu".into(),
            files: read.artifacts.into_iter().map(|(place, artifact)| (place, artifact.file)).collect(),
            description: read.description,
            disk: Digest::of(b""),
            states: BTreeMap::new(),
            variables: None,
            disk_size: None,
            additions: LaunchAdditions::default(),
        }
    }

    fn places() -> Places {
        Places { run: "/r".into(), shared: "/s".into(), log: Some(("/l".into(), "m.log".into())), keep: None }
    }

    fn words(more: &str, purpose: Purpose) -> Vec<String> {
        argv(&launch(more), purpose, &places(), Accelerator::Tcg).unwrap()
    }

    /// The value of the first option of this name.
    fn value<'a>(words: &'a [String], flag: &str) -> &'a str {
        &words[words.iter().position(|word| word == flag).unwrap() + 1]
    }

    const NETDEV: &str = "stream,id=kiln.user,server=off,addr.type=unix,addr.path=/kiln/run/network";
    const FORWARD: &str = "\"forwards\": [{ \"guest\": 22, \"host\": 2222 }],";

    #[test]
    fn a_test_adds_words_for_the_kernel_and_drops_the_terminal_and_forwarded_ports() {
        let words = words(FORWARD, Purpose::Test);
        let line = value(&words, "-append");
        assert!(
            line.starts_with("root=/dev/vda rw console=ttyS0 systemd.unit=") && line.contains("/dev/ttyS1"),
            "{line}"
        );
        assert_eq!(value(&words, "-netdev"), NETDEV);
        assert_eq!(value(&words, "-qmp"), "unix:/kiln/run/qmp");
        assert_eq!(value(&words, "-chardev"), "file,id=kiln.console,path=/kiln/logs/m.log");
        assert!(words.contains(&"socket,id=kiln.agent,path=/kiln/run/agent".to_owned()));
        assert!(!words.iter().any(|word| word.contains("stdio") || word.contains("snapshot")), "{words:?}");
        assert_eq!(words.iter().filter(|word| *word == "-serial").count(), 2);
    }

    #[test]
    fn a_run_has_the_terminal_and_its_ports_and_a_neighbour_a_log() {
        let front = words(FORWARD, Purpose::Terminal);
        assert_eq!(value(&front, "-serial"), "mon:stdio");
        assert_eq!(value(&front, "-netdev"), NETDEV);
        let beside = words(FORWARD, Purpose::Background);
        assert_eq!(value(&beside, "-serial"), "chardev:kiln.console");
        assert_eq!(value(&beside, "-qmp"), "unix:/kiln/run/qmp,server=on,wait=off");
        assert_eq!(value(&front, "-qmp"), value(&beside, "-qmp"));
    }

    #[test]
    fn only_a_run_has_forwarded_ports() {
        let launch = launch(FORWARD);
        let ports = |purpose| forwards(&launch, purpose).unwrap().iter().map(|forward| forward.host.value).collect();
        let [front, beside, test]: [Vec<u16>; 3] = [Purpose::Terminal, Purpose::Background, Purpose::Test].map(ports);
        assert_eq!((front, beside, test), (vec![2222], vec![2222], vec![]));
    }

    #[test]
    fn a_test_of_a_disk_that_boots_by_itself_tells_its_loader() {
        let line = |firmware: &str, before: &str| {
            let words = words(&format!("\"firmware\": \"{firmware}\","), Purpose::Test);
            value(&words, "-smbios").strip_prefix(before).unwrap().to_owned()
        };
        let stub = line("uefi", "type=11,value=io.systemd.stub.kernel-cmdline-extra=");
        assert!(stub.starts_with("systemd.unit=") && stub.ends_with("-d)'\""), "{stub}");
        let grub = line("seabios", "type=11,value=kiln.kernel-words=");
        assert!(grub.starts_with("'systemd.unit=graphical.target' 'systemd.wants="), "{grub}");
        assert!(grub.contains(" eval$IFS$(") && !grub.contains(['"', '\\']), "{grub}");
    }

    #[test]
    fn shared_memories_are_named() {
        let shared = "\"cxl\": { \"bridges\": [{ \"name\": \"b\", \"decoders\": false, \"ports\": [{ \"name\": \"p\", \
                      \"expander\": { \"name\": \"e\", \"volatile\": \"pool\", \"back-invalidate\": false, \
                      \"flit256\": false } }] }] },";
        let launches = [launch(shared), launch(shared), launch("")];
        assert_eq!(memories(&launches), BTreeSet::from(["pool".to_owned()]));
        let notice = memory_notice(Path::new("/tmp/r/shared"), "pool");
        assert_eq!(notice, "memory `pool` is /tmp/r/shared/pool.memory while the machines run");
    }

    #[test]
    fn places_are_filled_in() {
        let launch = launch("\"append\": [\"a$b\"], \"firmware\": \"uefi\",");
        let kept = Places { keep: Some("/k".into()), ..places() };
        let words = argv(&launch, Purpose::Terminal, &kept, Accelerator::Kvm).unwrap();
        assert_eq!(words[0], "/usr/bin/qemu");
        assert_eq!(value(&words, "-accel"), "kvm");
        for part in ["file=/kiln/keep.qcow2,format=qcow2", "file=/kiln/artifacts/c", "file=/kiln/run/firmware-vars"] {
            assert!(words.iter().any(|word| word.contains(part)), "{part} in {words:?}");
        }
        let lost = Launch { files: BTreeMap::from([(Place::Disk, "disk.qcow2".to_owned())]), ..launch };
        let error = argv(&lost, Purpose::Terminal, &places(), Accelerator::Kvm).unwrap_err().to_string();
        assert!(error.contains("missing file for `firmware-code`"), "{error}");
    }

    #[test]
    fn a_kernel_line_that_tests_do_not_fit_into_is_refused() {
        let long = format!("\"append\": [\"{}\", \"{}\"],", "x".repeat(700), "y".repeat(790));
        let wide = launch(&long);
        argv(&wide, Purpose::Terminal, &places(), Accelerator::Tcg).unwrap();
        let mut longer = wide.clone();
        longer.description.machine.append.extend(wide.description.machine.append);
        let error = argv(&longer, Purpose::Test, &places(), Accelerator::Tcg).unwrap_err();
        assert!(error.to_string().contains("too long"), "{error}");
    }

    #[test]
    fn a_file_that_changes_after_it_was_checked_is_refused() {
        let directory = std::env::temp_dir().join(format!("kiln-launch-states-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let path = directory.join("vmlinuz");
        fs::write_atomically(&path, b"kernel").unwrap();
        let state = Dir::open_named(&directory).unwrap().plain("vmlinuz").unwrap().state().unwrap();
        let states = BTreeMap::from([("vmlinuz".to_owned(), state)]);
        let checked = Launch { artifacts: directory.clone(), states, ..launch("") };
        changed::refuse(&checked).unwrap();
        fs::write_atomically(&path, b"kernel").unwrap();
        let error = changed::refuse(&checked).unwrap_err().to_string();
        assert!(error.contains("vmlinuz changed after it was checked"), "{error}");
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", &path).unwrap();
        changed::refuse(&checked).unwrap_err();
        fs::remove_tree(&directory).unwrap();
    }
}
