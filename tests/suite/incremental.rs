//! Steps that go on from where an earlier run ended: when they do, when they do not, and who believes what comes out.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Instant;

use kiln::base::Digest;
use kiln::exec::event::{StepEvent, StepListener};
use kiln::exec::executor::{Executor, ExecutorError, LocalExecutor, Request};
use kiln::exec::{ExecOptions, Incremental};
use kiln::plan::{IncrementalRun, Input};
use kiln::store::gc::Policy;
use kiln::store::{KeptState, Store};
use kiln::world::dir::Dir;

use super::attack::ground::PATIENCE;
use super::schedule::{Bench, Heard, inline};
use super::store::{scratch, tamper};

/// Makes `tree` from nothing.
const SETUP: &str = "mkdir tree; cat /kiln/in/source >tree/source";
/// What a run sees instead that finds `tree`; a configuration that says so makes it fail.
const INSTEAD: &str = "cat tree/source >/dev/null; read word </kiln/in/config; [ \"$word\" != fails ]";
/// Does what it should, whatever was in `tree` before.
const SOUND: &str = ". /kiln/in/setup; cat /kiln/in/config >tree/config; cat tree/source tree/config >out";
/// Forgets that `tree` has an earlier run's lines in it.
const UNSOUND: &str = ". /kiln/in/setup; cat /kiln/in/config >>tree/config; cat tree/config >out";

/// A plan with one step that can go on.
struct Lab {
    bench: Bench,
    step: usize,
}

/// What came of a run.
#[derive(Debug, PartialEq, Eq)]
struct Run {
    content: String,
    /// `nothing`, `tree`, or `result` where no step ran.
    from: &'static str,
    /// Whether the result says that it is not proved.
    incremental: bool,
}

fn run(content: &str, from: &'static str, incremental: bool) -> Run {
    Run { content: content.to_owned(), from, incremental }
}

impl Lab {
    fn new(name: &str, script: &str) -> Option<Lab> {
        let mut bench = Bench::new(name)?;
        let inputs = [("setup", inline(SETUP)), ("source", inline("s ")), ("config", inline("1\n"))];
        let step = bench.step("work", script, &inputs);
        bench.deliver(step);
        let instead = [("setup".to_owned(), INSTEAD.as_bytes().to_vec())].into();
        let incremental =
            IncrementalRun { directory: "tree".to_owned(), changing: ["config".to_owned()].into(), instead };
        bench.plan.incremental.insert(step, incremental);
        Some(Lab { bench, step })
    }

    fn set(&mut self, input: &str, text: &str) {
        self.bench.plan.steps[self.step].inputs.insert(input.to_owned(), inline(text));
    }

    fn run(&mut self, config: &str, incremental: Incremental) -> Run {
        self.set("config", &format!("{config}\n"));
        self.bench.heard.events();
        let realized = self.bench.realize_with(ExecOptions { incremental, ..ExecOptions::default() }).unwrap();
        let events = self.bench.heard.events();
        let heard = |wanted: &dyn Fn(&StepEvent) -> bool| events.iter().any(wanted);
        let from = match (
            heard(&|event| matches!(event, StepEvent::StepStarted { .. })),
            heard(&|event| matches!(event, StepEvent::StepIncremental { .. }))
                && !heard(&|event| cold_after_all(event)),
        ) {
            (false, _) => "result",
            (true, true) => "tree",
            (true, false) => "nothing",
        };
        self.bench.heard.0.lock().unwrap().extend(events);
        let incremental = realized.incremental().eq([self.step]);
        Run { content: self.bench.content(&realized, self.step), from, incremental }
    }

    fn warned(&self, words: &str) -> bool {
        let events = self.bench.heard.events();
        events.iter().any(|event| matches!(event, StepEvent::Warning { message } if message.contains(words)))
    }

    /// The kept directories.
    fn kept(&self) -> Vec<PathBuf> {
        let listed = std::fs::read_dir(self.bench.store.root().join("incremental")).unwrap();
        listed.map(|entry| entry.unwrap().path()).collect()
    }
}

