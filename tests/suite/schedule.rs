//! Plans carried out: what runs, what does not, and what happens when something breaks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Condvar, Mutex};

use kiln::base::Digest;
use kiln::exec::event::{StepEvent, StepListener};
use kiln::exec::executor::{Executor, LocalExecutor};
use kiln::exec::{self, ExecError, ExecOptions, Realized, Services, StepState, sandbox};
use kiln::plan::disk;
use kiln::plan::step::FetchPlace;
use kiln::plan::{Artifact, ArtifactKind, ArtifactOwner, Builtin, Fetch, Ids, Input, Plan, Step, StepKind, Work, id};
use kiln::recipe::image::DiskFormat;
use kiln::store::{Owner, Store};
use kiln::world::memory::MemoryWorld;

use super::skip::skip;
use super::store::scratch;

/// What was told.
#[derive(Default)]
pub(super) struct Heard(pub(super) Mutex<Vec<StepEvent>>);

impl StepListener for Heard {
    fn on(&self, event: StepEvent) {
        self.0.lock().unwrap().push(event);
    }
}

impl Heard {
    /// Everything since the last time.
    pub(super) fn events(&self) -> Vec<StepEvent> {
        self.0.lock().unwrap().drain(..).collect()
    }

    /// The steps that ran, as [`Bench::step`] was given them, sorted.
    pub(super) fn ran(&self) -> Vec<String> {
        let mut names: Vec<String> = self.0.lock().unwrap().drain(..).filter_map(started).collect();
        names.sort();
        names
    }
}

fn started(event: StepEvent) -> Option<String> {
    match event {
        StepEvent::StepStarted { step, .. } => Some(step.strip_prefix("kernel-build ").unwrap_or(&step).to_owned()),
        _ => None,
    }
}

/// The programs that the steps of these tests use, with the libraries that they want.
const PROGRAMS: [&str; 15] = [
    "sh", "cat", "chmod", "chown", "date", "head", "ln", "ls", "mkdir", "mkfifo", "rm", "sleep", "tar", "truncate",
    "xargs",
];

/// A plan over a store that has the tree of its tools already.
pub(super) struct Bench {
    root: PathBuf,
    pub(super) store: Store,
    pub(super) plan: Plan,
    world: MemoryWorld,
    pub(super) heard: Heard,
}

impl Bench {
    /// `None`, said aloud, where no sandbox can be made.
    pub(super) fn new(name: &str) -> Option<Bench> {
        sandbox::use_program(env!("CARGO_BIN_EXE_kiln").into());
        if let Err(error) = sandbox::namespaces_possible() {
            skip(error);
            return None;
        }
        let root = scratch(name);
        // As kiln itself opens it.
        let owner = sandbox::builder().map(|id| Owner { uid: id, gid: id });
        let store = Store::open_for(&root.join("store"), owner).unwrap();
        let step = Step {
            kind: StepKind::Tools("host".to_owned()),
            work: Work::Builtin(Builtin::Tools),
            inputs: [("a.deb".to_owned(), Input::Inline(b"deb".to_vec()))].into(),
            outputs: vec![id::TREE.to_owned()],
        };
        let plan = Plan { steps: vec![step], ..Plan::default() };
        let bench = Bench { root, store, plan, world: MemoryWorld::default(), heard: Heard::default() };
        bench.seed_tools();
        Some(bench)
    }

    /// Has the same steps read from other stores as well.
    pub(super) fn reopen(&mut self, open: impl FnOnce(Option<Owner>) -> Store) {
        self.store = open(sandbox::builder().map(|id| Owner { uid: id, gid: id }));
    }

    fn seed_tools(&self) {
        let tree = self.store.scratch("tools").unwrap();
        copy_programs(&tree);
        let output = self.store.import_tree(&tree).unwrap();
        let value = id::inline(b"deb");
        let messages = id::action(&self.plan.steps[0], &[("a.deb", value)].into(), None);
        self.store.put_result(&messages.action, &[(id::TREE.to_owned(), output)].into()).unwrap();
    }

