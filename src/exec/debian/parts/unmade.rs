//! What nothing makes at first boot: units do, and not every image runs units.
//!
//! Input: a tree to which everything was added. Output: for each package whose secrets, identities or databases are not in
//! the image, a finding.

use super::{configure_again, first_boot};
use crate::exec::debian::maker;
use crate::exec::tree::RootError;
use crate::exec::tree::parts::Addition;
use crate::plan::root::Finding;

/// What the kernel, or the initramfs, starts as the first process.
const INIT: &str = "usr/sbin/init";
const SYSTEMD: &str = "systemd/systemd";

/// One for each package; none where systemd is the first process.
pub(in crate::exec::debian) fn find(addition: &Addition<'_>) -> Result<Vec<Finding>, RootError> {
    if runs_units(addition) {
        return Ok(Vec::new());
    }
    let servers = first_boot::made(addition)?;
    let mut found: Vec<Finding> = servers.into_iter().map(|made| finding(made.package, &[made.path])).collect();
    for (stem, files) in configure_again::missing(addition)? {
        found.push(finding(maker::package(&stem), &files));
    }
    Ok(found)
}

fn runs_units(addition: &Addition<'_>) -> bool {
    let target = addition.tree.at(INIT).and_then(|init| init.target());
    target.is_ok_and(|target| target.to_string_lossy().ends_with(SYSTEMD)) && first_boot::has_systemd(addition.tree)
}

fn finding(package: &str, files: &[String]) -> Finding {
    let first = files.first().cloned().unwrap_or_default();
    let what = match files.len() {
        0 | 1 => format!("{first} is"),
        2 => format!("{first} and another file are"),
        count => format!("{first} and {} other files are", count - 1),
    };
    let message = format!(
        "{what} not in the image, and nothing makes such files at first boot: that takes a systemd unit, and systemd is \
         not the init of this image (the package systemd-sysv makes it so)"
    );
    Finding { package: Some(package.to_owned()), path: Some(first), message }
}