fn cold_after_all(event: &StepEvent) -> bool {
    matches!(event, StepEvent::Warning { message } if message.contains("building from scratch"))
}

#[test]
fn an_incremental_result_is_one_like_any_other_only_after_a_run_from_nothing() {
    let Some(mut lab) = Lab::new("incremental-sound", SOUND) else { return };
    // Nothing is kept unless asked for, and what was not kept cannot be taken.
    assert_eq!(lab.run("0", Incremental::None), run("s 0\n", "nothing", false));
    assert!(lab.kept().is_empty());
    assert_eq!(lab.run("1", Incremental::Directories), run("s 1\n", "nothing", false));
    assert_eq!(lab.run("2", Incremental::Directories), run("s 2\n", "tree", true));
    assert_eq!(lab.run("2", Incremental::Directories), run("s 2\n", "result", true));
    assert_eq!(lab.run("2", Incremental::Results), run("s 2\n", "result", true));
    // Who only judges starts nothing incremental, and who does not ask sees nothing of it.
    assert_eq!(lab.run("3", Incremental::Results), run("s 3\n", "nothing", false));
    assert_eq!(lab.run("2", Incremental::None), run("s 2\n", "nothing", false));
    assert!(!lab.warned("had produced different output"));
    assert_eq!(lab.run("2", Incremental::Directories), run("s 2\n", "result", false));
    // What runs from nothing for somebody who does not ask leaves the directory alone.
    assert_eq!(lab.run("4", Incremental::Directories), run("s 4\n", "tree", true));
    let again = ExecOptions { no_cache: true, incremental: Incremental::Directories, ..ExecOptions::default() };
    assert!(lab.bench.realize_with(again).is_err(), "the tools of this test cannot be made again");
}

#[test]
fn a_wrong_incremental_result_is_found_out_and_forgotten() {
    let Some(mut lab) = Lab::new("incremental-unsound", UNSOUND) else { return };
    assert_eq!(lab.run("1", Incremental::Directories), run("1\n", "nothing", false));
    assert_eq!(lab.run("2", Incremental::Directories), run("1\n2\n", "tree", true));
    assert_eq!(lab.run("2", Incremental::None), run("2\n", "nothing", false));
    assert!(lab.warned("step kernel-build work had produced different output when built incrementally"));
    assert!(lab.kept().is_empty(), "the directory is as wrong as its result");
    assert_eq!(lab.run("2", Incremental::Directories), run("2\n", "result", false));
    assert_eq!(lab.run("3", Incremental::Directories), run("3\n", "nothing", false));
}

#[test]
fn two_builds_are_compared_as_verify_does() {
    let (Some(mut one), Some(mut two)) = (Lab::new("incremental-one", UNSOUND), Lab::new("incremental-two", UNSOUND))
    else {
        return;
    };
    let judged = |one: &mut Lab, two: &mut Lab, config: &str| {
        one.set("config", config);
        two.set("config", config);
        let first = one
            .bench
            .realize_with(ExecOptions { incremental: Incremental::Results, ..ExecOptions::default() })
            .unwrap();
        let second = two.bench.realize_with(ExecOptions::default()).unwrap();
        assert!(first.incremental().eq([one.step]), "the incremental result is what is judged");
        first.judge(&one.bench.store, &second).unwrap();
        one.bench.heard.events();
        first.file(&out(one.step)) == second.file(&out(two.step))
    };
    one.run("1", Incremental::Directories);
    assert_eq!(one.run("2", Incremental::Directories), run("1\n2\n", "tree", true));
    assert!(!judged(&mut one, &mut two, "2\n"));
    assert_eq!(one.run("2", Incremental::Results), run("2\n", "nothing", false), "the wrong result is gone");
    // With a script that is sound the same judgement makes the result one like any other.
    for lab in [&mut one, &mut two] {
        let kiln::plan::Work::Sandbox { argv, .. } = &mut lab.bench.plan.steps[lab.step].work else { panic!() };
        argv[3] = SOUND.to_owned();
    }
    one.run("1", Incremental::Directories);
    assert_eq!(one.run("2", Incremental::Directories), run("s 2\n", "tree", true));
    assert!(judged(&mut one, &mut two, "2\n"));
    assert_eq!(one.run("2", Incremental::None), run("s 2\n", "result", false));
}

