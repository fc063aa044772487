//! Dpkg's own opinion of a configured system.
//!
//! Input: the configured tree and the packages that it was made of. Output: what dpkg finds wrong with packages' files and
//! checksums, as warnings: apt installs these packages without a word. A package that is missing, or in any other state
//! than installed, is an error.

use std::ffi::OsString;

use super::checksums::Archived;
use super::maker::{self, Makers};
use super::origin::Info;
use super::rules;
use super::run::Runner;
use super::sound::{Sound, well_formed};
use crate::exec::failure::StepFailure;
use crate::exec::log::shortened;
use crate::exec::tree::{PathFilter, RootError, Tree};
use crate::plan::root::{BaseSpec, Finding, RootPackage};

/// So many findings are kept.
const FINDINGS: usize = 100;
/// Between the two programs' lines.
const MARK: &str = "kiln: verify";

/// What dpkg says of its database: all packages are there, and installed.
pub(super) fn audit(spec: &BaseSpec, tree: &Tree, runner: &Runner<'_>) -> Result<Vec<Finding>, RootError> {
    let (mut audit, mut installed, mut auditing) = (Audit::default(), Vec::new(), true);
    let script = format!(
        "dpkg --audit; echo '{MARK}'\n\
         dpkg-query -W -f='= ${{Package}} ${{Version}} ${{Architecture}} ${{Status}}\\n'"
    );
    runner.script("dpkg --audit", &script, &mut |line| match line.strip_prefix("= ") {
        Some(package) if installed.len() <= spec.packages.len() => installed.push(shortened(package)),
        None if line == MARK => auditing = false,
        None if auditing => audit.hear(line),
        // A program of the image says this, which may never end.
        _ => {}
    })?;
    check_installed(spec, installed)?;
    let info = Info::read(tree)?;
    let is_malformed = |stem: &&OsString| info.list(stem, "md5sums").is_some_and(|sums| !well_formed(&sums));
    let malformed = info.stems.iter().filter(is_malformed);
    let malformed = malformed.map(|stem| of_checksums(maker::package(stem.to_str().unwrap_or_default())));
    Ok(audit.findings.into_iter().chain(malformed).collect())
}

/// What dpkg says of packages' files, when it is not known already that it has nothing to say.
pub(super) fn files(
    spec: &BaseSpec,
    tree: &Tree,
    filter: &PathFilter<'_>,
    runner: &Runner<'_>,
    archived: &Archived,
) -> Result<Vec<Finding>, RootError> {
    let sound = Sound::read(tree, filter, archived)?;
    let readable = spec.packages.iter().filter(|package| sound.is_readable(package));
    let asked: Vec<&RootPackage> = readable.filter(|package| !sound.is(package)).collect();
    let Some(script) = script(&asked) else { return Ok(Vec::new()) };
    let names: Vec<&str> = asked.iter().map(|package| package.name.as_str()).collect();
    (runner.log)(&format!("kiln: dpkg verifies the files of {}", names.join(", ")));
    let expected = |line: &str| {
        let path = line.split_ascii_whitespace().next_back().unwrap_or_default();
        rules::expected_finding(line) || line.starts_with("missing ") && filter.is_excluded(path)
    };
    let mut said = Vec::new();
    runner.script("dpkg --verify", &script, &mut |line| {
        // A program of the image says this, which may never end.
        if said.len() < FINDINGS && !expected(line) {
            said.push(shortened(line));
        }
    })?;
    let makers = Makers::read(tree)?;
    Ok(said.iter().map(|line| of_file(&makers, line)).collect())
}

/// So many of all findings, in order.
pub(super) fn in_order(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort();
    findings.dedup();
    findings.truncate(FINDINGS);
    findings
}

