//! `--keep`: what a run leaves for the next one.
//!
//! A directory holds everything of all machines that would outlive a power cut: overlays of their disks, empty disks,
//! persistent memories with their labels, variables of the firmware, shared memories; and a record of what they were made
//! for. QEMU is shown the files one by one, so it cannot put a link or another file in their place; the directory may come
//! from anybody all the same, and a link in it is refused. A single file holds the writes to the disk of one machine.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use super::event::{TestEvent, TestListener};
use super::launch::{self, KeptFiles, VARIABLES};
use super::state::{self, LastingState};
use super::{GuestError, Launch};
use crate::world::OutputDirectory;
use crate::world::dir::Dir;
use crate::world::fs;
use crate::world::plain::{FileKind, Odd};

/// The record, in the directory.
const FILE: &str = "keep.json";
/// Held by the run that uses it.
const LOCK: &str = ".lock";
/// The writes to a machine's disk, in its directory.
const OVERLAY: &str = "disk.qcow2";
/// Where shared memories are, beside directories of machines, whose names have no dots.
const SHARED: &str = ".shared";
/// Version of the record.
const FORMAT: u32 = 1;
/// No record is larger.
const MAX_RECORD_BYTES: u64 = 1 << 20;

/// What is kept.
pub enum Keep {
    /// The disk of the machine on the terminal, in a file.
    Disk(PathBuf),
    /// Everything.
    All(KeepDirectory),
}

/// A directory of kept state, in use by this run.
pub struct KeepDirectory {
    path: PathBuf,
    record: KeepRecord,
    _lock: File,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeepRecord {
    format: u32,
    machines: BTreeMap<String, LastingState>,
}

impl Keep {
    /// What `--keep PATH` means. The sandbox has another working directory, so the path becomes absolute.
    pub fn open(path: &Path) -> Result<Keep, GuestError> {
        let at = absolute(path)?;
        let is_image = at.extension().is_some_and(|extension| extension == "qcow2");
        match fs::metadata(&at) {
            Ok(found) if found.is_file() => Ok(Keep::Disk(at)),
            Ok(_) => Ok(Keep::All(KeepDirectory::open(at)?)),
            Err(_) if is_image => Ok(Keep::Disk(at)),
            Err(_) => {
                Dir::make(&at, 0o700)?;
                Ok(Keep::All(KeepDirectory::open(at)?))
            }
        }
    }
}

impl KeepDirectory {
    fn open(path: PathBuf) -> Result<KeepDirectory, GuestError> {
        let path = fs::context("resolve", &path, path.canonicalize())?;
        let failed = |reason: &str| GuestError::Keep { path: path.clone(), reason: reason.to_owned() };
        let held = Dir::open(&path)?;
        let is_ours = held.kind(FILE).is_ok();
        let others = held.entries(1, &|name| name != LOCK)?;
        if !is_ours && !others.is_empty() {
            return Err(failed("it is not empty, and not a directory that `kiln run --keep` made; give another one"));
        }
        let lock = fs::open_lock(&path.join(LOCK))?;
        if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(failed("another run is using it"));
        }
        let record = if is_ours { read(&path)? } else { KeepRecord { format: FORMAT, machines: BTreeMap::new() } };
        let directory = KeepDirectory { path, record, _lock: lock };
        if !is_ours {
            // So that what an interrupted first run leaves is known as kiln's.
            directory.write_record()?;
        }
        Ok(directory)
    }

    /// The files of a machine, made where this is the first run. An error if they are not of this machine.
    pub fn files(&mut self, launch: &Launch) -> Result<KeptFiles, GuestError> {
        let state = state::of(launch)?;
        let name = &launch.machine;
        let is_new = match self.record.machines.get(name) {
            None => true,
            Some(kept) => match state.difference(kept) {
                None => false,
                Some(difference) => {
                    let reason = format!(
                        "what it keeps of machine {name} does not fit: {difference}; give another directory, or remove \
                         this one to start afresh"
                    );
                    return Err(GuestError::Keep { path: self.path.clone(), reason });
                }
            },
        };
        let variables = state.files.contains_key(VARIABLES).then(|| launch::variables(launch)).transpose()?;
        let content = |file: &str| variables.as_deref().filter(|_| file == VARIABLES);
        let own = self.below(name)?;
        let found = if is_new { Found::Made } else { Found::Required };
        let mut files = KeptFiles { disk: own.path().join(OVERLAY), ..KeptFiles::default() };
        for (file, size) in &state.files {
            place(&own, file, (*size, content(file)), found)?;
            files.own.insert(file.clone(), own.path().join(file));
        }
        overlay(&own, launch, found)?;
        if !state.shared.is_empty() {
            let shared = self.below(SHARED)?;
            for (memory, size) in &state.shared {
                let file = format!("{memory}.memory");
                place(&shared, &file, (*size, None), found)?;
                files.shared.insert(file.clone(), shared.path().join(file));
            }
        }
        if is_new {
            // Everything that the record says is there by now.
            self.record.machines.insert(name.clone(), state);
            self.write_record()?;
        }
        Ok(files)
    }