fn out(step: usize) -> Input {
    Input::Output { step, name: "out".to_owned() }
}

#[test]
fn only_a_directory_of_equal_inputs_that_nobody_touched_is_used() {
    let Some(mut lab) = Lab::new("incremental-keys", SOUND) else { return };
    lab.run("1", Incremental::Directories);
    lab.set("source", "other ");
    assert_eq!(lab.run("2", Incremental::Directories), run("other 2\n", "nothing", false));
    lab.set("source", "s ");
    assert_eq!(lab.run("2", Incremental::Directories), run("s 2\n", "tree", true));
    assert_eq!(lab.kept().len(), 2);
    // What an incremental run sees belongs to the name: another kiln, another directory.
    let how = lab.bench.plan.incremental.get_mut(&lab.step).unwrap();
    how.instead.insert("setup".to_owned(), format!("{INSTEAD}; true").into_bytes());
    assert_eq!(lab.run("3", Incremental::Directories), run("s 3\n", "nothing", false));

    lab.run("4", Incremental::Directories);
    for directory in lab.kept() {
        let file = directory.join("source");
        tamper(&file);
    }
    assert_eq!(lab.run("5", Incremental::Directories), run("s 5\n", "nothing", false));
    assert!(lab.warned(
        "kept of kernel-build work is not used, and kernel-build work is built from scratch: files in it changed"
    ));
    assert_eq!(lab.run("6", Incremental::Directories), run("s 6\n", "tree", true));
    assert!(!lab.warned("is not used"));
}

/// Says that a step runs, and does not carry it out before another build has come to its own.
struct Patient<'a> {
    began: SyncSender<()>,
    other: &'a Heard,
}

impl Executor for Patient<'_> {
    fn execute(&self, request: &Request, listener: &dyn StepListener) -> Result<(), ExecutorError> {
        self.began.send(()).unwrap();
        let there = |event: &StepEvent| matches!(event, StepEvent::StepCached { .. });
        let patience = Instant::now();
        while !self.other.0.lock().unwrap().iter().any(there) {
            assert!(patience.elapsed() < PATIENCE, "the other build never came to its step");
            std::thread::yield_now();
        }
        LocalExecutor.execute(request, listener)
    }
}

#[test]
fn a_build_waits_for_the_one_that_has_the_directory_and_goes_on_from_it() {
    let labs = (Lab::new("incremental-has", SOUND), Lab::new("incremental-waits", SOUND));
    let (Some(mut has), Some(mut waits)) = labs else { return };
    assert_eq!(has.run("1", Incremental::Directories), run("s 1\n", "nothing", false));
    waits.bench.heard.events();
    has.set("config", "2\n");
    waits.set("config", "3\n");
    let options = || ExecOptions { incremental: Incremental::Directories, ..ExecOptions::default() };
    let (has, waits, (began, begins)) = (&has, &waits, sync_channel(1));
    let store = &has.bench.store;
    let went_on = std::thread::scope(|scope| {
        let patient = Patient { began, other: &waits.bench.heard };
        let first = scope.spawn(move || has.bench.realize_by(&patient, store, options()).unwrap());
        begins.recv().unwrap();
        let second = waits.bench.realize_by(&LocalExecutor, store, options()).unwrap();
        [first.join().unwrap(), second].map(|realized| realized.incremental().count())
    });
    assert_eq!(went_on, [1, 1]);
}

