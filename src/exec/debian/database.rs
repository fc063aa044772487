//! Dpkg's database, written so that the image's own dpkg finds every package unpacked and waiting to be configured.
//!
//! Layout: dpkg's `doc/internals` and `dpkg(1)`; states: `deb-triggers(5)` and dpkg's `lib/dpkg/dpkg-db.h`.
//! File triggers need no entry: a package that was never configured runs its `postinst configure` anyway, which does
//! what its triggers would do, and dpkg records none for packages in that state.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::debian::deb::{Control, ControlFile};
use crate::exec::failure::StepFailure;
use crate::exec::tree::{RootError, Tree, Unpacked};
use crate::plan::Statement;

/// Maintainer scripts, the only files of the database that are run.
const SCRIPTS: [&str; 5] = ["preinst", "postinst", "prerm", "postrm", "config"];

/// Writes the database for packages that were just unpacked in `tree`.
pub(crate) fn write(tree: &Tree, packages: &[Unpacked<Control>]) -> Result<(), RootError> {
    for directory in ["info", "updates", "triggers", "alternatives", "parts"] {
        tree.directory(format!("var/lib/dpkg/{directory}"))?;
    }
    let mut status = String::new();
    for package in packages {
        info(tree, package)?;
        status.push_str(&stanza(&package.head));
    }
    put(tree, "status", status.as_bytes())?;
    put(tree, "info/format", b"1\n")?;
    for empty in ["diversions", "statoverride", "triggers/Unincorp"] {
        put(tree, empty, b"")?;
    }
    triggers(tree, packages)
}

/// The stem of a package's files below `info`: with the architecture where several may be installed side by side.
pub(crate) fn stem(control: &Control) -> String {
    match control.stanza.get("Multi-Arch") {
        Some("same") => format!("{}:{}", control.package(), control.architecture()),
        _ => control.package().to_owned(),
    }
}

fn info(tree: &Tree, package: &Unpacked<Control>) -> Result<(), RootError> {
    let stem = format!("var/lib/dpkg/info/{}", stem(&package.head));
    for (name, ControlFile { bytes, .. }) in &package.head.files {
        let mode = if SCRIPTS.contains(&name.as_str()) { 0o755 } else { 0o644 };
        tree.put(format!("{stem}.{name}"), bytes, mode)?;
    }
    let mut list = String::new();
    for path in &package.paths {
        // The root is `/.`, everything else absolute without a trailing slash.
        let _ = writeln!(list, "/{}", if path.is_empty() { "." } else { path });
    }
    Ok(tree.put(format!("{stem}.list"), list.as_bytes(), 0o644)?)
}

fn stanza(control: &Control) -> String {
    let mut text = String::new();
    for (name, value) in &control.stanza.fields {
        let _ = writeln!(text, "{name}: {value}");
        if name.eq_ignore_ascii_case("Package") {
            text.push_str("Status: install ok unpacked\n");
        }
    }
    let conffiles = conffiles(control);
    if !conffiles.is_empty() {
        text.push_str("Conffiles:\n");
        for path in conffiles {
            // Dpkg puts the hash in place of this word when it configures the package.
            let _ = writeln!(text, " {path} newconffile");
        }
    }
    text.push('\n');
    text
}

/// Absolute paths; lines with a flag (`remove-on-upgrade`) name files that the package does not ship.
fn conffiles(control: &Control) -> Vec<String> {
    control.lines("conffiles").into_iter().filter(|line| line.starts_with('/')).collect()
}

fn triggers(tree: &Tree, packages: &[Unpacked<Control>]) -> Result<(), RootError> {
    let mut named: BTreeMap<String, String> = BTreeMap::new();
    let mut files = String::new();
    for package in packages {
        for line in package.head.lines("triggers") {
            let Some((directive, trigger)) = line.split_once(char::is_whitespace) else { continue };
            let suffix = match directive {
                "interest" | "interest-await" => "",
                "interest-noawait" => "/noawait",
                _ => continue,
            };
            let (trigger, name) = (trigger.trim(), package.head.package());
            if trigger.starts_with('/') {
                let _ = writeln!(files, "{trigger} {name}{suffix}");
            } else if trigger.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-+._:".contains(&byte)) {
                let _ = writeln!(named.entry(trigger.to_owned()).or_default(), "{name}{suffix}");
            } else {
                let text = format!("package {name} has a trigger with the name `{trigger}`");
                return Err(StepFailure::input(text).about(Statement::Package(name.to_owned())).into());
            }
        }
    }
    put(tree, "triggers/File", files.as_bytes())?;
    for (trigger, interested) in named {
        put(tree, &format!("triggers/{trigger}"), interested.as_bytes())?;
    }
    Ok(())
}

fn put(tree: &Tree, name: &str, bytes: &[u8]) -> Result<(), RootError> {
    Ok(tree.put(format!("var/lib/dpkg/{name}"), bytes, 0o644)?)
}