    fn write_record(&self) -> Result<(), GuestError> {
        let bytes = serde_json::to_vec_pretty(&self.record).expect("a record has string keys only");
        Ok(fs::write_with_mode(&self.path.join(FILE), &bytes, 0o600)?)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A directory in it, made where it is missing; a link is refused.
    fn below(&self, name: &str) -> Result<Dir, GuestError> {
        let path = self.path.join(name);
        match Dir::open(&self.path)?.kind(name) {
            Err(Odd::Missing) => Ok(Dir::make(&path, 0o700)?),
            Ok(FileKind::Directory) => Ok(Dir::open(&path)?),
            Ok(other) => Err(GuestError::Keep { path, reason: format!("it is {}", other.words()) }),
            Err(odd) => Err(GuestError::Keep { path, reason: odd.to_string() }),
        }
    }
}

fn read(path: &Path) -> Result<KeepRecord, GuestError> {
    let path = path.join(FILE);
    let failed = |reason: String| GuestError::Keep { path: path.clone(), reason };
    let directory = Dir::open(path.parent().unwrap_or(&path))?;
    let plain = directory.plain(FILE).map_err(|odd| failed(odd.to_string()))?;
    let bytes = fs::context("read", &path, plain.read(MAX_RECORD_BYTES))?;
    let record: KeepRecord = serde_json::from_slice(&bytes)
        .map_err(|error| failed(format!("it is not a record of `kiln run --keep`: {error}")))?;
    match record.format {
        FORMAT => Ok(record),
        other => Err(failed(format!("format {other} is not known to this kiln, which knows {FORMAT}"))),
    }
}

/// Whether a file has to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// The record names it.
    Required,
    /// It is made, unless an interrupted first run did so already.
    Made,
}

/// A file of this size: holes, or what it begins with.
fn place(dir: &Dir, name: &str, (size, content): (u64, Option<&[u8]>), found: Found) -> Result<(), GuestError> {
    let path = dir.path().join(name);
    if found == Found::Made && matches!(dir.kind(name), Err(Odd::Missing)) {
        // It has its name once it is whole, so that an interrupted run leaves none of another size.
        let (home, name) = OutputDirectory::holding(&path)?;
        let mut new = home.begin()?;
        let written = std::io::Write::write_all(&mut new.file, content.unwrap_or_default());
        fs::context("write", &path, written.and_then(|()| new.file.set_len(size)))?;
        return Ok(new.finish(name, 0o600)?);
    }
    match refuse_odd(dir, name, Some(size))? {
        true => Ok(()),
        false => Err(missing(path)),
    }
}

/// The overlay of the machine's disk: as large as its guest made it.
fn overlay(dir: &Dir, launch: &Launch, found: Found) -> Result<(), GuestError> {
    let path = dir.path().join(OVERLAY);
    match (refuse_odd(dir, OVERLAY, None)?, found) {
        (false, Found::Required) => Err(missing(path)),
        (true, Found::Required) => Ok(()),
        (_, Found::Made) => launch::lasting_overlay(launch, &path),
    }
}

fn missing(path: PathBuf) -> GuestError {
    GuestError::Keep { path, reason: format!("it is missing, though {FILE} names it") }
}

/// Whether a plain file is there; an error if it is something else, or has another size.
fn refuse_odd(dir: &Dir, name: &str, size: Option<u64>) -> Result<bool, GuestError> {
    let failed = |reason: String| GuestError::Keep { path: dir.path().join(name), reason };
    match dir.plain(name) {
        Err(Odd::Missing) => Ok(false),
        Err(odd) => Err(failed(odd.to_string())),
        Ok(plain) => match size.filter(|size| *size != plain.size) {
            Some(size) => Err(failed(format!("it has {} bytes, and should have {size}", plain.size))),
            None => Ok(true),
        },
    }
}