/// Reading every file takes dpkg one processor, so that two of them take half of the packages each; what the second one says
/// waits in a file of the sandbox's own `/tmp`. Dpkg stops at the first list of checksums that it cannot read, and is not
/// asked about those. Without a name it would be asked about all packages.
fn script(packages: &[&RootPackage]) -> Option<String> {
    let mut halves = [String::new(), String::new()];
    for (at, package) in packages.iter().enumerate() {
        let architecture = if package.architecture == "all" { "" } else { &package.architecture };
        let colon = if architecture.is_empty() { "" } else { ":" };
        halves[at % 2].extend([" ", &package.name, colon, architecture]);
    }
    let [first, second] = halves;
    match (packages.len(), &second) {
        (0, _) => None,
        (1, _) => Some(format!("dpkg --verify{first}")),
        (_, second) => Some(format!(
            "dpkg --verify{second} >/tmp/verified &\ndpkg --verify{first}; wait; cat /tmp/verified; rm /tmp/verified"
        )),
    }
}

fn check_installed(spec: &BaseSpec, mut installed: Vec<String>) -> Result<(), RootError> {
    let line = |package: &RootPackage| {
        let RootPackage { name, version, architecture, .. } = package;
        format!("{name} {version} {architecture} install ok installed")
    };
    let mut locked: Vec<String> = spec.packages.iter().map(line).collect();
    locked.sort();
    installed.sort();
    if installed == locked {
        return Ok(());
    }
    let odd = |a: &[String], b: &[String]| a.iter().filter(|x| !b.contains(x)).cloned().collect::<Vec<_>>().join(", ");
    let (extra, missing) = (odd(&installed, &locked), odd(&locked, &installed));
    Err(RootError::from(StepFailure::input(format!(
        "installed packages do not match the lock: extra [{extra}], missing [{missing}]"
    ))))
}

fn of_checksums(package: &str) -> Finding {
    let message = "its list of checksums (md5sums) is malformed, so its files cannot be verified";
    Finding::of_package(package, message)
}

/// A line of `dpkg --verify`: nine signs or `missing`, the letter of a conffile, a path.
fn of_file(makers: &Makers, line: &str) -> Finding {
    let path = line.find(" /").map(|at| line[at + 1..].trim_end());
    let Some(path) = path.filter(|_| line.starts_with("missing") || line.starts_with("??")) else {
        return Finding { package: None, path: None, message: format!("dpkg --verify: {line}") };
    };
    let what = if line.starts_with("missing") { "is missing" } else { "was changed after it was unpacked" };
    let package = makers.owner(path).map(str::to_owned);
    Finding { package, path: Some(path.to_owned()), message: format!("{path} {what}") }
}

/// Reads `dpkg --audit`: a paragraph says what is wrong, and the lines below it, which begin with a blank, with which
/// packages.
#[derive(Default)]
struct Audit {
    about: String,
    listing: bool,
    findings: Vec<Finding>,
}

impl Audit {
    fn hear(&mut self, line: &str) {
        let Some(entry) = line.strip_prefix(' ') else {
            if self.listing || line.is_empty() {
                self.about.clear();
                self.listing = false;
            }
            if self.about.len() < 1000 {
                self.about.push_str(&shortened(line));
                self.about.push(' ');
            }
            return;
        };
        self.listing = true;
        let Some(name) = entry.split_whitespace().next().filter(|_| self.findings.len() < FINDINGS) else { return };
        let message = if self.about.contains("md5sums") {
            "it has no list of checksums (md5sums), so its files cannot be verified".to_owned()
        } else {
            format!("dpkg --audit: {}", self.about.trim().trim_end_matches(':'))
        };
        self.findings.push(Finding::of_package(maker::package(&shortened(name)), message));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audit_names_packages_and_what_is_wrong_with_them() {
        let mut audit = Audit::default();
        let text = "The following packages are missing the md5sums control file in the\n\
                    database, they need to be reinstalled:\n tp-nosums            A tool\n tp-two:amd64  B\n\n\
                    The following packages have an unknown foreign architecture, which will\ncause trouble:\n x\n";
        text.lines().for_each(|line| audit.hear(line));
        let found: Vec<(&str, &str)> =
            audit.findings.iter().map(|f| (f.package.as_deref().unwrap(), f.message.as_str())).collect();
        let checksums = "it has no list of checksums (md5sums), so its files cannot be verified";
        let foreign =
            "dpkg --audit: The following packages have an unknown foreign architecture, which will cause trouble";
        assert_eq!(found, [("tp-nosums", checksums), ("tp-two", checksums), ("x", foreign)]);
    }
}
