//! Which package a user comes from, for people: the first that declares it, else the first whose scripts name it.

use std::path::Path;

use super::{RootError, tree};
use crate::plan::root::{RootPackage, RootSpec};

const INFO: &str = "var/lib/dpkg/info";
const SYSUSERS: &str = "usr/lib/sysusers.d";
/// What a script makes users and groups with; `systemd-sysusers` reads the files of [`SYSUSERS`].
const MAKERS: [&str; 4] = ["adduser", "addgroup", "useradd", "groupadd"];

/// The package, in configure order; `None` when none says the word.
pub(super) fn of(spec: &RootSpec, root: &Path, name: &str) -> Result<Option<String>, RootError> {
    let mut declared = Vec::new();
    for file in tree::entries(&root.join(SYSUSERS))? {
        if text(&file).lines().any(|line| says(line, name)) {
            declared.push(format!("/{}", file.strip_prefix(root).unwrap_or(&file).display()));
        }
    }
    let info = |package: &RootPackage, what: &str| {
        let stems = [package.name.clone(), format!("{}:{}", package.name, package.architecture)];
        stems.map(|stem| text(&root.join(INFO).join(format!("{stem}.{what}")))).concat()
    };
    let ships = |package: &RootPackage| info(package, "list").lines().any(|path| declared.iter().any(|f| f == path));
    // A call of several lines is one line.
    let scripts =
        |package: &RootPackage| [info(package, "preinst"), info(package, "postinst")].concat().replace("\\\n", " ");
    let makes = |line: &str| says(line, name) && MAKERS.iter().any(|maker| says(line, maker));
    let first = |holds: &dyn Fn(&RootPackage) -> bool| spec.packages.iter().find(|package| holds(package));
    let found = first(&|package| ships(package) || scripts(package).lines().any(makes))
        .or_else(|| first(&|package| scripts(package).lines().any(|line| says(line, name))));
    Ok(found.map(|package| package.name.clone()))
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
