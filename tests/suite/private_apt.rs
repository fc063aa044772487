//! An apt with a root, lists and settings of its own, on the host's Debian mirrors: a judge for tests, a peer for benches.

use std::path::{Path, PathBuf};
use std::process::Command;

use kiln::debian::mirror::Mirrors;
use kiln::world::RealWorld;

/// The keys of Debian's archives, as a Debian host has them.
pub(crate) const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Every suite with the priority that both sides give it.
pub(crate) const SUITES: [(&str, i32); 4] =
    [("trixie", 500), ("trixie-updates", 500), ("trixie-security", 500), ("trixie-backports", 100)];

/// In which repository a suite stands.
pub(crate) fn repository(suite: &str) -> &'static str {
    if suite.ends_with("-security") { "debian-security" } else { "debian" }
}

/// No package is installed in it, and nothing of the host's settings reaches it.
pub(crate) struct PrivateApt {
    /// Its `Dir`.
    pub(crate) root: PathBuf,
}

impl PrivateApt {
    /// Fetches the lists.
    pub(crate) fn new(root: &Path) -> PrivateApt {
        for directory in [
            "etc/apt/preferences.d",
            "etc/apt/apt.conf.d",
            "var/lib/apt/lists/partial",
            "var/cache/apt/archives/partial",
        ] {
            std::fs::create_dir_all(root.join(directory)).unwrap();
        }
        let mirrors = Mirrors::of(&RealWorld::default()).unwrap();
        let lines = SUITES.iter().map(|(suite, _)| {
            let base = mirrors.bases(repository(suite), &[]).into_iter().next().expect("a mirror of Debian");
            format!("deb [arch=amd64 signed-by={KEYRING}] {base} {suite} main\n")
        });
        std::fs::write(root.join("etc/apt/sources.list"), lines.collect::<String>()).unwrap();
        let apt = PrivateApt { root: root.to_owned() };
        apt.run("update", &[]).unwrap_or_else(|error| panic!("apt-get update: {}", error.trim_end()));
        apt
    }

    /// What it says, or what it complains of.
    pub(crate) fn run(&self, verb: &str, arguments: &[&str]) -> Result<String, String> {
        let settings = [
            &format!("Dir={}", self.root.display()),
            "Dir::State::status=/dev/null",
            "APT::Architecture=amd64",
            "APT::Architectures=amd64",
            "Acquire::Languages=none",
            "Acquire::GzipIndexes=false",
            "APT::Sandbox::User=root",
        ];
        let mut command = Command::new("apt-get");
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C.UTF-8");
        for setting in settings {
            command.args(["-o", setting]);
        }
        let output = command.arg(verb).args(arguments).output().expect("apt-get runs");
        let text = String::from_utf8(output.stdout).unwrap();
        if output.status.success() { Ok(text) } else { Err(text + &String::from_utf8_lossy(&output.stderr)) }
    }
}
