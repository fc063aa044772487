//! Which package a user comes from, for people: the first that declares it, else the first whose scripts name it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::exec::tree::{Place, RootError, Tree};

const INFO: &str = "var/lib/dpkg/info";
const SYSUSERS: &str = "usr/lib/sysusers.d";
/// Bytes of a list of files.
const LIMIT: u64 = 64 << 20;
/// What a script makes users and groups with; `systemd-sysusers` reads the files of [`SYSUSERS`].
const MAKERS: [&str; 4] = ["adduser", "addgroup", "useradd", "groupadd"];

/// The first package by name; `None` when none says the word.
pub(super) fn of(tree: &Tree, name: &str) -> Result<Option<String>, RootError> {
    let mut declared = Vec::new();
    for file in tree.list(SYSUSERS)? {
        if text(&file).lines().any(|line| says(line, name)) {
            declared.push(format!("/{}", file.path().display()));
        }
    }
    let info = Info::read(tree)?;
    let ships = |stem: &OsStr| info.text(stem, "list").lines().any(|path| declared.iter().any(|file| file == path));
    // A call of several lines is one line.
    let scripts =
        |stem: &OsStr| [info.text(stem, "preinst"), info.text(stem, "postinst")].concat().replace("\\\n", " ");
    let makes = |line: &str| says(line, name) && MAKERS.iter().any(|maker| says(line, maker));
    let first = |holds: &dyn Fn(&OsStr) -> bool| info.stems.iter().find(|stem| holds(stem));
    let found = first(&|stem| ships(stem) || scripts(stem).lines().any(makes))
        .or_else(|| first(&|stem| scripts(stem).lines().any(|line| says(line, name))));
    // `libc6:amd64.list` belongs to libc6.
    Ok(found.and_then(|stem| Some(stem.to_string_lossy().split(':').next()?.to_owned())))
}

/// What dpkg keeps of each package.
pub(super) struct Info {
    files: BTreeMap<OsString, Place>,
    /// Names without their extensions.
    pub(super) stems: Vec<OsString>,
}

impl Info {
    pub(super) fn read(tree: &Tree) -> Result<Info, RootError> {
        let named = |place: Place| Some((place.path().file_name()?.to_owned(), place));
        let files: BTreeMap<OsString, Place> = tree.list(INFO)?.into_iter().filter_map(named).collect();
        let stem = |name: &OsString| Path::new(name).file_stem().map(OsStr::to_owned);
        let lists = files.keys().filter(|name| Path::new(name).extension() == Some("list".as_ref()));
        let stems = lists.filter_map(stem).collect();
        Ok(Info { files, stems })
    }

    /// A list of a package as dpkg reads it, whose names need not be UTF-8; `None` when it cannot be read.
    pub(super) fn list(&self, stem: &OsStr, what: &str) -> Option<String> {
        let name = Path::new(stem).with_added_extension(what);
        let Some(place) = self.files.get(name.as_os_str()) else { return Some(String::new()) };
        Some(String::from_utf8_lossy(&place.bytes(LIMIT).ok().flatten()?).into_owned())
    }

    /// A file of a package as text; nothing when there is none.
    pub(super) fn text(&self, stem: &OsStr, what: &str) -> String {
        let name = Path::new(stem).with_added_extension(what);
        self.files.get(name.as_os_str()).map(text).unwrap_or_default()
    }
}

/// A text file; scripts that are programs say nothing.
fn text(place: &Place) -> String {
    place.text().ok().flatten().unwrap_or_default()
}

/// Whether a text has a word.
fn says(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    text.split(|c: char| !is_part(c)).any(|found| found == word)
}