/// The file's directory is looked up first; the file may not exist yet.
fn absolute(path: &Path) -> Result<PathBuf, GuestError> {
    if path.exists() {
        return Ok(fs::context("resolve", path, path.canonicalize())?);
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path
        .file_name()
        .ok_or_else(|| GuestError::Keep { path: path.to_owned(), reason: "not the name of a file".to_owned() })?;
    Ok(fs::context("resolve", parent, parent.canonicalize())?.join(name))
}

/// What is kept of each machine, by its name; and what is told of what is kept, and of what is not.
pub fn files<'a>(
    keep: &mut Option<Keep>,
    (front, background): (&'a Launch, &[&'a Launch]),
    listener: &dyn TestListener,
) -> Result<BTreeMap<&'a str, KeptFiles>, GuestError> {
    let say = |text: &str| listener.on(TestEvent::Notice(text));
    let mut kept = BTreeMap::new();
    match keep {
        Some(Keep::All(directory)) => {
            for launch in std::iter::once(front).chain(background.iter().copied()) {
                kept.insert(launch.machine.as_str(), directory.files(launch)?);
            }
            let volatile = "the machines' ordinary memory and volatile CXL memory are not kept";
            say(&format!("keeping disks and what is persistent in {}; {volatile}", directory.path.display()));
            return Ok(kept);
        }
        Some(Keep::Disk(path)) => {
            kept.insert(front.machine.as_str(), KeptFiles { disk: path.clone(), ..KeptFiles::default() });
            say(&format!("keeping the disk of {} alone in {}; a directory keeps all", front.machine, path.display()));
        }
        None => {}
    }
    for launch in std::iter::once(front).chain(background.iter().copied()) {
        let state = state::of(launch)?;
        if !state.persistent().is_empty() {
            let names = state.persistent().join(", ");
            say(&format!(
                "persistent memory of {} ({names}) is lost when it ends; --keep DIR keeps it",
                launch.machine
            ));
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::launch::tests::launch;

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("kiln-keep-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// A machine with a persistent expander of this size, an empty disk, and a pool that it shares.
    fn machine(base: &Path, persistent: u64, serial: u64) -> Launch {
        let expander = format!(
            "\"name\": \"pm\", \"persistent\": {persistent}, \"lsa\": 131072, \"serial\": {serial}, \
             \"back-invalidate\": false, \"flit256\": false"
        );
        let pool = "\"name\": \"sh\", \"volatile\": \"pool\", \"back-invalidate\": false, \"flit256\": false";
        let port = |name: &str, expander: &str| format!("{{ \"name\": \"{name}\", \"expander\": {{ {expander} }} }}");
        let machine = launch(&format!(
            "\"disks\": [{{ \"name\": \"data\", \"size\": 1048576 }}], \"cxl\": {{ \"bridges\": [{{ \"name\": \"b\", \
             \"decoders\": false, \"ports\": [{}, {}] }}] }},",
            port("p0", &expander),
            port("p1", pool)
        ));
        Launch { variables: Some(b"vars".to_vec()), artifacts: built(base), ..machine }
    }

    /// A directory with a disk, of which nothing but the head is looked at.
    fn built(base: &Path) -> PathBuf {
        let path = base.join("built");
        fs::create_dir_all(&path).unwrap();
        let mut head = [0; 512];
        head[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
        head[24..32].copy_from_slice(&(1u64 << 20).to_be_bytes());
        fs::write_atomically(&path.join("disk.qcow2"), &head).unwrap();
        path
    }

    fn all(path: &Path) -> Result<KeepDirectory, GuestError> {
        match Keep::open(path)? {
            Keep::All(directory) => Ok(directory),
            Keep::Disk(_) => panic!("{} is taken for a file", path.display()),
        }
    }

    #[test]
    fn everything_that_lasts_is_kept_and_found_again() {
        let base = scratch("again");
        let path = base.join("kept");
        let of = machine(&base, 268_435_456, 7);
        let first = all(&path).unwrap().files(&of).unwrap();
        assert_eq!(first.own.keys().collect::<Vec<_>>(), ["data.disk", "firmware-vars", "pm.labels", "pm.persistent"]);
        assert_eq!(first.shared.keys().collect::<Vec<_>>(), ["pool.memory"]);
        assert_eq!(fs::metadata(&first.own["pm.persistent"]).unwrap().len(), 268_435_456);
        std::fs::OpenOptions::new()
            .write(true)
            .open(&first.own["pm.labels"])
            .map(|mut file| {
                std::io::Write::write_all(&mut file, b"label").unwrap();
            })
            .unwrap();
        let again = all(&path).unwrap().files(&of).unwrap();
        assert_eq!(again, first);
        assert!(fs::read(&again.own["pm.labels"], 1 << 20).unwrap().starts_with(b"label"));
        fs::remove_tree(&base).unwrap();
    }

    #[test]
    fn what_does_not_fit_is_refused_with_what_differs() {
        let base = scratch("fit");
        let path = base.join("kept");
        all(&path).unwrap().files(&machine(&base, 268_435_456, 7)).unwrap();
        let refused = |launch: &Launch| all(&path).unwrap().files(launch).unwrap_err().to_string();
        let text = refused(&machine(&base, 536_870_912, 7));
        assert!(text.contains("`pm.persistent` has 512MiB now and 256MiB there"), "{text}");
        assert!(refused(&machine(&base, 268_435_456, 8)).contains("expander `pm` has another serial number"));
        assert!(
            refused(&Launch { variables: Some(b"vars".to_vec()), ..launch("") })
                .contains("it has no `data.disk` any more")
        );
        let rebuilt = Launch { disk: crate::base::Digest::of(b"other"), ..machine(&base, 268_435_456, 7) };
        assert!(refused(&rebuilt).contains("its disk was built anew"));
        fs::remove_file(&path.join("m/pm.labels")).unwrap();
        assert!(refused(&machine(&base, 268_435_456, 7)).contains("pm.labels: it is missing"));
        fs::remove_tree(&base).unwrap();
    }

    #[test]
    fn an_overlay_is_there_before_the_record_says_so_and_missed_from_then_on() {
        let base = scratch("overlay");
        let (path, of) = (base.join("kept"), machine(&base, 268_435_456, 7));
        let record = || String::from_utf8(fs::read(&path.join(FILE), 1 << 20).unwrap()).unwrap();
        // A first run that ends early: its disk cannot be made.
        let bad = Launch { disk_size: Some(512), ..of.clone() };
        assert!(all(&path).unwrap().files(&bad).unwrap_err().to_string().contains("--disk-size 512B"));
        assert!(!record().contains("\"m\""), "{}", record());
        // The next one goes on from there.
        let files = all(&path).unwrap().files(&of).unwrap();
        assert!(record().contains("\"m\"") && files.disk.exists());
        fs::remove_file(&files.disk).unwrap();
        let text = all(&path).unwrap().files(&of).unwrap_err().to_string();
        assert!(text.ends_with("m/disk.qcow2: it is missing, though keep.json names it"), "{text}");
        assert!(!files.disk.exists(), "an empty one in its place would lose what was written");
        fs::remove_tree(&base).unwrap();
    }

    #[test]
    fn two_runs_links_and_directories_of_others_are_refused() {
        let base = scratch("refused");
        let path = base.join("kept");
        let mut held = all(&path).unwrap();
        let said = |path: &Path| all(path).err().expect("an error").to_string();
        assert!(said(&path).contains("another run is using it"));
        held.files(&machine(&base, 268_435_456, 7)).unwrap();
        drop(held);
        let victim = base.join("victim");
        fs::write_atomically(&victim, &[0; 131_072]).unwrap();
        let labels = path.join("m/pm.labels");
        fs::remove_file(&labels).unwrap();
        std::os::unix::fs::symlink(&victim, &labels).unwrap();
        let text = all(&path).unwrap().files(&machine(&base, 268_435_456, 7)).unwrap_err().to_string();
        assert!(text.contains("a symbolic link"), "{text}");
        fs::remove_file(&labels).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &labels, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
        let text = all(&path).unwrap().files(&machine(&base, 268_435_456, 7)).unwrap_err().to_string();
        assert!(text.contains("a named pipe"), "{text}");
        assert!(said(&base).contains("not empty"), "a directory of somebody else's");
        assert!(fs::metadata(&base.join(".lock")).is_err(), "and nothing is left in it");
        fs::write_atomically(&path.join(FILE), b"{}").unwrap();
        assert!(said(&path).contains("not a record"));
        fs::remove_tree(&base).unwrap();
    }

    #[test]
    fn a_file_keeps_a_disk_and_is_found_from_anywhere() {
        let here = std::env::current_dir().unwrap();
        assert_eq!(absolute("keep.qcow2".as_ref()).unwrap(), here.canonicalize().unwrap().join("keep.qcow2"));
        let error = absolute("nowhere-at-all/keep.qcow2".as_ref()).unwrap_err().to_string();
        assert!(error.contains("nowhere-at-all"), "{error}");
        assert!(absolute("/..".as_ref()).is_ok_and(|root| root == Path::new("/")));
        let base = scratch("file");
        assert!(matches!(Keep::open(&base.join("new.qcow2")), Ok(Keep::Disk(_))));
        fs::write_atomically(&base.join("old"), b"").unwrap();
        assert!(matches!(Keep::open(&base.join("old")), Ok(Keep::Disk(_))));
        fs::remove_tree(&base).unwrap();
    }
}
