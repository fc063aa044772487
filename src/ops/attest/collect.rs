//! Texts that may be attestations, from wherever the user says that some are: a directory or a file, an address, a registry.
//!
//! Input: a place. Output: texts with where they were found, and what could not be read. Places are anybody's: whatever is too large, a
//! link or a pipe is passed over with words, and what is in one file takes nothing from the others.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::web::{self, WebProblem};
use crate::base::{ByteSize, Foreign};
use crate::deliver::attestation::{self, FILE, LIMIT};
use crate::deliver::{launch, manifest, statement};
use crate::oci::Reference;
use crate::ops::error::{ErrorClass, OpsError};
use crate::ops::oci;
use crate::ops::session::Session;
use crate::world::dir::Dir;
use crate::world::plain::{FileKind, Odd};

/// Files of a directory that are looked at.
const MAX_FILES: usize = 1 << 16;
/// Bytes of one file.
const FILE_LIMIT: u64 = 64 << 20;
/// Texts of one place that are looked at.
const MAX_TEXTS: usize = 4096;
/// Files of a result directory that are none.
const OF_BUILDS: [&str; 4] = [manifest::FILE, manifest::PARTIAL_FILE, launch::FILE, statement::FILE];
/// Bytes of a directory's files, of those that are read.
const MAX_BYTES: u64 = 512 << 20;

/// Where attestations are.
enum AttestationPlace {
    Path(PathBuf),
    Web(String),
    Oci(Reference),
}

/// What a place says, and to whom.
pub(super) struct Collector<'a> {
    pub(super) session: &'a Session<'a>,
    pub(super) plain_http: bool,
    /// Takes a text and where it was found.
    pub(super) take: &'a mut dyn FnMut(&str, &[u8]),
    /// Takes what is wrong with a place or a file.
    pub(super) problem: &'a mut dyn FnMut(String),
    /// Takes what was left out of a place, or is wrong with the whole of it: a few words, which junk in it does not multiply.
    pub(super) limit: &'a mut dyn FnMut(String),
    /// Takes what is wrong with a place that could not be reached, or is not there: what it has is not known.
    pub(super) unreached: &'a mut dyn FnMut(String),
    /// Files of the place that were not read, or not whole.
    pub(super) partial: usize,
}

fn place(word: &str) -> Result<AttestationPlace, OpsError> {
    let path = Path::new(word);
    match word.split_once("://") {
        Some(("http" | "https", _)) if word.ends_with('/') => Ok(AttestationPlace::Web(format!("{word}{FILE}"))),
        Some(("http" | "https", _)) => Ok(AttestationPlace::Web(word.to_owned())),
        _ if path.symlink_metadata().is_err() && Reference::is_meant(word) => {
            Ok(AttestationPlace::Oci(Reference::parse(word)?))
        }
        _ => Ok(AttestationPlace::Path(path.to_owned())),
    }
}

fn too_large() -> String {
    format!("it is larger than {}, and was not read", ByteSize(FILE_LIMIT))
}

