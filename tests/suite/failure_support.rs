//! A whole recipe over a tiny archive on loopback, and the kiln binary to try it on: everything up to the step that
//! needs a real dpkg.

use std::path::PathBuf;
use std::process::{Command, Output};

use super::archive_support::{Package, Server, TinyArchive};

pub(crate) const RECIPE: &str = r#"
archive trixie { keys = [file "archive.asc"] }
packages image-tools { include = ["busybox-static", "e2fsprogs", "kmod", "libarchive13t64"] base = none }
packages qemu-11 { include = ["qemu-system-x86"] base = none }
kernel stock { package = package "linux-image-6.12.1-amd64" }
image tiny { size = 64MiB tools = image-tools packages = ["payload"] base = essential }
machine m { kernel = stock image = tiny qemu = qemu-11 cpus = 1 memory = 256MiB }
"#;

/// Bytes of the one large file; they do not compress.
pub(crate) const LARGE: usize = 3 << 20;

/// A recipe, its lock, a mirror and a directory for stores; all gone in the end.
pub(crate) struct Lab {
    pub(crate) directory: PathBuf,
    pub(crate) server: Server,
}

impl Lab {
    /// A recipe that is locked.
    pub(crate) fn new(name: &str) -> Lab {
        let lab = Lab::unlocked(name, archive(), |_| RECIPE.to_owned());
        let locked = lab.kiln().args(["lock", "tiny.kiln"]).output().unwrap();
        assert!(locked.status.success(), "{}", text(&locked));
        lab
    }

    /// A recipe, which may name the mirror's address, that is not locked.
    pub(crate) fn unlocked(name: &str, archive: TinyArchive, recipe: impl Fn(&str) -> String) -> Lab {
        let directory = super::store::scratch(&format!("failure-{name}"));
        let server = Server::start(&[&archive]);
        std::fs::write(directory.join("tiny.kiln"), recipe(&server.url())).unwrap();
        std::fs::write(directory.join("archive.asc"), archive.key.certificate()).unwrap();
        Lab { directory, server }
    }

    /// Kiln on the lab's store; nothing outside the machine can be reached.
    pub(crate) fn kiln(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
        command.current_dir(&self.directory).env("KILN_STORE", self.store()).env("KILN_MIRROR", self.server.url());
        // Every address but the loopback's is asked through a proxy that is not there.
        command.env("ALL_PROXY", "http://127.0.0.1:9").env("NO_PROXY", "127.0.0.1");
        command
            .env("HOME", &self.directory)
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_STATE_HOME")
            .env_remove("XDG_CACHE_HOME");
        command
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.directory.join("store")
    }

    /// `kiln verify --inputs`: every file of the lock fetched and checked.
    pub(crate) fn inputs(&self) -> Command {
        let mut command = self.kiln();
        command.args(["verify", "--inputs", "tiny.kiln"]);
        command
    }

    /// What the lock says of a package.
    pub(crate) fn digest(&self, package: &str) -> String {
        let lock = std::fs::read_to_string(self.directory.join("tiny.lock")).unwrap();
        let line = lock.lines().find(|line| line.contains(&format!("name = \"{package}\""))).unwrap();
        line.split_once("sha256 = \"").unwrap().1.split('"').next().unwrap().to_owned()
    }

    /// Every blob equals its name, and nothing unfinished is left but this process's own.
    pub(crate) fn sound(&self) {
        let store = kiln::store::Store::open(&self.store()).unwrap();
        assert_eq!(store.recheck().unwrap().damaged, 0, "a blob does not equal its name");
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // A directory that stays behind fails no test.
        let _ = kiln::world::fs::remove_tree(&self.directory);
    }
}

/// Both outputs of a command.
pub(crate) fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// One error, with this exit code, of these words.
pub(crate) fn refused(output: &Output, code: i32, words: &[&str]) {
    let text = text(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert_eq!(text.matches("error: ").count(), 1, "one error: {text}");
    assert!(!text.contains("panicked"), "{text}");
    for word in words {
        assert!(text.contains(word), "it does not say `{word}`: {text}");
    }
}

pub(crate) fn archive() -> TinyArchive {
    let noise: Vec<u8> = (0..LARGE as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let noise: Vec<u8> = noise
        .into_iter()
        .map(|byte| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            byte ^ (state >> 33) as u8
        })
        .collect();
    let payload = Package::new("payload", "1.0")
        .essential()
        .file("/usr/share/payload/noise", 0o644, &noise)
        .script("postinst", "#!/bin/sh\nexit 0\n");
    let kernel = Package::new("linux-image-6.12.1-amd64", "6.12.1-1")
        .file("/boot/vmlinuz-6.12.1-amd64", 0o644, b"kernel")
        .file("/boot/config-6.12.1-amd64", 0o644, b"CONFIG_64BIT=y\n")
        .file("/usr/lib/modules/6.12.1-amd64/kernel/x.ko", 0o644, b"module");
    TinyArchive::new("trixie")
        .package(payload)
        .package(kernel)
        .package(Package::new("busybox-static", "1.37").file("/bin/busybox", 0o755, &noise))
        .package(Package::new("e2fsprogs", "1.47").file("/usr/sbin/mke2fs", 0o755, b"mke2fs"))
        .package(Package::new("kmod", "34").file("/usr/bin/kmod", 0o755, b"kmod"))
        .package(Package::new("libarchive13t64", "3.7").file("/usr/lib/libarchive.so.13", 0o644, b"library"))
        .package(Package::new("qemu-system-x86", "1:11.1.0-1").file("/usr/share/qemu/noise", 0o644, &noise))
}
