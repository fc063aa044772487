//! A user of this machine who is not root, for as long as a test takes.

use std::path::PathBuf;
use std::process::Command;

use super::live::succeed;

/// A user with a home directory; only root makes one.
pub(crate) struct NormalUser {
    pub(crate) name: String,
    pub(crate) home: PathBuf,
}

impl NormalUser {
    /// Without a range of ids: a system user gets none by itself.
    pub(crate) fn new(purpose: &str) -> NormalUser {
        let name = format!("kiln-{purpose}-{}", std::process::id());
        let home = std::env::temp_dir().join(&name);
        succeed(Command::new("useradd").args(["--system", "--create-home", "--home-dir"]).arg(&home).arg(&name));
        NormalUser { name, home }
    }

    /// Gives the user a range of ids, as the administrator of a host does.
    pub(crate) fn give_range(&self, range: &str) {
        succeed(Command::new("usermod").args(["--add-subuids", range, "--add-subgids", range, &self.name]));
    }
}

impl Drop for NormalUser {
    fn drop(&mut self) {
        let _ = Command::new("chmod").args(["-R", "u+rwX"]).arg(&self.home).output();
        let _ = Command::new("userdel").args(["--force", "--remove", &self.name]).output();
        let _ = std::fs::remove_dir_all(&self.home);
    }
}
