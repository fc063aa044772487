//! Where attacks are carried out: an archive on loopback, a project directory, a store and a clean environment of their own.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::canary::{Canary, SECRET};
use super::host;
use crate::suite::archive_support::{Package, Server, TinyArchive};

/// How long a kiln may take here. Who is still busy then is taken to hang: every honest build ends in a tenth of it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// A place for attacks.
pub(crate) struct Ground {
    pub(crate) directory: PathBuf,
    pub(crate) server: Server,
    pub(crate) archive: TinyArchive,
    /// Files of the store that were looked at.
    known: RefCell<BTreeSet<PathBuf>>,
    /// Why no build can be carried out here.
    why_not: Option<String>,
}

/// What an image is made of, besides the base.
#[derive(Default)]
pub(crate) struct Image<'a> {
    pub(crate) packages: &'a [&'a str],
    /// More lines of the `image` block.
    pub(crate) body: &'a str,
    /// More tools.
    pub(crate) tools: &'a [&'a str],
    /// More lines of the `machine` block, and what follows it.
    pub(crate) machine: &'a str,
    pub(crate) after: &'a str,
}

impl Ground {
    /// Where the ground of a front is going to be.
    pub(crate) fn place(front: &str) -> PathBuf {
        std::env::temp_dir().join(format!("kiln-attack-{front}-{}", std::process::id()))
    }

