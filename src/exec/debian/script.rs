//! The one shell script that configures a root file system: preinsts and dpkg calls in the lock's order.
//!
//! Dpkg is called as rarely as correctness allows. Policy 7.2: a `preinst` may rely on essential packages being
//! unpacked and on its own `Pre-Depends` being configured; so the packages gathered so far are configured only when
//! a `preinst` needs one of them, and once when all essential packages are among them: any other script may rely on
//! these being configured (policy 3.8). Triggers wait for the end (as apt does it), so that each runs once over everything.

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
    /// Whether every script may take for granted what it does.
    pub(crate) essential: bool,
}

pub(crate) fn configure(packages: &[Candidate], dpkg_version: &str) -> String {
    let mut text = format!(
        "set -e\nexport DPKG_MAINTSCRIPT_NAME=preinst DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT=1 DPKG_MAINTSCRIPT_DEBUG=0\n\
         export DPKG_ADMINDIR=/var/lib/dpkg DPKG_ROOT= DPKG_RUNNING_VERSION={dpkg_version}\n\
         D='dpkg --force-unsafe-io --force-confold --no-triggers'\n\
         fail() {{ s=$?; echo \"{FAILED}$1\"; exit $s; }}\n"
    );
    let mut first: Vec<usize> = Vec::new();
    for name in FIRST {
        first.extend(packages.iter().position(|package| package.name == name && package.deb.is_none()));
    }
    for &index in &first {
        preinst(&mut text, &packages[index]);
        let _ = writeln!(text, "$D --force-depends --configure {}", qualified(&packages[index]));
    }
    let essential = packages.iter().rposition(|package| package.essential);
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
        if essential == Some(index) {
            flush(&mut text, packages, &mut batch);
            waiting.clear();
        }
    }
    flush(&mut text, packages, &mut batch);
    text.push_str("dpkg --force-unsafe-io --force-confold --configure --pending\n");
    text
}

/// Said before a `preinst` runs, and of one that failed, before the name of its package.
pub(crate) const PREINST: &str = "kiln: running the preinst of ";
pub(crate) const FAILED: &str = "kiln: failed is the preinst of ";

/// A package whose script failed, in the words of a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failed<'a> {
    /// dpkg says so, and in the next line why.
    Reported(&'a str),
    /// Kiln's own script says so.
    Preinst(&'a str),
}

/// The package whose script failed, where a line says so.
pub(crate) fn failed(line: &str) -> Option<Failed<'_>> {
    // dpkg's words, in the locale of the sandbox: `dpkg: error processing package tzdata:amd64 (--configure):`
    let of_dpkg = line.strip_prefix("dpkg: error processing package ").and_then(|rest| rest.split([' ', ':']).next());
    of_dpkg.map(Failed::Reported).or_else(|| line.strip_prefix(FAILED).map(Failed::Preinst))
}

fn preinst(text: &mut String, package: &Candidate) {
    if package.preinst {
        let Candidate { name, architecture, stem, .. } = package;
        let _ = writeln!(
            text,
            "echo '{PREINST}{name}'\nDPKG_MAINTSCRIPT_PACKAGE={name} DPKG_MAINTSCRIPT_ARCH={architecture} /var/lib/dpkg/info/{stem}.preinst install || fail {name}"
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

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(name: &str, preinst: bool, before: &[usize]) -> Candidate {
        Candidate {
            name: name.to_owned(),
            architecture: "all".to_owned(),
            stem: name.to_owned(),
            preinst,
            before: before.to_vec(),
            deb: None,
            essential: false,
        }
    }

    /// The lines that do something, shortened.
    fn steps(packages: &[Candidate]) -> Vec<String> {
        let text = configure(packages, "1.22");
        let short = |line: &str| match line.split_once("/info/") {
            Some((_, script)) => script.split(" || ").next().unwrap().to_owned(),
            None => line.to_owned(),
        };
        text.lines().filter(|line| line.contains("$D") || line.contains("/info/")).map(short).collect()
    }

    #[test]
    fn a_failed_script_is_known_by_what_is_said_of_it() {
        assert_eq!(failed("dpkg: error processing package tzdata (--configure):"), Some(Failed::Reported("tzdata")));
        assert_eq!(
            failed("dpkg: error processing package libc6:amd64 (--configure):"),
            Some(Failed::Reported("libc6"))
        );
        assert_eq!(failed(&format!("{FAILED}mawk")), Some(Failed::Preinst("mawk")));
        assert_eq!(failed("Setting up tzdata (2026a) ..."), None);
        let text = configure(&[candidate("a", true, &[])], "1.22");
        let fails = text.lines().filter(|line| !line.contains("DPKG_MAINTSCRIPT_PACKAGE=a"));
        let script = format!(
            "{}\nfalse || fail a",
            fails.take_while(|line| !line.starts_with("$D")).collect::<Vec<_>>().join("\n")
        );
        let run = std::process::Command::new("/bin/sh").args(["-c", &script]).output().unwrap();
        let said = String::from_utf8_lossy(&run.stdout).into_owned();
        assert_eq!(said.lines().map(failed).collect::<Vec<_>>(), [None, Some(Failed::Preinst("a"))]);
        assert_eq!(run.status.code(), Some(1));
    }

    #[test]
    fn dpkg_is_called_once_where_no_preinst_needs_more() {
        let packages = [candidate("a", false, &[]), candidate("b", true, &[]), candidate("c", false, &[0, 1])];
        assert_eq!(steps(&packages), ["b.preinst install", "$D --configure a b c"]);
    }

    #[test]
    fn what_a_preinst_depends_on_is_configured_before_it_runs() {
        let packages = [candidate("a", false, &[]), candidate("b", true, &[0]), candidate("c", true, &[0])];
        let expected = ["$D --configure a", "b.preinst install", "c.preinst install", "$D --configure b c"];
        assert_eq!(steps(&packages), expected);
    }

    #[test]
    fn essential_packages_are_configured_before_any_other_preinst_runs() {
        let mut packages = [candidate("a", false, &[]), candidate("b", true, &[]), candidate("c", true, &[])];
        packages[1].essential = true;
        let expected = ["b.preinst install", "$D --configure a b", "c.preinst install", "$D --configure c"];
        assert_eq!(steps(&packages), expected);
    }

    #[test]
    fn the_base_comes_first_and_diverting_packages_go_through_dpkg() {
        let mut diverting = candidate("d", true, &[0]);
        diverting.deb = Some("/tmp/debs/d.deb".to_owned());
        let packages = [candidate("a", false, &[]), diverting, candidate("base-passwd", true, &[])];
        let expected = [
            "base-passwd.preinst install",
            "$D --force-depends --configure base-passwd",
            "$D --configure a",
            "$D --unpack /tmp/debs/d.deb",
            "$D --configure d",
        ];
        assert_eq!(steps(&packages), expected);
    }
}
