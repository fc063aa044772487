//! A machine ready to be started, and the argv that starts it: on the terminal, or under test.
//!
//! The argv is written by the machine layer from the machine's description; here it is only said what this start wants,
//! and where its files are.

mod changed;
#[cfg(test)]
pub(super) mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::accel::{AccelChoice, Accelerator};
pub use super::overlay::ARTIFACTS;
use super::overlay::{self, BackingDisk};
use super::share::{self, FileServers, ServerPlaces, Share, Transport};
use super::{GuestError, agent};
use crate::base::Digest;
use crate::exec::sandbox::{HOST_NAME, Mount, Privileges, Root, SandboxIds, Spec};
use crate::machine::argv::{
    self, Console, Credential, Forwards, MemoryBacking, Place, QmpPort, UserNetworkBackend, Writes,
};
use crate::machine::rules::longest_kernel_line;
use crate::machine::{Description, LaunchAdditions, Topology};
use crate::recipe::image::DiskFormat;
use crate::recipe::machine::Firmware;
use crate::recipe::machine::device::Forward;
use crate::world::fs;
use crate::world::plain::FileState;

/// Where QEMU finds what belongs to this start of this machine.
pub const RUN: &str = "/kiln/run";
/// Where QEMU finds what the machines of one start share.
pub const SHARED: &str = "/kiln/shared";
/// Where QEMU finds the files that its memory is made of.
pub const MEMORY: &str = "/kiln/memory";
/// Where QEMU writes console logs.
pub const LOGS: &str = "/kiln/logs";
/// Where a lasting overlay appears.
pub const KEEP: &str = "/kiln/keep.qcow2";
/// Where other files that last appear. In the directory of a run, links lead to them.
pub const KEPT: &str = "/kiln/kept";

/// The firmware's variables, in the directory of a run.
pub const VARIABLES: &str = "firmware-vars";
/// A firmware's variables are no larger.
const MAX_VARIABLES_BYTES: u64 = 1 << 20;

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
    /// What this start hands to the guest's systemd.
    pub credentials: Vec<Credential>,
    /// Directories of the host that it sees.
    pub shares: Vec<Share>,
    /// How it sees them.
    pub transport: Transport,
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
    /// Becomes [`MEMORY`]; none where memory is not made of files.
    pub memory: Option<PathBuf>,
    /// What lasts: an overlay, which becomes [`KEEP`], and files that appear in [`KEPT`]; what is not among them is made
    /// in `run`.
    pub keep: Option<KeptFiles>,
}

/// What of a machine is kept, and where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeptFiles {
    /// Overlay of its disk.
    pub disk: PathBuf,
    /// Files of its own, by their names in the directory of a run.
    pub own: BTreeMap<String, PathBuf>,
    /// Files that it shares with other machines, by their names in the directory that all see.
    pub shared: BTreeMap<String, PathBuf>,
}

/// Makes what QEMU expects to find: the overlay, empty disks, tables of performance, UEFI variables.
pub fn prepare(launch: &Launch, places: &Places) -> Result<(), GuestError> {
    changed::refuse(launch)?;
    match &places.keep {
        Some(keep) => {
            overlay::create_or_check(&keep.disk, backing_disk(launch)?)?;
            link(&places.run, &keep.own)?;
            link(&places.shared, &keep.shared)?;
        }
        None => overlay::create(&places.run.join("disk.qcow2"), backing_disk(launch)?)?,
    }
    if let Some((logs, name)) = &places.log {
        fs::create_anew(&logs.join(name))?;
    }
    let is_kept = |name: &str| places.keep.as_ref().is_some_and(|keep| keep.own.contains_key(name));
    let disks = &launch.description.machine.disks;
    for disk in disks.iter().filter(|disk| !is_kept(&format!("{}.disk", disk.name.value))) {
        let path = places.run.join(format!("{}.disk", disk.name.value));
        fs::context("size", &path, fs::create(&path)?.set_len(disk.size.value))?;
    }
    let topology = launch.description.machine.cxl.as_ref().map(Topology::of);
    for (id, cdat) in topology.iter().flat_map(Topology::tables) {
        fs::write_atomically(&places.run.join(argv::table_name(id)), &cdat.bytes)?;
    }
    if launch.files.contains_key(&Place::FirmwareVars) && !is_kept(VARIABLES) {
        fs::write_atomically(&places.run.join(VARIABLES), &variables(launch)?)?;
    }
    Ok(())
}