    /// Adds a shell script, whose name is `kernel-build NAME`; its position.
    pub(super) fn step(&mut self, name: &str, script: &str, inputs: &[(&str, Input)]) -> usize {
        let inputs: BTreeMap<String, Input> =
            inputs.iter().map(|(path, input)| ((*path).to_owned(), input.clone())).collect();
        self.plan.steps.push(Step {
            kind: StepKind::KernelBuild(name.to_owned()),
            work: Work::Sandbox {
                tools: 0,
                argv: ["/usr/bin/sh", "-eu", "-c", script].map(str::to_owned).to_vec(),
                env: BTreeMap::new(),
                ids: Ids::Single,
            },
            inputs,
            outputs: vec!["out".to_owned()],
        });
        self.plan.steps.len() - 1
    }

    pub(super) fn deliver(&mut self, step: usize) {
        let from = out(step);
        self.plan.artifacts.push(Artifact {
            owner: ArtifactOwner::Machine("m".to_owned()),
            kind: ArtifactKind::Kernel,
            from,
        });
    }

    /// Has a step's `out` be a raw disk that is handed on, and adds the step that converts it; its position.
    pub(super) fn convert(&mut self, step: usize) -> usize {
        self.plan.steps[step].outputs = vec![disk::RAW.to_owned()];
        self.plan.transient.insert(step);
        let (format, kind) = (DiskFormat::Qcow2, Box::new(self.plan.steps[step].kind.clone()));
        self.plan.steps.push(Step {
            kind: StepKind::Convert { disk: kind, format },
            work: Work::Builtin(Builtin::Convert { format }),
            inputs: [(disk::RAW.to_owned(), Input::Output { step, name: disk::RAW.to_owned() })].into(),
            outputs: vec![format.file_name().to_owned()],
        });
        self.plan.steps.len() - 1
    }

    pub(super) fn realize_with(&self, options: ExecOptions) -> Result<Realized, ExecError> {
        self.realize_by(&LocalExecutor, &self.store, options)
    }

    /// The same with another executor, in another store.
    pub(super) fn realize_by(
        &self,
        executor: &dyn Executor,
        store: &Store,
        options: ExecOptions,
    ) -> Result<Realized, ExecError> {
        let mirrors = |place: &FetchPlace| match place {
            FetchPlace::Url(url) => vec![url.clone()],
            FetchPlace::Repository { .. } | FetchPlace::Recipe(_) => Vec::new(),
        };
        let services =
            Services { store, world: &self.world, mirrors: &mirrors, executor, caches: None, listener: &self.heard };
        exec::realize(&self.plan, &services, &options)
    }

    pub(super) fn realize(&self) -> Realized {
        self.realize_with(ExecOptions::default()).unwrap()
    }

    pub(super) fn content(&self, realized: &Realized, step: usize) -> String {
        String::from_utf8(self.store.read(&realized.file(&out(step)).sha256, 1000).unwrap()).unwrap()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        kiln::world::fs::remove_tree(&self.root).unwrap();
    }
}

pub(super) fn out(step: usize) -> Input {
    Input::Output { step, name: "out".to_owned() }
}

pub(super) fn inline(text: &str) -> Input {
    Input::Inline(text.as_bytes().to_vec())
}

fn copy_programs(tree: &Path) {
    let mut script = format!("set -e; cd {}; mkdir -p usr/bin lib64; ", tree.display());
    for program in PROGRAMS {
        script += &format!("p=$(readlink -f /usr/bin/{program}); cp $p usr/bin/{program}; ");
        script += "for l in $(ldd $p | grep -o '/[^ )]*'); do mkdir -p .${l%/*}; cp -L -n $l .$l || true; done; ";
    }
    assert!(Command::new("sh").arg("-c").arg(script).status().unwrap().success());
}

