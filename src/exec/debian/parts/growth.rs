//! Whether an image has the programs that make its root grow at boot.

use crate::exec::failure::StepFailure;
use crate::exec::tree::{RootError, Tree};
use crate::plan::Statement;
use crate::plan::root::{RootGrowth, RootSpec};

/// systemd-growfs(8) makes a file system as large as what it is on.
const FILE_SYSTEM: (&str, &str) = ("usr/lib/systemd/systemd-growfs", "systemd-sysv");
/// systemd-repart(8) makes the last partition as large as the disk. Debian 12 has it in `systemd`.
const PARTITION: (&str, &str) = ("usr/bin/systemd-repart", "systemd-repart");

/// Refuses an image that lacks one of them.
pub(super) fn possible(spec: &RootSpec, tree: &Tree) -> Result<(), RootError> {
    let needed: &[(&str, &str)] = match spec.grow {
        None => &[],
        Some(RootGrowth::FileSystem) => &[FILE_SYSTEM],
        Some(RootGrowth::Partition) => &[FILE_SYSTEM, PARTITION],
    };
    for (program, package) in needed {
        if !tree.has(program)? {
            let message = format!("`grow` needs `/{program}`, which no package of this image has");
            let help = format!("add the package {package} to the image, or write `grow = false`");
            return Err(StepFailure::recipe(Statement::Grow, message).help(help).into());
        }
    }
    Ok(())
}