/// The overlay of a machine's disk that outlives its runs: made where there is none.
pub fn lasting_overlay(launch: &Launch, path: &Path) -> Result<(), GuestError> {
    changed::refuse(launch)?;
    overlay::create_or_check(path, backing_disk(launch)?)
}

fn backing_disk(launch: &Launch) -> Result<BackingDisk<'_>, GuestError> {
    let (artifacts, format, size) = (&launch.artifacts, launch.description.disk, launch.disk_size);
    Ok(BackingDisk { artifacts, file: file(launch, Place::Disk)?, format, digest: launch.disk, size })
}

/// The variables that a machine's firmware starts with.
pub fn variables(launch: &Launch) -> Result<Vec<u8>, GuestError> {
    match (&launch.variables, launch.files.get(&Place::FirmwareVars)) {
        (Some(bytes), _) => Ok(bytes.clone()),
        (None, Some(name)) => Ok(fs::read(&launch.artifacts.join(name), MAX_VARIABLES_BYTES)?),
        (None, None) => Err(GuestError::NoFile { machine: launch.machine.clone(), place: Place::FirmwareVars.name() }),
    }
}

/// Links in the directory of a run that lead QEMU to files that last. Another start of this run may have made them.
fn link(directory: &Path, files: &BTreeMap<String, PathBuf>) -> Result<(), GuestError> {
    for name in files.keys() {
        let path = directory.join(name);
        match rustix::fs::symlink(format!("{KEPT}/{name}"), &path) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => fs::context("link", &path, Err(error.into()))?,
        }
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
    let machine = &launch.description.machine;
    let accel = asked.of(machine.arch(), first).map_err(refused)?;
    let model = machine.cpu.value.split(',').next().unwrap_or_default();
    match (accel, model) {
        (Accelerator::Tcg, "host") => Err(refused(
            "its `cpu` is `host`, which only KVM has, and it would be emulated here; write `cpu = \"max\"`".to_owned(),
        )),
        _ => Ok(accel),
    }
}

/// The argv with everything filled in, program first.
pub fn argv(launch: &Launch, purpose: Purpose, places: &Places, accel: Accelerator) -> Result<Vec<String>, GuestError> {
    let mut append: Vec<String> = (purpose == Purpose::Test)
        .then(|| test_words(&launch.description, &launch.additions.append))
        .transpose()?
        .into_iter()
        .collect();
    append.extend(launch.additions.append.iter().cloned());
    append.extend(share::kernel_words((&launch.shares, launch.transport), &launch.description, &append)?);
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
        wishes.memory = match (launch.additions.memory, launch.transport) {
            (MemoryBacking::Anonymous, Transport::VirtioFs) => MemoryBacking::Shareable,
            (asked, _) => asked,
        };
        wishes.mac.clone_from(&launch.additions.bridged);
        wishes.credentials.clone_from(&launch.credentials);
        wishes.shares = launch.shares.iter().map(|share| share.in_argv(launch.transport)).collect();
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
        Place::FirmwareVars => format!("{RUN}/{VARIABLES}"),
        Place::Run => RUN.to_owned(),
        Place::Shared => SHARED.to_owned(),
        Place::Memory => MEMORY.to_owned(),
        Place::Log => format!("{LOGS}/{log}"),
        // A launch says which; the word stands in the argv itself.
        Place::Accel => "tcg".to_owned(),
        Place::Kernel | Place::Initrd | Place::FirmwareCode => {
            format!("{ARTIFACTS}/{}", launch.files.get(&place).map_or("", String::as_str))
        }
    }
}

/// Starts the servers of its directories, where QEMU is not that itself.
pub fn serve(launch: &Launch, run: &Path) -> Result<FileServers, GuestError> {
    match launch.transport {
        Transport::NineP => Ok(FileServers::default()),
        Transport::VirtioFs => {
            FileServers::start(&launch.shares, ServerPlaces { machine: &launch.machine, tree: &launch.tree, run })
        }
    }
}