#[test]
fn two_steps_that_differ_in_their_names_do_not_use_the_directory_of_each_other() {
    let Some(mut lab) = Lab::new("incremental-names", SOUND) else { return };
    let how = lab.bench.plan.incremental[&lab.step].clone();
    let inputs = [("setup", inline(SETUP)), ("source", inline("s ")), ("config", inline("other\n"))];
    let other = lab.bench.step("other", SOUND, &inputs);
    lab.bench.deliver(other);
    lab.bench.plan.incremental.insert(other, how);
    lab.run("1", Incremental::Directories);
    assert_eq!(lab.kept().len(), 2);
    assert_eq!(lab.run("2", Incremental::Directories), run("s 2\n", "tree", true));
    assert_eq!(lab.kept().len(), 2);
}

#[test]
fn a_run_that_cannot_go_on_starts_from_nothing() {
    let script = format!("{SOUND}; read word </kiln/in/config; [ \"$word\" != broken ] || exit 7");
    let Some(mut lab) = Lab::new("incremental-fails", &script) else { return };
    lab.run("1", Incremental::Directories);
    assert_eq!(lab.run("fails", Incremental::Directories), run("s fails\n", "nothing", false));
    assert!(lab.warned("work failed as an incremental build; building from scratch: exit status: 1"));
    assert_eq!(lab.run("2", Incremental::Directories), run("s 2\n", "tree", true));
    // A step that fails either way keeps nothing: the directory was in its hands.
    lab.set("config", "broken\n");
    let incremental = ExecOptions { incremental: Incremental::Directories, ..ExecOptions::default() };
    assert!(lab.bench.realize_with(incremental).unwrap_err().to_string().contains("exit status: 7"));
    assert!(lab.kept().is_empty());
    lab.bench.heard.events();
    assert_eq!(lab.run("3", Incremental::Directories), run("s 3\n", "nothing", false));
}

#[test]
fn a_kept_directory_is_one_users_alone_and_there_are_few() {
    let root = scratch("incremental-store");
    let store = Store::open(&root).unwrap();
    let never = || false;
    let keep = |key: &Digest| {
        let from = store.scratch("made").unwrap();
        std::fs::write(from.join("file"), key.hex()).unwrap();
        std::os::unix::fs::symlink("nowhere", from.join("link")).unwrap();
        let parent = Dir::open(from.parent().unwrap()).unwrap();
        let name = from.file_name().unwrap().to_str().unwrap();
        store.keep_incremental(key, (&parent, name, b"said"), &never).unwrap();
        assert!(!from.exists());
    };
    let keys: Vec<Digest> = (0..6).map(|n| Digest::of(&[n])).collect();
    keep(&keys[0]);
    let take = |key: &Digest, to: &str| store.take_incremental(key, &root.join(to), &never).unwrap();
    assert_eq!(take(&keys[0], "first"), KeptState::Taken(b"said".to_vec()));
    assert_eq!(take(&keys[0], "second"), KeptState::Nothing, "it was taken");
    assert_eq!(std::fs::read_to_string(root.join("first/file")).unwrap(), keys[0].hex());
    assert!(!root.join("second").exists());

    keep(&keys[1]);
    std::fs::rename(root.join("first/file"), root.join("incremental").join(keys[1].hex()).join("more")).unwrap();
    assert_eq!(take(&keys[1], "third"), KeptState::Untrusted, "a file more");
    assert!(!root.join("incremental").join(keys[1].hex()).exists(), "what is not trusted is removed");
    // Half of one, as a killed process leaves it: there is no note of it.
    std::fs::create_dir(root.join("incremental").join(keys[2].hex())).unwrap();
    assert_eq!(take(&keys[2], "third"), KeptState::Untrusted);

    keys.iter().for_each(keep);
    let there = |key: &Digest| root.join("incremental").join(key.hex()).exists();
    assert_eq!(keys.iter().filter(|key| there(key)).count(), 4);
    assert!(there(&keys[5]), "the last one is the youngest");
    let policy = |since| Policy { since, most: None, dry_run: false };
    store.collect(&policy(0)).unwrap();
    assert!(there(&keys[5]), "used lately");
    store.collect(&policy(i64::MAX)).unwrap();
    assert_eq!(std::fs::read_dir(root.join("incremental")).unwrap().count(), 0);
    drop(store);
    kiln::world::fs::remove_tree(Path::new(&root)).unwrap();
}
