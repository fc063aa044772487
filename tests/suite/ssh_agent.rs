//! An SSH agent of a test's own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::patience::until;

/// Ends with the test, and its directory with it.
pub(crate) struct Agent {
    process: Child,
    place: PathBuf,
}

impl Agent {
    /// One that listens. `name` tells it from those of other tests.
    pub(crate) fn start(name: &str) -> Agent {
        // The path of a socket may have 107 bytes.
        let place = std::env::temp_dir().join(format!("kiln-agent-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&place).unwrap();
        let mut agent = Command::new("ssh-agent");
        agent.args(["-D", "-a"]).arg(place.join("socket")).stdout(Stdio::null());
        let mut agent = Agent { process: agent.spawn().unwrap(), place };
        let socket = agent.socket();
        let listens = || std::os::unix::net::UnixStream::connect(&socket).is_ok();
        until("the SSH agent listens", &mut agent.process, listens);
        agent
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.place.join("socket")
    }

    /// Hands it a private key, whose file only its owner may read.
    pub(crate) fn add(&self, key: &Path) {
        let mut mode = std::fs::metadata(key).unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o600);
        std::fs::set_permissions(key, mode).unwrap();
        let mut add = Command::new("ssh-add");
        let said = add.arg("-q").arg(key).env("SSH_AUTH_SOCK", self.socket()).output().unwrap();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.place);
    }
}
