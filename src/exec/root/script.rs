//! The one shell script that configures a root file system: preinsts and dpkg calls in the lock's order.
//!
//! Dpkg is called as rarely as correctness allows. Policy 7.2: a `preinst` may rely on essential packages being
//! unpacked and on its own `Pre-Depends` being configured; so the packages gathered so far are configured only when
//! a `preinst` needs one of them. Triggers wait for the end (as apt does it), so that each runs once over everything.

use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Configured before everything else, dependencies or not, as every Debian bootstrap does: users and groups, `awk`
/// and the directories that all the other scripts take for granted.
pub(crate) const FIRST: [&str; 3] = ["base-passwd", "mawk", "base-files"];

/// What the script must know of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) name: String,
    pub(crate) architecture: String,
    /// Stem of its files in dpkg's `info`.
    pub(crate) stem: String,
    /// Whether it has a `preinst`.
    pub(crate) preinst: bool,
    /// Positions of the packages that satisfy its `Pre-Depends`.
    pub(crate) before: Vec<usize>,
    /// Where its `.deb` is, when dpkg itself must unpack it.
    pub(crate) deb: Option<String>,
}

/// The script.
pub(crate) fn configure(packages: &[Candidate], dpkg_version: &str) -> String {
    let mut text = format!(
        "set -e\nexport DPKG_MAINTSCRIPT_NAME=preinst DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT=1 DPKG_MAINTSCRIPT_DEBUG=0\n\
         export DPKG_ADMINDIR=/var/lib/dpkg DPKG_ROOT= DPKG_RUNNING_VERSION={dpkg_version}\n\
         D='dpkg --force-unsafe-io --force-confold --no-triggers'\n"
    );
    let mut first: Vec<usize> = Vec::new();
    for name in FIRST {
        first.extend(packages.iter().position(|package| package.name == name && package.deb.is_none()));
    }
    for &index in &first {
        preinst(&mut text, &packages[index]);
        let _ = writeln!(text, "$D --force-depends --configure {}", qualified(&packages[index]));
    }
    let mut waiting: BTreeSet<usize> = BTreeSet::new();
    let mut batch: Vec<usize> = Vec::new();
    for (index, package) in packages.iter().enumerate() {
        if first.contains(&index) {
            continue;
        }
        let acts = package.preinst || package.deb.is_some();
        if acts && package.before.iter().any(|needed| waiting.contains(needed)) {
            flush(&mut text, packages, &mut batch);
            waiting.clear();
        }
        match &package.deb {
            Some(deb) => {
                let _ = writeln!(text, "$D --unpack {deb}");
            }
            None if package.preinst => preinst(&mut text, package),
            None => {}
        }
        waiting.insert(index);
        batch.push(index);
    }
    flush(&mut text, packages, &mut batch);
    text.push_str("dpkg --force-unsafe-io --force-confold --configure --pending\n");
    text
}

fn preinst(text: &mut String, package: &Candidate) {
    if package.preinst {
        let Candidate { name, architecture, stem, .. } = package;
        let _ = writeln!(
            text,
            "DPKG_MAINTSCRIPT_PACKAGE={name} DPKG_MAINTSCRIPT_ARCH={architecture} /var/lib/dpkg/info/{stem}.preinst install"
        );
    }
}

fn flush(text: &mut String, packages: &[Candidate], batch: &mut Vec<usize>) {
    if batch.is_empty() {
        return;
    }
    text.push_str("$D --configure");
    for index in batch.drain(..) {
        text.push(' ');
        text.push_str(&qualified(&packages[index]));
    }
    text.push('\n');
}

fn qualified(package: &Candidate) -> String {
    match package.architecture.as_str() {
        "all" => package.name.clone(),
        other => format!("{}:{other}", package.name),
    }
}
