//! Programs of Debian's packages that judge what kiln writes, unpacked and not installed.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::live::succeed;
use super::packages;

/// Programs of packages that are unpacked and not installed.
pub(crate) struct Programs(PathBuf);

impl Programs {
    pub(crate) fn unpack(root: &Path, names: &[&str]) -> Programs {
        for package in packages::fetch("trixie", names) {
            succeed(Command::new("dpkg-deb").arg("-x").arg(&package.file).arg(root));
        }
        Programs(root.to_owned())
    }

    /// A program with the loader and the libraries of its own packages.
    pub(crate) fn command(&self, name: &str) -> Command {
        let libraries = self.0.join("usr/lib/x86_64-linux-gnu");
        let mut command = Command::new(libraries.join("ld-linux-x86-64.so.2"));
        command.arg("--library-path").arg(&libraries).arg(self.0.join("usr/bin").join(name));
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", &self.0);
        command
    }
}