#[test]
fn a_plan_runs_once_and_then_not_again() {
    let Some(mut bench) = Bench::new("once") else { return };
    let one =
        bench.step("one", "cat /kiln/in/a/b /kiln/in/c >out; umask; pwd", &[("a/b", inline("1")), ("c", inline("2"))]);
    let two = bench.step("two", "cat /kiln/in/x /kiln/in/x >out", &[("x", out(one))]);
    bench.deliver(two);
    let first = bench.realize();
    assert_eq!(bench.content(&first, two), "1212");
    assert_eq!(bench.heard.ran(), ["one", "two"]);
    let states = |bench: &Bench| -> Vec<StepState> {
        exec::status(&bench.plan, &bench.store, None).unwrap().into_iter().map(|status| status.state).collect()
    };
    assert_eq!(states(&bench), [StepState::Cached; 3]);
    assert_eq!(bench.realize(), first);
    assert_eq!(bench.heard.ran(), Vec::<String>::new());

    // The last result is lost: only what makes it runs, and finds its input at hand.
    let path = bench.store.path(&first.file(&out(two)).sha256).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(states(&bench), [StepState::Cached, StepState::Cached, StepState::WouldRun]);
    assert_eq!(bench.realize(), first);
    assert_eq!(bench.heard.ran(), ["two"]);

    // Both are lost: the input is made again because it is needed again.
    for step in [one, two] {
        std::fs::remove_file(bench.store.path(&first.file(&out(step)).sha256).unwrap()).unwrap();
    }
    assert_eq!(bench.realize(), first);
    assert_eq!(bench.heard.ran(), ["one", "two"]);
    let again = ExecOptions { no_cache: true, ..ExecOptions::default() };
    // The builtin step of the tools cannot run in this test, so everything again stops there.
    assert!(
        matches!(bench.realize_with(again), Err(ExecError::Step(failed)) if failed.step.to_string() == "tools host")
    );
}

#[test]
fn a_second_build_sees_another_clock_and_another_order_under_the_same_ids() {
    let look = |name: &str, variation: bool| -> Option<(i64, Vec<String>, BTreeMap<String, Digest>)> {
        let mut bench = Bench::new(name)?;
        let files: Vec<(String, Input)> = (0..40).map(|n| (format!("d/{n}"), inline("x"))).collect();
        let files: Vec<(&str, Input)> = files.iter().map(|(name, input)| (name.as_str(), input.clone())).collect();
        let step = bench.step("look", "date +%s >out; ls -U /kiln/in/d >>out", &files);
        bench.deliver(step);
        let realized = bench.realize_with(ExecOptions { variation, ..ExecOptions::default() }).unwrap();
        let text = bench.content(&realized, step);
        let mut lines = text.lines().map(str::to_owned);
        Some((lines.next()?.parse().unwrap(), lines.collect(), realized.ids.clone()))
    };
    let (Some(here), Some(there)) = (look("here", false), look("there", true)) else { return };
    assert!((431 * 86_400..433 * 86_400).contains(&(there.0 - here.0)), "{} then {}", here.0, there.0);
    let mut order = there.1.clone();
    order.reverse();
    assert_eq!(order, here.1, "the same names, last first");
    assert_eq!(here.1.len(), 40);
    assert_eq!(here.2, there.2, "what must not matter is part of no id");
}

#[test]
fn equal_bits_end_the_rebuilding() {
    let Some(mut bench) = Bench::new("cutoff") else { return };
    let one =
        bench.step("one", "cat /kiln/in/source | (read first rest; echo $first) >out", &[("source", inline("a b\n"))]);
    let two = bench.step("two", "cat /kiln/in/x >out", &[("x", out(one))]);
    bench.deliver(two);
    let first = bench.realize();
    bench.heard.ran();
    bench.plan.steps[one].inputs.insert("source".to_owned(), inline("a c\n"));
    let states: Vec<StepState> =
        exec::status(&bench.plan, &bench.store, None).unwrap().into_iter().map(|status| status.state).collect();
    assert_eq!(states, [StepState::Cached, StepState::WouldRun, StepState::Unknown]);
    let second = bench.realize();
    assert_eq!(bench.heard.ran(), ["one"], "what reads equal bits does not run again");
    assert_eq!(second.file(&out(two)), first.file(&out(two)));
    assert_ne!(
        second.ids["kernel-build two"], first.ids["kernel-build two"],
        "the static id is another: it is the lock's"
    );
    assert_eq!(second.actions["kernel-build two"], first.actions["kernel-build two"]);
}

/// Lets nobody start alone: each of so many steps waits at its start for all others.
struct Meeting {
    expected: usize,
    there: Mutex<usize>,
    came: Condvar,
}

