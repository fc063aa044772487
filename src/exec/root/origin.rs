//! Which package a user comes from, for people: the first that declares it, else the first whose scripts name it.

use std::path::{Path, PathBuf};

use super::{RootError, tree};

const INFO: &str = "var/lib/dpkg/info";
const SYSUSERS: &str = "usr/lib/sysusers.d";
/// What a script makes users and groups with; `systemd-sysusers` reads the files of [`SYSUSERS`].
const MAKERS: [&str; 4] = ["adduser", "addgroup", "useradd", "groupadd"];

/// The first package by name; `None` when none says the word.
pub(super) fn of(root: &Path, name: &str) -> Result<Option<String>, RootError> {
    let mut declared = Vec::new();
    for file in tree::entries(&root.join(SYSUSERS))? {
        if text(&file).lines().any(|line| says(line, name)) {
            declared.push(format!("/{}", file.strip_prefix(root).unwrap_or(&file).display()));
        }
    }
    let lists = tree::entries(&root.join(INFO))?;
    let stems: Vec<PathBuf> = lists.iter().filter(|file| file.extension() == Some("list".as_ref())).cloned().collect();
    let info = |list: &Path, what: &str| text(&list.with_extension(what));
    let ships = |list: &Path| text(list).lines().any(|path| declared.iter().any(|file| file == path));
    // A call of several lines is one line.
    let scripts = |list: &Path| [info(list, "preinst"), info(list, "postinst")].concat().replace("\\\n", " ");
    let makes = |line: &str| says(line, name) && MAKERS.iter().any(|maker| says(line, maker));
    let first = |holds: &dyn Fn(&Path) -> bool| stems.iter().find(|list| holds(list));
    let found = first(&|list| ships(list) || scripts(list).lines().any(makes))
        .or_else(|| first(&|list| scripts(list).lines().any(|line| says(line, name))));
    // `libc6:amd64.list` belongs to libc6.
    let package = |list: &PathBuf| Some(list.file_stem()?.to_string_lossy().split(':').next()?.to_owned());
    Ok(found.and_then(package))
}

/// A text file; scripts that are programs, and files that are not there, say nothing.
fn text(path: &Path) -> String {
    tree::text(path).ok().flatten().unwrap_or_default()
}

/// Whether a text has a word.
fn says(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    text.split(|c: char| !is_part(c)).any(|found| found == word)
}
