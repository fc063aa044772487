//! Whether a directory is a build, whole and unchanged: what `kiln verify DIR` tells, and what `kiln run DIR` asks first.
//!
//! Input: a directory that may come from anybody. Output: every difference from what its manifest says and from what
//! every build has, and for a start the machines as they were read. It trusts nothing: each file is opened once, through
//! the directory's descriptor, never through a link, and only when it is a plain file; no more than its listed size and
//! one byte is read, and what is used later are the bytes that were compared.
//!
//! The manifest itself is not signed. Whoever can replace all of the directory can give it other contents with a
//! manifest to match; that is another build, not a changed one, and can do what any build can.

mod difference;
mod file;
mod listing;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

pub use difference::Difference;

use self::file::Reading;
use super::launch::{self, LaunchFile};
use super::manifest::{self, Manifest};
use crate::machine::argv::Place;
use crate::store::Store;
use crate::world::WorldError;
use crate::world::dir::Dir;
use crate::world::plain::{FileState, Odd};

/// A firmware's variables are no larger (OVMF's have 528 KiB): these bytes are kept for the start, for every machine.
const MAX_VARIABLES_BYTES: u64 = 1 << 20;

/// How a directory is read.
pub struct CheckOptions<'a> {
    /// A store that remembers what it has read: an unchanged file is not read again. None: all is read.
    pub remembered: Option<&'a Store>,
    /// Told before a large file is read: its name and its bytes.
    pub told: &'a dyn Fn(&str, u64),
}

pub struct Checked {
    /// The manifest, if there is one.
    pub manifest: Option<Manifest>,
    /// Machines by name; all of them when there is no difference.
    pub machines: BTreeMap<String, CheckedMachine>,
    /// Files that were compared.
    pub files: usize,
    /// Everything that is wrong.
    pub differences: Vec<Difference>,
}

/// A machine of the directory.
pub struct CheckedMachine {
    /// How it is launched.
    pub launch: LaunchFile,
    /// Where its files are.
    pub directory: PathBuf,
    /// By name there: the state in which each file was compared.
    pub states: BTreeMap<String, FileState>,
    /// The firmware's variables, as they were compared.
    pub variables: Option<Vec<u8>>,
}

/// Compares a directory with its manifest.
pub fn check(directory: &Path, options: &CheckOptions<'_>) -> Result<Checked, WorldError> {
    let root = Dir::open_named(directory)?;
    let mut differences = Vec::new();
    let Some(manifest) = read_manifest(&root, &mut differences) else {
        return Ok(Checked { manifest: None, machines: BTreeMap::new(), files: 0, differences });
    };
    let directories = directories(root, &manifest, &mut differences);
    let mut check = Check { manifest: &manifest, options, directories, differences, found: BTreeMap::new() };
    let machines = check.machines();
    let kept: BTreeSet<String> = machines.iter().filter_map(|(at, launch)| variables(at, launch)).collect();
    let rest: Vec<&String> = manifest.artifacts.keys().filter(|name| !check.found.contains_key(*name)).collect();
    for name in rest {
        check.file(name, if kept.contains(name) { MAX_VARIABLES_BYTES } else { 0 });
    }
    listing::extra(&check.directories, &manifest, &mut check.differences)?;
    let machines = machines.into_iter().map(|(at, launch)| check.assemble(at, launch)).collect();
    let Check { differences, found, .. } = check;
    Ok(Checked { files: found.len(), machines, differences, manifest: Some(manifest) })
}

fn read_manifest(root: &Dir, differences: &mut Vec<Difference>) -> Option<Manifest> {
    let wrong = match root.plain(manifest::FILE) {
        Err(odd) => file::difference(manifest::FILE, odd),
        Ok(plain) if plain.size > manifest::LIMIT => {
            Difference::Manifest { reason: format!("it is larger than {} bytes", manifest::LIMIT) }
        }
        Ok(plain) => match plain.read(manifest::LIMIT).map(|bytes| Manifest::read(&bytes)) {
            Ok(Ok(manifest)) => return Some(manifest),
            Ok(Err(error)) => Difference::Manifest { reason: error.to_string() },
            Err(error) => Difference::Unreadable { file: manifest::FILE.to_owned(), reason: error.to_string() },
        },
    };
    differences.push(wrong);
    None
}

/// The directory itself, as ``, and those below it that the manifest has files in.
fn directories(root: Dir, manifest: &Manifest, differences: &mut Vec<Difference>) -> BTreeMap<String, Dir> {
    let named = manifest.artifacts.keys().filter_map(|name| name.split_once('/'));
    let names: BTreeSet<&str> = named.map(|(directory, _)| directory).collect();
    let mut held = BTreeMap::new();
    for name in names {
        match root.below(name) {
            Ok(directory) => drop(held.insert(name.to_owned(), directory)),
            // Its files are missing, and are told one by one.
            Err(Odd::Missing) => {}
            Err(odd) => differences.push(file::difference(name, odd)),
        }
    }
    held.insert(String::new(), root);
    held
}