impl StepListener for Meeting {
    fn on(&self, event: StepEvent) {
        if started(event).is_none() {
            return;
        }
        let mut there = self.there.lock().unwrap();
        *there += 1;
        self.came.notify_all();
        let patience = std::time::Duration::from_secs(60);
        let (there, waited) = self.came.wait_timeout_while(there, patience, |there| *there < self.expected).unwrap();
        assert!(!waited.timed_out(), "{there} of {} steps run at the same time", self.expected);
    }
}

#[test]
fn independent_steps_run_at_the_same_time() {
    let Some(mut bench) = Bench::new("parallel") else { return };
    for name in ["a", "b", "c", "d"] {
        let step = bench.step(name, &format!("echo {name} >out"), &[]);
        bench.deliver(step);
    }
    let meeting = Meeting { expected: 4, there: Mutex::new(0), came: Condvar::new() };
    let options = ExecOptions { jobs: Some(4), ..ExecOptions::default() };
    let (store, world) = (&bench.store, &bench.world);
    let services =
        Services { store, world, mirrors: &|_| Vec::new(), executor: &LocalExecutor, caches: None, listener: &meeting };
    exec::realize(&bench.plan, &services, &options).unwrap();
    assert_eq!(*meeting.there.lock().unwrap(), 4);
}

#[test]
fn a_step_that_fails_is_named_with_its_last_words_and_leaves_nothing() {
    let Some(mut bench) = Bench::new("fails") else { return };
    let bad = bench.step("bad", "echo first; echo cannot find the thing >&2; exit 9", &[]);
    let next = bench.step("next", "cat /kiln/in/x >out", &[("x", out(bad))]);
    bench.deliver(next);
    let error = bench.realize_with(ExecOptions::default()).unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("step kernel-build bad failed: exit status: 9\n  first\n  cannot find the thing\n"),
        "{text}"
    );
    let ExecError::Step(failed) = error else { panic!() };
    assert_eq!(std::fs::read_to_string(failed.log.unwrap().path).unwrap(), "first\ncannot find the thing\n");
    assert_eq!(bench.heard.ran(), ["bad"]);

    bench.plan.steps[bad].work = bench.plan.steps[next].work.clone();
    let text = bench.realize_with(ExecOptions::default()).unwrap_err().to_string();
    assert!(text.contains("/kiln/in/x"), "{text}");
    let mut silent = bench.plan.steps[next].clone();
    if let Work::Sandbox { argv, .. } = &mut silent.work {
        argv[3] = "mkdir -p x".to_owned();
    }
    silent.inputs.clear();
    silent.kind = StepKind::KernelBuild("silent".to_owned());
    bench.plan.steps.truncate(1);
    bench.plan.artifacts.clear();
    bench.plan.steps.push(silent);
    let text = bench.realize_with(ExecOptions::default()).unwrap_err().to_string();
    assert!(text.contains("it produced no out"), "{text}");
}

#[test]
fn a_changed_byte_in_an_input_is_healed_on_the_way() {
    let Some(mut bench) = Bench::new("heals") else { return };
    let one = bench.step("one", "echo precious >out", &[]);
    let two = bench.step("two", "cat /kiln/in/x >out", &[("x", out(one))]);
    bench.deliver(two);
    let first = bench.realize();
    bench.heard.ran();
    // Both are the same blob here; it is the delivered one that is looked at.
    super::store::tamper(&bench.store.path(&first.file(&out(two)).sha256).unwrap());
    assert_eq!(bench.realize(), first);
    let events = bench.heard.0.lock().unwrap();
    assert!(
        events.iter().any(
            |event| matches!(event, StepEvent::Warning { message } if message.contains("was corrupt in the store"))
        )
    );
    drop(events);
    assert_eq!(bench.content(&first, two), "precious\n");
}