impl Collector<'_> {
    /// Hands on all that a place has. What cannot be read of a place is told, and ends nothing but that place; a word that names no place
    /// at all is an error.
    pub(super) fn all(&mut self, word: &str) -> Result<(), OpsError> {
        let shown = Foreign(word).to_string();
        match place(word)? {
            AttestationPlace::Path(path) => self.path(&shown, &path),
            AttestationPlace::Web(url) => {
                let (bytes, problem) = web::fetch(self.session.world, &oci::stopped, (&url, FILE_LIMIT));
                match problem {
                    Some(WebProblem::Unreached(why)) => (self.unreached)(format!("{}: {why}", Foreign(&url))),
                    Some(WebProblem::Limit(why)) => (self.limit)(format!("{}: {why}", Foreign(&url))),
                    None => {}
                }
                self.texts(&shown, &bytes);
            }
            AttestationPlace::Oci(reference) => {
                let mut found = 0;
                let mut take = |text: Vec<u8>| {
                    found += 1;
                    (self.take)(&shown, &text);
                };
                match oci::attestations(self.session, (&reference, self.plain_http), &mut take) {
                    Ok(None) if found == 0 => (self.limit)(format!("{shown}: no attestation refers to it")),
                    Ok(None) | Err(OpsError::Interrupted) => {}
                    Ok(Some(left)) => (self.limit)(format!("{shown}: {left}")),
                    Err(error) if error.class() == ErrorClass::Host => (self.unreached)(format!("{shown}: {error}")),
                    Err(error) => (self.limit)(format!("{shown}: {error}")),
                }
            }
        }
        if self.partial > 0 {
            (self.limit)(format!(
                "{shown}: what is too large was not read, or not whole, in so many files: {}",
                self.partial
            ));
        }
        if oci::stopped() { Err(OpsError::Interrupted) } else { Ok(()) }
    }

    fn path(&mut self, shown: &str, path: &Path) {
        let found = if path.is_dir() {
            Dir::open_named(path).map(|home| (home, None))
        } else {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            Dir::open_named(parent).map(|home| (home, path.file_name()))
        };
        match found {
            Ok((home, Some(name))) => match name.to_str().map(|name| home.plain(name)) {
                Some(Err(odd @ (Odd::Missing | Odd::Failed(_)))) => (self.unreached)(format!("{shown}: {odd}")),
                _ => drop(self.file(shown, (&home, name))),
            },
            Ok((home, None)) => self.directory(shown, &home),
            Err(error) => (self.unreached)(format!("{shown}: {error}")),
        }
    }

    /// Every file with JSON in it may be some, but for those that a build leaves beside them.
    fn directory(&mut self, shown: &str, home: &Dir) {
        let is_one = |name: &std::ffi::OsString| {
            let ends = [&b".json"[..], b".jsonl"].iter().any(|end| name.as_encoded_bytes().ends_with(end));
            ends && !OF_BUILDS.iter().any(|known| name == known)
        };
        let mut names = match home.entries(MAX_FILES + 1, &is_one) {
            Ok(names) => names,
            Err(error) => return (self.unreached)(format!("{shown}: {error}")),
        };
        if names.is_empty() {
            (self.limit)(format!("{shown}: it has no file that ends in .json or .jsonl"));
        }
        if names.len() > MAX_FILES {
            names.truncate(MAX_FILES);
            (self.limit)(format!("{shown}: it has more than {MAX_FILES} files; the others were not read"));
        }
        // What is huge takes nothing from what is not.
        names.sort_by_cached_key(|name| (home.entry(name).map_or(0, |found| found.st_size), name.clone()));
        let mut bytes = 0;
        for (at, name) in names.iter().enumerate() {
            if bytes > MAX_BYTES || oci::stopped() {
                let left = names.len() - at;
                return (self.limit)(format!("{shown}: it is too large; the {left} largest files were not read"));
            }
            bytes += self.file(&format!("{shown}/{}", Foreign(name.to_string_lossy())), (home, name));
        }
    }

    /// How many bytes were read.
    fn file(&mut self, shown: &str, (home, name): (&Dir, &OsStr)) -> u64 {
        let plain = match name.to_str().map_or(Err(Odd::Is(FileKind::Other)), |name| home.plain(name)) {
            Ok(plain) => plain,
            Err(odd) => {
                (self.problem)(format!("{shown}: {odd}"));
                return 0;
            }
        };
        let why = match plain.size {
            size if size > FILE_LIMIT => too_large(),
            _ => match plain.read(FILE_LIMIT) {
                Ok(bytes) if bytes.len() as u64 <= FILE_LIMIT => {
                    self.texts(shown, &bytes);
                    return bytes.len() as u64;
                }
                Ok(_) => too_large(),
                Err(error) => format!("it cannot be read: {error}"),
            },
        };
        self.partial += 1;
        (self.problem)(format!("{shown}: {why}"));
        0
    }

    fn texts(&mut self, shown: &str, bytes: &[u8]) {
        let texts = attestation::envelopes(bytes);
        for (at, text) in texts.iter().enumerate() {
            let place = if texts.len() == 1 { shown.to_owned() } else { format!("{shown}, line {}", at + 1) };
            if at == MAX_TEXTS {
                self.partial += 1;
                return (self.problem)(format!("{place}: too many lines; the rest was not read"));
            }
            match text.len() as u64 {
                size if size > LIMIT => {
                    (self.problem)(format!("{place}: an attestation has no more than {}", ByteSize(LIMIT)));
                }
                _ => (self.take)(&place, text),
            }
        }
    }
}
