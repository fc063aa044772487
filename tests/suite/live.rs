//! What the live tests share: the gate, scratch directories, running kiln, independent judges, one built machine.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::skip::skip;

/// True with `KILN_LIVE=1`; otherwise says what is skipped.
pub(crate) fn live(what: &str) -> bool {
    let on = std::env::var("KILN_LIVE").is_ok_and(|value| value == "1");
    if !on {
        eprintln!("skipped without KILN_LIVE=1: {what}");
    }
    on
}

/// A directory that goes away with the test.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Below `KILN_TEST_DIR`, else below the build directory (on a disk, not in memory).
    pub(crate) fn new(name: &str) -> Scratch {
        let base = std::env::var("KILN_TEST_DIR").map_or_else(|_| env!("CARGO_TARGET_TMPDIR").into(), PathBuf::from);
        let path = base.join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    /// Where nobody but root and this user can put another directory into its place, however open the checkout is.
    pub(crate) fn apart(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("kiln-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        Scratch(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Scratch {
    /// A recipe of the test's own beside a copy of kiln's library: a recipe may not leave its root, not even through a link.
    pub(crate) fn recipe(&self, name: &str, text: &str) -> PathBuf {
        let recipe = self.path(name);
        std::fs::write(&recipe, text).unwrap();
        let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes/lib");
        succeed(Command::new("cp").arg("-r").arg(library).arg(self.path("lib")));
        recipe
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Read-only trees of the store refuse to be removed by their owner; root and chmod do not mind.
        let _ = Command::new("chmod").args(["-R", "u+rwX"]).arg(&self.0).output();
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The kiln under test, with a store of its own.
pub(crate) fn kiln(store: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
    command.env("KILN_STORE", store).current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

/// Runs to the end; standard error is shown when it fails.
pub(crate) fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Runs to the end and expects this exit code; its standard error.
pub(crate) fn fail_with(command: &mut Command, code: i32) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{command:?}: {text}");
    text
}

/// Whether a judge is installed here; says so when it is not.
pub(crate) fn judge(program: &str) -> bool {
    let there =
        Command::new("sh").arg("-c").arg(format!("command -v {program}")).output().is_ok_and(|o| o.status.success());
    if !there {
        skip(format!("no {program} on this machine"));
    }
    there
}

/// Whether a case of a long list has its turn: one of them with each commit, all with `KILN_ALL=1`, one by
/// `KILN_ONLY=NAME`. So a commit that passed passes again.
pub(crate) fn has_its_turn(case: &str, all: &[&str]) -> bool {
    is_among(case, all, 1)
}

/// Whether a case that is too long for a turn is to run: all with `KILN_ALL=1`, one by `KILN_ONLY=NAME`.
pub(crate) fn is_asked_for(case: &str) -> bool {
    std::env::var_os("KILN_ALL").is_some() || std::env::var("KILN_ONLY").is_ok_and(|only| only == case)
}

/// As [`has_its_turn`], with `count` of them each time.
pub(crate) fn is_among(case: &str, all: &[&str], count: usize) -> bool {
    if std::env::var_os("KILN_ALL").is_some() {
        return true;
    }
    if let Ok(only) = std::env::var("KILN_ONLY") {
        return only == case;
    }
    let first = commit() % all.len();
    let turn = (first..first + count).any(|turn| case == all[turn % all.len()]);
    if !turn {
        eprintln!("skipped at this commit: {case}; KILN_ALL=1 runs every case, KILN_ONLY={case} this one");
    }
    turn
}

/// A number that only the commit decides; 0 outside of a checkout.
fn commit() -> usize {
    let hash = Command::new("git").args(["rev-parse", "HEAD"]).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let hash = hash.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    hash.get(..7).and_then(|digits| usize::from_str_radix(digits, 16).ok()).unwrap_or(0)
}

/// Long tests of what changes seldom, of which one has its turn at each commit: packages that are added to a lock, a kernel on an incremental
/// tree, two machines and the host on one memory, servers that make their secrets at first boot, packages that ask for the machine's name, disks larger than their
/// image, a machine that is run twice, machines with memory of files and of huge pages, a machine on a bridge, one that sees directories of the host, a
/// mirror that is waited for as long as kiln waits, a registry of others, bills of materials judged by the formats' own tools, a page in a
/// browser, templates for CI services, disks in the formats of others, a kernel and firmware out of a build.
pub(crate) const SELDOM: [&str; 19] = [
    "shared",
    "layers",
    "incremental",
    "first-boot",
    "names",
    "development",
    "disks",
    "ready",
    "running",
    "host-files",
    "host-pages",
    "slow-bodies",
    "bridge",
    "registry",
    "share",
    "sbom",
    "ci",
    "report",
    "export",
];

/// Held by a test that boots a machine with the ports that its recipe forwards: two of them cannot have one port.
pub(crate) fn forwarded_ports() -> MutexGuard<'static, ()> {
    static PORTS: Mutex<()> = Mutex::new(());
    // A test that failed has let go of its machine too.
    PORTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `recipes/cxl-quick.kiln`, locked afresh and built from an empty store; once for all tests.
pub(crate) struct Quick {
    pub(crate) lock: PathBuf,
    pub(crate) store: PathBuf,
    pub(crate) out: PathBuf,
    /// The unpacked packages of its QEMU.
    pub(crate) qemu: PathBuf,
}

pub(crate) const QUICK: &str = "recipes/cxl-quick.kiln";

pub(crate) fn quick() -> &'static Quick {
    static BUILT: OnceLock<Quick> = OnceLock::new();
    BUILT.get_or_init(|| {
        let base = Path::new(env!("CARGO_TARGET_TMPDIR")).join("live-quick");
        let _ = Command::new("chmod").args(["-R", "u+rwX"]).arg(&base).output();
        let _ = std::fs::remove_dir_all(&base);
        std::fs::create_dir_all(&base).unwrap();
        let [lock, store, out] = ["quick.lock", "store", "out"].map(|name| base.join(name));
        succeed(kiln(&store).args(["lock", QUICK, "--lock"]).arg(&lock));
        succeed(kiln(&store).args(["build", QUICK, "--lock"]).arg(&lock).arg("--out").arg(&out));
        let qemu = qemu_tree(&store, &out);
        Quick { lock, store, out, qemu }
    })
}

fn qemu_tree(store: &Path, out: &Path) -> PathBuf {
    use kiln::deliver::manifest::Manifest;
    use kiln::store::{Output, Store};
    let manifest = Manifest::read(&std::fs::read(out.join("manifest.json")).unwrap()).unwrap();
    let store = Store::open(store).unwrap();
    let step = manifest.steps[&manifest.qemu["quick"]];
    match store.get_result(&step).unwrap()["tree"] {
        Output::Tree { root, .. } => store.tree(&root).unwrap(),
        Output::File { .. } => panic!("a tools step leaves a tree"),
    }
}