#[test]
fn a_raw_disk_becomes_a_qcow2_and_goes() {
    let Some(mut bench) = Bench::new("qcow2") else { return };
    // A hole that nobody could read within this test.
    let script = "truncate -s 2T disk.raw; echo hello | (cat; cat /kiln/in/x) 1<>disk.raw";
    let raw = bench.step("disk", script, &[("x", inline("world"))]);
    let step = bench.convert(raw);
    let realized = bench.realize();
    assert_eq!(bench.heard.ran(), ["disk", "qcow2 kernel-build disk"]);
    let file = realized.file(&Input::Output { step, name: "disk.qcow2".to_owned() });
    let path = bench.store.path(&file.sha256).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(&bytes[..8], b"QFI\xfb\0\0\0\x03");
    assert_eq!(u64::from_be_bytes(bytes[24..32].try_into().unwrap()), 2 << 40);
    assert_eq!(realized.output(raw, "disk.raw"), None);
    let kept = std::fs::read_dir(bench.store.root().join("cas")).unwrap();
    let largest = kept.map(|entry| entry.unwrap().metadata().unwrap().len()).max().unwrap();
    assert!(largest < 1 << 30, "the raw disk is not kept");

    // Known results need no raw disk; a lost one needs it again.
    let states = |bench: &Bench| -> Vec<StepState> {
        exec::status(&bench.plan, &bench.store, None).unwrap().into_iter().map(|status| status.state).collect()
    };
    assert_eq!(states(&bench), [StepState::Cached; 3]);
    assert_eq!(bench.realize(), realized);
    assert_eq!(bench.heard.ran(), Vec::<String>::new());
    std::fs::remove_file(&path).unwrap();
    assert_eq!(states(&bench), [StepState::Cached, StepState::WouldRun, StepState::WouldRun]);
    assert_eq!(bench.realize(), realized);
    assert_eq!(bench.heard.ran(), ["disk", "qcow2 kernel-build disk"]);
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_raw_disk_that_is_delivered_is_an_object_with_its_holes() {
    let Some(mut bench) = Bench::new("raw") else { return };
    let raw = bench.step("disk", "truncate -s 256M disk.raw; echo hello 1<>disk.raw", &[]);
    bench.plan.steps[raw].outputs = vec![disk::RAW.to_owned()];
    let realized = bench.realize();
    let file = realized.file(&Input::Output { step: raw, name: disk::RAW.to_owned() });
    assert_eq!(file.size, 256 << 20);
    let delivered = bench.root.join("delivered");
    bench.store.copy_out(&file.sha256, &delivered).unwrap();
    for path in [bench.store.path(&file.sha256).unwrap(), delivered.clone()] {
        let used = std::os::unix::fs::MetadataExt::blocks(&path.metadata().unwrap()) * 512;
        assert!(used < 1 << 20, "{} takes {used} bytes", path.display());
    }
    let bytes = std::fs::read(&delivered).unwrap();
    assert!(bytes.starts_with(b"hello\n") && bytes[6..].iter().all(|byte| *byte == 0));
    assert_eq!(Digest::of(&bytes), file.sha256);
}

#[test]
fn files_of_other_owners_are_cleaned_up() {
    let Some(mut bench) = Bench::new("owners") else { return };
    let step = bench.step("owners", "mkdir -p -m 700 d/e; echo x >d/e/f; chown -R 1234:1234 d; echo done >out", &[]);
    bench.deliver(step);
    if let Work::Sandbox { ids, .. } = &mut bench.plan.steps[step].work {
        *ids = Ids::Range;
    }
    match bench.realize_with(ExecOptions::default()) {
        Ok(_) => {}
        Err(ExecError::Step(failed)) if failed.failure.message.contains("subordinate ids") => {
            return skip(failed.failure);
        }
        Err(error) => panic!("{error}"),
    }
    let left = Command::new("find").arg(bench.store.root().join("tmp")).args(["-name", "d"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&left.stdout), "");
}

#[test]
fn only_what_is_needed_is_fetched() {
    let Some(mut bench) = Bench::new("needed") else { return };
    let bytes = b"from afar".to_vec();
    let (digest, url) = (Digest::of(&bytes), "http://mirror.example/x".to_owned());
    let fetch = Fetch { label: "x 1.0".to_owned(), size: 9, digest, place: FetchPlace::Url(url.clone()) };
    bench.plan.fetches.insert(digest, fetch);
    let step = bench.step("one", "cat /kiln/in/x /kiln/in/x >out", &[("x", Input::Fetched(digest))]);
    bench.deliver(step);
    let error = bench.realize_with(ExecOptions { offline: true, ..ExecOptions::default() }).unwrap_err();
    assert!(matches!(&error, ExecError::Offline { files: 1, label } if label == "x 1.0"), "{error}");
    let error = bench.realize_with(ExecOptions::default()).unwrap_err().to_string();
    for word in ["x 1.0", &url, "404", "kiln lock --gone", "KILN_MIRROR"] {
        assert!(error.contains(word), "{word}: {error}");
    }
    bench.world.pages.insert(url, bytes);
    let realized = bench.realize();
    assert_eq!(bench.content(&realized, step), "from afarfrom afar");
    // With the result at hand the input may be gone, and nobody asks for it.
    std::fs::remove_file(bench.store.path(&digest).unwrap()).unwrap();
    bench.world.pages.clear();
    assert_eq!(bench.realize(), realized);
}

#[test]
fn a_build_with_nothing_to_do_runs_nothing() {
    let Some(mut bench) = Bench::new("quick") else { return };
    for number in 0..500 {
        let digest = Digest::of(format!("{number}").as_bytes());
        let place = FetchPlace::Url(String::new());
        bench.plan.fetches.insert(digest, Fetch { label: String::new(), size: number, digest, place });
        bench.store.put(format!("{number}").as_bytes()).unwrap();
    }
    let inputs: Vec<(String, Input)> =
        bench.plan.fetches.keys().map(|digest| (format!("{}.deb", digest.short()), Input::Fetched(*digest))).collect();
    let mut last = 0;
    for number in 0..12 {
        // One step reads the packages of an image, as it is in real plans.
        let some = if number == 0 { inputs.len() } else { 20 };
        let mut all: Vec<(&str, Input)> =
            inputs.iter().take(some).map(|(name, input)| (name.as_str(), input.clone())).collect();
        if number > 0 {
            all.push(("before", out(last)));
        }
        last = bench.step(&format!("step {number}"), "echo $PPID >out", &all);
    }
    bench.deliver(last);
    bench.realize();
    bench.heard.ran();
    // How long it takes is told and not judged: other tests want the processors as well.
    let once = || {
        let began = std::time::Instant::now();
        let store = Store::open(bench.store.root()).unwrap();
        let options = ExecOptions::default();
        bench.realize_by(&LocalExecutor, &store, options).unwrap();
        began.elapsed().as_millis()
    };
    let took = (0..5).map(|_| once()).min().unwrap();
    println!("a build with nothing to do: {took} ms");
    assert_eq!(bench.heard.ran(), Vec::<String>::new());
}

const SLEEPER: &str = "KILN_SLEEPER";

/// Not a test by itself: the process that the next test interrupts.
#[test]
fn sleeper() {
    if std::env::var(SLEEPER).is_err() {
        return;
    }
    kiln::command::signals::listen();
    let Some(mut bench) = Bench::new("sleeper") else { return };
    let step = bench.step("long", "echo asleep; sleep 1000", &[]);
    bench.deliver(step);
    println!("store {}", bench.root.display());
    let error = bench.realize_with(ExecOptions::default()).unwrap_err();
    println!("said {error}");
    drop(bench);
    std::process::exit(130);
}

#[test]
fn an_interrupt_ends_the_sandboxes_and_leaves_nothing_behind() {
    use std::io::{BufRead, BufReader};
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "--nocapture", "suite::schedule::sleeper"]).env(SLEEPER, "1");
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let Some(store) = lines.find_map(|line| Some(line.split_once("store ")?.1.to_owned())) else {
        child.wait().unwrap();
        return skip("no sandboxes here");
    };
    // The step's own log says when it sleeps.
    let tmp = Path::new(&store).join("store/tmp");
    let asleep = || {
        let find = Command::new("grep").arg("-rqs").arg("asleep").arg(&tmp).status().unwrap();
        find.success()
    };
    while !asleep() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let said: Vec<String> = lines.collect();
    assert!(said.iter().any(|line| line == "said interrupted"), "{said:?}");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(!Path::new(&store).exists(), "the store with everything temporary could be removed");
}
