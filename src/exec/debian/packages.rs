//! The packages of a root file system: what their control files say, checked against the list, and what follows.

use std::borrow::Cow;
use std::path::PathBuf;

use rayon::prelude::*;

use super::relations::{self, Relation};
use super::script::Candidate;
use super::{Deb, database};
use crate::debian::deb::{self, Control};
use crate::exec::failure::StepFailure;
use crate::exec::tree::{PathFilter, RootError, Verdict};
use crate::plan::root::RootPackage;
use crate::world::fs;

/// A package before it is unpacked.
pub(crate) struct Known {
    pub(crate) control: Control,
    pub(crate) file: PathBuf,
    replaces: Vec<Relation>,
    provides: Vec<Relation>,
}

/// Reads every control part and checks that it is the package that the list means.
pub(crate) fn read(packages: &[(RootPackage, PathBuf)]) -> Result<Vec<Known>, RootError> {
    packages.par_iter().map(|(package, file)| one(package, file.clone())).collect()
}

fn one(package: &RootPackage, file: PathBuf) -> Result<Known, RootError> {
    let control = deb::control(fs::open(&file)?).map_err(|error| RootError::package(&package.name, error))?;
    let said = (control.package(), control.version(), control.architecture());
    let meant = (package.name.as_str(), package.version.as_str(), package.architecture.as_str());
    if said != meant {
        return Err(RootError::from(StepFailure::input(format!(
            "input {} contains {said:?}, expected {meant:?}",
            package.input
        ))));
    }
    // These words are going to stand in a shell script and in file names.
    let plain = |text: &str| {
        let mut bytes = text.bytes();
        bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"-+.~:".contains(&byte))
    };
    if ![said.0, said.1, said.2].into_iter().all(plain) {
        return Err(RootError::from(StepFailure::input(format!(
            "package {said:?} has invalid characters in its name or version"
        ))));
    }
    let replaces = relations::field(&control.stanza, "Replaces");
    let provides = relations::field(&control.stanza, "Provides");
    Ok(Known { control, file, replaces, provides })
}

impl Known {
    fn replaces(&self, other: &Known) -> bool {
        let by_name = |relation: &Relation| relation.matches(other.control.package(), other.control.version());
        self.replaces.iter().any(by_name)
    }

    /// For whoever unpacks it.
    pub(crate) fn deb<'a>(&self, filter: Option<&'a PathFilter<'a>>) -> Deb<'a> {
        Deb { name: self.control.package().to_owned(), file: self.file.clone(), filter }
    }

    /// Whether dpkg itself must unpack it: its `preinst` moves other packages' files out of the way first.
    pub(crate) fn diverts(&self) -> bool {
        let Some(text) = self.preinst() else { return false };
        let lines = text.lines().map(str::trim_start).filter(|line| !line.starts_with('#'));
        let moves = |line: &str| line.contains("--rename") && !line.contains("--no-rename");
        text.contains("dpkg-divert") && lines.into_iter().any(moves)
    }
}

impl Known {
    /// What dpkg runs before it unpacks the package.
    pub(crate) fn preinst(&self) -> Option<Cow<'_, str>> {
        self.script("preinst")
    }

    /// The texts that dpkg runs when it installs the package.
    pub(crate) fn scripts(&self) -> impl Iterator<Item = Cow<'_, str>> {
        ["preinst", "config", "postinst"].into_iter().filter_map(|name| self.script(name))
    }

    fn script(&self, name: &str) -> Option<Cow<'_, str>> {
        Some(String::from_utf8_lossy(&self.control.files.get(name)?.bytes))
    }
}

/// Who keeps a file that two packages ship: the one that `Replaces` the other (policy 7.6.1).
pub(crate) fn judge(packages: &[&Known], first: usize, second: usize) -> Verdict {
    let (Some(a), Some(b)) = (packages.get(first), packages.get(second)) else { return Verdict::Conflict };
    match (a.replaces(b), b.replaces(a)) {
        (_, true) => Verdict::Second,
        (true, false) => Verdict::First,
        (false, false) => Verdict::Conflict,
    }
}

/// What the configure script must know; `debs` says where packages that dpkg unpacks can be seen.
pub(crate) fn candidates(packages: &[Known], debs: impl Fn(&Known) -> Option<String>) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    for package in packages {
        let needs = relations::field(&package.control.stanza, "Pre-Depends");
        let satisfies = |other: &Known| {
            needs.iter().any(|need| {
                need.name == other.control.package() || other.provides.iter().any(|given| given.name == need.name)
            })
        };
        let before = (0..packages.len()).filter(|&index| satisfies(&packages[index])).collect();
        candidates.push(Candidate {
            name: package.control.package().to_owned(),
            architecture: package.control.architecture().to_owned(),
            stem: database::stem(&package.control),
            preinst: package.control.files.contains_key("preinst"),
            before,
            deb: debs(package),
            essential: package.control.stanza.get("Essential") == Some("yes"),
        });
    }
    candidates
}
