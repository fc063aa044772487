//! Two builds of a small real recipe at a time on one store, ended at random moments in every way that builds are ended:
//! `kill -9`, SIGINT, SIGTERM, Ctrl-C. Nothing of a sandbox lives on, every blob equals its name, and a build succeeds.
//! `KILN_KILLS` says how many rounds; 6 without it.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use super::live::{Scratch, kiln, live, succeed};

/// As small as an image gets: the essential packages, nothing that starts.
const RECIPE: &str = r#"
import "lib/debian-13.kiln"
kernel stock { package = package "linux-image-cloud-amd64" }
image small { size = 512MiB tools = image-tools packages = [] dhcp = false serial-console = false }
machine m { kernel = stock image = small qemu = qemu-11 cpus = 1 memory = 512MiB }
"#;
/// A build takes no longer, unless the machine does other things.
const USUAL: Duration = Duration::from_secs(60);
/// For a process to be gone after it was told, on a machine that does other things as well.
const GRACE: Duration = Duration::from_secs(60);

/// xorshift, from a seed that is printed: a failure can be had again, as far as machines are alike.
struct Chance(u64);

impl Chance {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

/// How a build is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Without a word.
    Kill,
    Interrupt,
    Terminate,
    /// What a terminal does: SIGINT for the whole process group.
    CtrlC,
}

const ENDS: [End; 4] = [End::Kill, End::Interrupt, End::Terminate, End::CtrlC];

/// The recipe with its lock, and a store with its inputs.
struct Work {
    scratch: Scratch,
    recipe: PathBuf,
    store: PathBuf,
}

/// Set in the process that has no other test, whose children are therefore those of killed builds.
const ALONE: &str = "KILN_TEST_KILLS_ALONE";

#[test]
fn builds_that_are_killed_at_random_leave_a_sound_store() {
    if !live("random kills of two builds at a time on one store") {
        return;
    }
    if std::env::var_os(ALONE).is_none() {
        let name = "suite::kills::builds_that_are_killed_at_random_leave_a_sound_store";
        let mut alone = Command::new(std::env::current_exe().unwrap());
        let status = alone.args(["--exact", name, "--nocapture"]).env(ALONE, "1").status().unwrap();
        return assert!(status.success(), "{status}");
    }
    let rounds: u32 = std::env::var("KILN_KILLS").map_or(6, |rounds| rounds.parse().expect("KILN_KILLS is a number"));
    // Whoever outlives a kiln becomes a child of this process, and is found.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
    let work = Work::new();
    let began = Instant::now();
    assert!(work.start("first").wait().unwrap().success());
    // On a machine that was busy or stopped in between, the next build will be quicker.
    let whole = began.elapsed().min(USUAL);
    let first = std::fs::read_to_string(work.scratch.path("first/manifest.json")).unwrap();
    let seed = u64::from(std::process::id()) << 20 | 1;
    println!("seed {seed}, {rounds} rounds, one build takes {whole:?}");
    let mut chance = Chance(seed);
    for round in 1..=rounds {
        let mut pair = [work.start("one"), work.start("two")];
        for (victim, name) in pair.iter_mut().zip(["one", "two"]) {
            std::thread::sleep(Duration::from_millis(chance.next(whole.as_millis() as u64 * 3 / 4)));
            let how = ENDS[chance.next(ENDS.len() as u64) as usize];
            let status = end(victim, how);
            println!("round {round}: {how:?}: {status}");
            let log = std::fs::read_to_string(work.scratch.path(&format!("{name}.log"))).unwrap();
            assert!(as_asked(status, how), "{how:?}: {status}\n{log}");
        }
        nobody_lives_on();
        if round % 10 == 0 {
            work.sound();
        }
    }
    work.sound();
    assert!(work.start("last").wait().unwrap().success());
    assert_eq!(first, std::fs::read_to_string(work.scratch.path("last/manifest.json")).unwrap());
    let left: Vec<_> = kiln::world::fs::names(&work.store.join("tmp")).unwrap();
    assert_eq!(left, ["door"], "temporary files stayed behind");
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(work.store.to_str().unwrap()), "{mounts}");
}

impl Work {
    fn new() -> Work {
        let scratch = Scratch::new("kills");
        let (recipe, store) = (scratch.path("small.kiln"), scratch.path("store"));
        std::fs::write(&recipe, RECIPE).unwrap();
        // A copy: a recipe may not leave its root, not even through a link.
        let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes/lib");
        succeed(Command::new("cp").arg("-r").arg(library).arg(scratch.path("lib")));
        succeed(kiln(&store).args(["lock"]).arg(&recipe));
        succeed(kiln(&store).args(["verify", "--inputs"]).arg(&recipe));
        Work { scratch, recipe, store }
    }

    fn start(&self, out: &str) -> Child {
        let log = std::fs::File::create(self.scratch.path(&format!("{out}.log"))).unwrap();
        let mut command = kiln(&self.store);
        command.arg("build").arg(&self.recipe).args(["--offline", "--no-cache", "--out"]);
        command.arg(self.scratch.path(out)).process_group(0);
        command.stdout(Stdio::null()).stderr(log).spawn().unwrap()
    }

    fn sound(&self) {
        let found = kiln::store::Store::open(&self.store).unwrap().recheck().unwrap();
        println!("{} blobs and trees read", found.checked);
        assert_eq!(found.damaged, 0, "a blob or tree does not equal its name");
        assert!(found.checked > 0, "an empty store proves nothing");
    }
}

/// Ends a build and waits for it. One that has finished is past ending.
fn end(victim: &mut Child, how: End) -> ExitStatus {
    let pid = Pid::from_child(victim);
    // It is not waited for yet, so its number is nobody else's.
    let _ = match how {
        End::Kill => rustix::process::kill_process(pid, Signal::KILL),
        End::Interrupt => rustix::process::kill_process(pid, Signal::INT),
        End::Terminate => rustix::process::kill_process(pid, Signal::TERM),
        End::CtrlC => rustix::process::kill_process_group(pid, Signal::INT),
    };
    let told = Instant::now();
    loop {
        if let Some(status) = victim.try_wait().unwrap() {
            return status;
        }
        assert!(told.elapsed() < GRACE, "kiln does not end after {how:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a build ended as one does that was ended so, or had finished before.
fn as_asked(status: ExitStatus, how: End) -> bool {
    let signal = match how {
        End::Kill => 9,
        // Before kiln listens a signal does what it does to anybody.
        End::Interrupt | End::CtrlC => 2,
        End::Terminate => 15,
    };
    let expected = status.success() || status.signal() == Some(signal);
    expected || how != End::Kill && status.code() == Some(130)
}

/// Everything that those kilns started is gone, soon after they are.
fn nobody_lives_on() {
    let since = Instant::now();
    loop {
        let left = children();
        if left.is_empty() {
            return;
        }
        assert!(since.elapsed() < GRACE, "lives on without its kiln: {left:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Processes whose parent is this one and that are not dead (proc_pid_stat(5)); the others are buried.
fn children() -> Vec<String> {
    while let Ok(Some(_)) = rustix::process::wait(rustix::process::WaitOptions::NOHANG) {}
    let me = std::process::id().to_string();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        // The name in brackets may hold anything; state and parent come behind the last bracket.
        let (name, rest) = stat.rsplit_once(')').unwrap();
        let fields: Vec<&str> = rest.split_whitespace().collect();
        if fields[1] == me && fields[0] != "Z" {
            found.push(name.to_owned());
        }
    }
    found
}