struct Check<'a> {
    manifest: &'a Manifest,
    options: &'a CheckOptions<'a>,
    directories: BTreeMap<String, Dir>,
    differences: Vec<Difference>,
    /// By name: what was read of each file that is as the manifest says, or none.
    found: BTreeMap<String, Option<Reading>>,
}

/// A machine's directory as the manifest has it.
type At<'a> = (&'a str, &'a str);

impl<'a> Check<'a> {
    /// Reads and compares one file of the manifest, and keeps its bytes when it has no more than `keep`.
    fn file(&mut self, name: &str, keep: u64) {
        let Some(artifact) = self.manifest.artifacts.get(name) else { return };
        let (directory, own) = name.split_once('/').unwrap_or(("", name));
        let read = match self.directories.get(directory) {
            Some(held) => file::compare(held, own, artifact, &file::Wish { name, keep, options: self.options }),
            None => Err(Difference::Missing { file: name.to_owned() }),
        };
        let read = read.map_err(|difference| self.differences.push(difference)).ok();
        self.found.insert(name.to_owned(), read);
    }

    /// Every `launch.json`, compared first: it says what else must be there.
    fn machines(&mut self) -> Vec<(At<'a>, LaunchFile)> {
        if self.manifest.qemu.is_empty() && self.manifest.alone().next().is_none() {
            self.differences.push(Difference::Nothing);
        }
        let lost = self.manifest.alone().filter(|file| !self.manifest.artifacts.contains_key(*file));
        self.differences.extend(lost.map(|file| Difference::NotListed { file: file.clone() }));
        let all: Vec<At<'a>> = self.manifest.machines().collect();
        all.into_iter().filter_map(|at| Some((at, self.machine(at)?))).collect()
    }

    fn machine(&mut self, (machine, directory): At<'_>) -> Option<LaunchFile> {
        let name = path(directory, launch::FILE);
        for file in [path(directory, launch::SCRIPT), name.clone()] {
            if !self.manifest.artifacts.contains_key(&file) {
                self.differences.push(Difference::NotListed { file });
            }
        }
        self.file(&name, launch::LIMIT);
        let bytes = self.found.get_mut(&name)?.as_mut()?.bytes.take();
        let read = bytes.map(|bytes| LaunchFile::read(&bytes));
        let launch = match read {
            Some(Ok(launch)) => launch,
            Some(Err(error)) => {
                self.differences.push(Difference::Launch { file: name, reason: error.to_string() });
                return None;
            }
            None => {
                let reason = format!("it is larger than {} bytes", launch::LIMIT);
                self.differences.push(Difference::Launch { file: name, reason });
                return None;
            }
        };
        if launch.artifacts.get(&Place::FirmwareVars).is_some_and(|artifact| artifact.size > MAX_VARIABLES_BYTES) {
            // They would be read once more for the start, and nobody would have compared those bytes.
            let reason = format!("the firmware variables have more than {MAX_VARIABLES_BYTES} bytes");
            self.differences.push(Difference::Launch { file: name, reason });
            return None;
        }
        let found = &launch.description.machine.name;
        if found != machine {
            let (found, expected) = (found.clone(), machine.to_owned());
            self.differences.push(Difference::Machine { file: name, found, expected });
            return None;
        }
        for artifact in launch.artifacts.values() {
            let file = path(directory, &artifact.file);
            match self.manifest.artifacts.get(&file) {
                None => self.differences.push(Difference::NotListed { file }),
                Some(listed) if (listed.size, listed.sha256) != (artifact.size, artifact.sha256) => {
                    self.differences.push(Difference::Disagree { launch: name.clone(), file });
                }
                Some(_) => {}
            }
        }
        Some(launch)
    }

    fn assemble(&self, (machine, directory): At<'_>, launch: LaunchFile) -> (String, CheckedMachine) {
        let reading = |name: &str| self.found.get(&path(directory, name))?.as_ref();
        let files = launch.artifacts.values().map(|artifact| &artifact.file);
        let states = files.filter_map(|file| Some((file.clone(), reading(file)?.state))).collect();
        let variables = launch.artifacts.get(&Place::FirmwareVars).and_then(|one| reading(&one.file)?.bytes.clone());
        let directory = self.directories.get(directory).map(|held| held.path().to_owned()).unwrap_or_default();
        (machine.to_owned(), CheckedMachine { launch, directory, states, variables })
    }
}

fn path(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}

fn variables((_, directory): &At<'_>, launch: &LaunchFile) -> Option<String> {
    launch.artifacts.get(&Place::FirmwareVars).map(|artifact| path(directory, &artifact.file))
}