/// What is told of the directories that it sees.
pub fn share_notices(launch: &Launch) -> impl Iterator<Item = String> {
    launch.shares.iter().map(|share| share.notice(&launch.machine))
}

/// The ports of the host that lead into the guest, when it has a user network.
pub fn forwards(launch: &Launch, purpose: Purpose) -> Option<&[Forward]> {
    let machine = &launch.description.machine;
    // Tests work inside the guest, and two of them may run side by side.
    // On a bridge, others reach it by an address of its own.
    let closed = purpose == Purpose::Test || launch.additions.bridged.is_some();
    let forwards = if closed { &[][..] } else { &machine.forwards[..] };
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

/// The words that start the test shell, as whatever hands them to the kernel wants them; an error if the kernel would not
/// see all of its command line.
pub fn test_words(description: &Description, append: &[String]) -> Result<String, GuestError> {
    let machine = &description.machine;
    let port = machine.arch().serial(1);
    let words = match machine.firmware.value {
        Firmware::Direct | Firmware::Uefi => agent::kernel_words(&port),
        Firmware::Seabios => agent::grub_words(&port),
    };
    let added: usize = append.iter().map(|word| word.len() + 1).sum();
    let own = description.kernel_line().len() + added;
    let longest = longest_kernel_line(machine);
    let (over, needed) = ((own + 1 + words.len()).saturating_sub(longest), words.len());
    if over > 0 {
        return Err(GuestError::KernelLine { machine: machine.name.clone(), over, longest, needed });
    }
    Ok(words)
}

/// Everything the QEMU of this start can see.
pub fn spec(launch: &Launch, places: &Places, argv: Vec<String>) -> Spec {
    // The files alone: the directory may be closed to whom QEMU is, and hold more than a machine.
    let files = launch.files.values();
    let artifact = |name: &String| (launch.artifacts.join(name), format!("{ARTIFACTS}/{name}"));
    let artifacts = files.map(artifact).map(|(source, target)| Mount { readonly: true, ..bind(&source, &target) });
    let mut mounts: Vec<Mount> = artifacts.collect();
    mounts.extend([bind(&places.run, RUN), bind(&places.shared, SHARED)]);
    mounts.extend(share::server_sockets((&launch.shares, launch.transport), &places.run));
    mounts.extend(places.memory.as_ref().map(|memory| bind(memory, MEMORY)));
    // The file alone: the directory may be one of the user's, with much else in it.
    mounts.extend(places.log.as_ref().map(|(logs, name)| bind(&logs.join(name), &format!("{LOGS}/{name}"))));
    if let Some(keep) = &places.keep {
        mounts.push(bind(&keep.disk, KEEP));
        let files = keep.own.iter().chain(&keep.shared);
        mounts.extend(files.map(|(name, path)| bind(path, &format!("{KEPT}/{name}"))));
    }
    let by_qemu = launch.shares.iter().filter(|_| launch.transport == Transport::NineP);
    let directories = by_qemu.map(Share::in_sandbox).collect();
    Spec { directories, ..confined(&launch.tree, mounts, argv) }
}

/// A file or a directory that QEMU may write.
pub(super) fn bind(source: &Path, target: &str) -> Mount {
    Mount { source: source.to_owned(), target: target.into(), readonly: false }
}

/// How every QEMU of kiln's is confined: it has its own tree, what is mounted into it, KVM, and nothing else.
pub(super) fn confined(tree: &Path, mut mounts: Vec<Mount>, argv: Vec<String>) -> Spec {
    mounts.extend(Path::new("/dev/kvm").exists().then(|| bind(Path::new("/dev/kvm"), "/dev/kvm")));
    let env =
        [("LC_ALL", "C.UTF-8"), ("TZ", "UTC"), ("HOME", "/tmp"), ("TMPDIR", "/tmp"), ("PATH", "/usr/bin:/usr/sbin")];
    Spec {
        root: Root::ReadOnly(tree.to_owned()),
        mounts,
        directories: Vec::new(),
        ids: SandboxIds::Single,
        privileges: Privileges::None,
        env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        argv,
        hostname: HOST_NAME.to_owned(),
        grace: std::time::Duration::ZERO,
        cwd: RUN.into(),
    }
}