    pub(crate) fn new(directory: &Path, packages: Vec<Package>) -> Ground {
        let _ = kiln::world::fs::remove_tree(directory);
        std::fs::create_dir_all(directory).unwrap();
        // No store is read below a directory that others may write.
        std::fs::set_permissions(directory, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let lent = host::packages();
        let mut why_not = lent.is_none().then(|| "this machine has no dpkg to lend to images".to_owned());
        let mut archive = TinyArchive::new("trixie");
        // Without a list of digests dpkg calls a package incomplete, which some tests want.
        let complete = |package: Package| if package.has("md5sums") { package } else { package.script("md5sums", "") };
        archive.packages = lent.unwrap_or_default().into_iter().chain(packages).map(complete).collect();
        let server = Server::start(&[&archive]);
        std::fs::write(directory.join("archive.asc"), archive.key.certificate()).unwrap();
        let (directory, known) = (directory.to_owned(), RefCell::default());
        let mut ground = Ground { directory, server, archive, known, why_not: None };
        let doctor = run(ground.kiln().arg("doctor"));
        if doctor.code != Some(0) {
            why_not = why_not.or_else(|| Some(format!("kiln doctor: {}", doctor.text())));
        }
        ground.why_not = why_not;
        ground
    }

    /// Why no build can be carried out on this machine, if so.
    pub(crate) fn why_not(&self) -> Option<&str> {
        self.why_not.as_deref()
    }

    /// A new directory of the host to be left alone.
    pub(crate) fn canary(&self, name: &str) -> Canary {
        Canary::new(victim(&self.directory, name))
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.directory.join("store")
    }

    /// kiln with nothing in its environment but where its store and its mirror are.
    pub(crate) fn kiln(&self) -> Command {
        self.wrapped(&[])
    }

    /// The same, started by another program.
    pub(crate) fn wrapped(&self, before: &[&str]) -> Command {
        let words: Vec<OsString> = before.iter().map(OsString::from).chain([program()]).collect();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env_clear().current_dir(&self.directory);
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", &self.directory);
        command.env("KILN_STORE", self.store()).env("KILN_MIRROR", self.server.url());
        // Every address but the loopback's is asked through a proxy that is not there.
        command.env("ALL_PROXY", "http://127.0.0.1:9").env("NO_PROXY", "127.0.0.1");
        command
    }

    /// Writes `NAME.kiln`: one machine with one image.
    pub(crate) fn recipe(&self, name: &str, image: &Image<'_>) {
        let quoted = |names: &mut dyn Iterator<Item = &str>| {
            names.map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
        };
        let tools = quoted(&mut host::TOOLS.iter().chain(image.tools).copied());
        let packages = quoted(&mut image.packages.iter().copied());
        let Image { body, machine, after, .. } = image;
        let dhcp = if body.contains("dhcp = ") { "" } else { "  dhcp = false\n" };
        let text = format!(
            "archive trixie {{ keys = [file \"archive.asc\"] }}\n\
             packages host-tools {{ include = [{tools}] base = none }}\n\
             kernel stock {{ package = package \"linux-image-6.12.1-amd64\" }}\n\
             image {name} {{\n  size = 64MiB\n  tools = host-tools\n  packages = [{packages}]\n  base = essential\n  \
             serial-console = false\n{dhcp}{body}\n}}\n\
             machine m {{ kernel = stock image = {name} qemu = host-tools cpus = 1 memory = 256MiB user-network = false {machine} }}\n{after}\n"
        );
        std::fs::write(self.directory.join(format!("{name}.kiln")), text).unwrap();
    }

    /// Writes and locks it.
    pub(crate) fn lock(&self, name: &str, image: &Image<'_>) -> Ended {
        self.recipe(name, image);
        run(self.kiln().arg("lock").arg(format!("{name}.kiln")))
    }

    /// Locks and builds it; what was said, and how it ended.
    pub(crate) fn build(&self, name: &str, image: &Image<'_>) -> Ended {
        self.build_by(name, image, &mut self.kiln())
    }

    /// The same by a kiln of the caller's choice.
    pub(crate) fn build_by(&self, name: &str, image: &Image<'_>, kiln: &mut Command) -> Ended {
        let locked = self.lock(name, image);
        if locked.code != Some(0) {
            return locked;
        }
        run(kiln.args(["build", "--allow-leaks"]).arg(format!("{name}.kiln")))
    }

    /// A file of the host that turned up in the store since the last time; what is large goes.
    pub(crate) fn leak(&self) -> Option<String> {
        let secret = regex::bytes::Regex::new(SECRET).unwrap();
        let mut found = None;
        let mut known = self.known.borrow_mut();
        // Images share the files of the first build; those of later ones only fill the disk.
        let first = known.is_empty();
        for blob in std::fs::read_dir(self.store().join("cas")).into_iter().flatten() {
            let path = blob.unwrap().path();
            if !known.insert(path.clone()) {
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            if secret.is_match(&bytes) {
                found = Some(format!("a file of the host is in {}", path.display()));
            }
            if !first && bytes.len() > 1 << 20 && bytes[257..].starts_with(b"ustar") {
                std::fs::remove_file(&path).unwrap();
            }
        }
        found
    }

    /// Whether a build harmed the canary, took something of it along, hung or panicked.
    pub(crate) fn harm(&self, ended: &Ended, canary: &Canary) -> Option<String> {
        canary.harm().or_else(|| self.leak()).or_else(|| ended.broken())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        // A directory that stays behind fails no test.
        let _ = kiln::world::fs::remove_tree(&self.directory);
    }
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit code; `None` when it had to be killed, or was.
    pub(crate) code: Option<i32>,
    /// Whether it was still running after [`PATIENCE`].
    pub(crate) hung: bool,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

impl Ended {
    pub(crate) fn text(&self) -> String {
        format!("{}{}", String::from_utf8_lossy(&self.stdout), String::from_utf8_lossy(&self.stderr))
    }

    /// That it hung or panicked, in words.
    pub(crate) fn broken(&self) -> Option<String> {
        if self.hung {
            return Some(format!("it never came to an end: {}", self.text()));
        }
        let panicked = self.code == Some(101) || self.text().contains("panicked at");
        let killed = self.code.is_none();
        (panicked || killed).then(|| format!("it panicked or was killed: {}", self.text()))
    }
}

/// Where the directory of the host lies that packages of this front lead to.
pub(crate) fn victim(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("victim-{name}"))
}

/// The kiln under test; a normal user has a copy.
pub(crate) fn program() -> OsString {
    std::env::var_os("KILN_TEST_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_kiln").into())
}

/// Runs a command to its end, or to the end of [`PATIENCE`].
pub(crate) fn run(command: &mut Command) -> Ended {
    run_within(command, PATIENCE)
}

/// The same of a command that must succeed: what it said.
pub(crate) fn succeeded(mut command: Command) -> String {
    let ended = run(&mut command);
    assert_eq!(ended.code, Some(0), "{command:?}: {}", ended.text());
    ended.text()
}

/// The same with another patience.
pub(crate) fn run_within(command: &mut Command, patience: Duration) -> Ended {
    start(command).finish(patience)
}

/// A command that was started. Its outputs are files: whoever it leaves behind cannot keep a pipe open.
pub(crate) struct Running {
    pub(crate) child: Child,
    outputs: [PathBuf; 2],
}

pub(crate) fn start(command: &mut Command) -> Running {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let outputs = ["out", "err"]
        .map(|name| std::env::temp_dir().join(format!("kiln-attack-{name}-{}-{number}", std::process::id())));
    let [out, err] = outputs.each_ref().map(|path| std::fs::File::create(path).unwrap());
    let child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn().unwrap();
    Running { child, outputs }
}

impl Running {
    pub(crate) fn finish(mut self, patience: Duration) -> Ended {
        let began = Instant::now();
        let mut hung = false;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if began.elapsed() > patience && !hung {
                hung = true;
                self.child.kill().unwrap();
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let [stdout, stderr] = self.outputs.map(|path| {
            let bytes = std::fs::read(&path).unwrap();
            std::fs::remove_file(path).unwrap();
            bytes
        });
        let ended = Ended { code: status.code(), hung, stdout, stderr };
        if std::env::var_os("KILN_ATTACK_SHOW").is_some() {
            println!("ended with {:?}: {}", ended.code, ended.text());
        }
        ended
    }
}
