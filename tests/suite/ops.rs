//! The operations as a library: no command line, no terminal, a world and a listener of the caller's own.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use kiln::exec::ExecError;
use kiln::exec::event::StepEvent;
use kiln::exec::interrupt::{self, Interruptible, RunningWork, Stopping};
use kiln::lock::resolve::{Progress, Update};
use kiln::ops::error::LockError;
use kiln::ops::{self, BuildOptions, ErrorClass, OpsError, OpsEvent, OpsListener, RecipeOptions, Session, load};
use kiln::world::{HttpRequest, RealWorld, Response, World, WorldError};

use super::failure_support::{Lab, RECIPE, archive};
use super::world_support::real_files_and_clock;

/// The real files and network, and an environment that is the test's.
struct TestWorld {
    real: RealWorld,
    store: PathBuf,
    mirror: String,
}

impl TestWorld {
    fn of(lab: &Lab, store: &str) -> TestWorld {
        TestWorld { real: RealWorld::default(), store: lab.directory.join(store), mirror: lab.server.url() }
    }
}

impl World for TestWorld {
    real_files_and_clock!();

    fn env(&self, name: &str) -> Option<String> {
        match name {
            "KILN_STORE" => Some(self.store.display().to_string()),
            "KILN_MIRROR" => Some(self.mirror.clone()),
            _ => None,
        }
    }

    fn get(&self, request: &HttpRequest<'_>) -> Result<Response, WorldError> {
        self.real.get(request)
    }
}

/// Every event, in a word or two.
#[derive(Default)]
struct Recording(Mutex<Vec<String>>);

impl Recording {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl OpsListener for Recording {
    fn on(&self, event: OpsEvent<'_>) {
        let word = match event {
            OpsEvent::PlanStarted => "plan started".to_owned(),
            OpsEvent::PlanEnded => "plan ended".to_owned(),
            OpsEvent::Step(StepEvent::FetchPlanned { files, .. }) => format!("fetch {files}"),
            OpsEvent::Step(StepEvent::Fetched { label }) => format!("fetched {label}"),
            OpsEvent::Step(StepEvent::StepStarted { step, .. }) => format!("started {step}"),
            OpsEvent::Resolve(Progress::Archive { name }) => format!("archive {name}"),
            OpsEvent::Resolve(Progress::Solving { set }) => format!("solving {set}"),
            _ => return,
        };
        self.0.lock().unwrap().push(word);
    }
}

#[test]
fn a_recipe_is_locked_planned_and_begun_without_a_command_line() {
    let lab = Lab::unlocked("ops", archive(), |_| RECIPE.to_owned());
    let (world, events) = (TestWorld::of(&lab, "store"), Recording::default());
    let session = Session { world: &world, listener: &events };
    let recipe = RecipeOptions::of(lab.directory.join("tiny.kiln"));

    // No lock yet, which is what the error says as data.
    let Err(error) = ops::ready(&session, &recipe) else { panic!("there is no lock") };
    assert!(matches!(&error, OpsError::Lock(LockError::Missing(path)) if path.ends_with("tiny.lock")), "{error}");
    assert_eq!(error.class(), ErrorClass::Recipe);

    let loaded = load::recipe(&session, &recipe).unwrap();
    let locked = ops::lock::lock(&loaded, &Update::Keep).unwrap();
    assert!(locked.written && locked.previous.is_none());
    let said = events.take();
    assert!(said.contains(&"archive trixie".to_owned()) && said.contains(&"solving qemu-11".to_owned()), "{said:?}");
    assert!(!ops::lock::lock(&loaded, &Update::Keep).unwrap().written, "the same lock again");
    assert_eq!(ops::lock::check(&loaded).unwrap(), locked.lock);
    events.take();

    let ready = ops::ready(&session, &recipe).unwrap();
    let names: Vec<String> = ready.plan.steps.iter().map(|step| step.name()).collect();
    assert!(names.contains(&"root tiny".to_owned()), "{names:?}");

    let offline = BuildOptions { offline: true, ..BuildOptions::default() };
    let out = lab.directory.join("out");
    let Err(error) = ops::build(&ready, &offline, &out) else { panic!("nothing was fetched") };
    assert!(matches!(&error, OpsError::Exec(error) if matches!(**error, ExecError::Offline { .. })), "{error}");
    let said = events.take();
    assert_eq!(said.first().map(String::as_str), Some("plan started"), "{said:?}");
    assert_eq!(said.last().map(String::as_str), Some("plan ended"), "a failure ends the plan, too: {said:?}");

    assert_eq!(ops::inputs(&session, &recipe).unwrap().checked, ready.plan.fetches.len());
    let said = events.take();
    let fetched = said.iter().filter(|word| word.starts_with("fetched ")).count();
    assert_eq!(fetched, ready.plan.fetches.len(), "{said:?}");

    // The archive's QEMU is a file of noise, and its image has no dpkg: whichever is found first ends the build.
    let Err(error) = ops::build(&ready, &BuildOptions::default(), &out) else { panic!("that QEMU runs") };
    assert!(matches!(&error, OpsError::Exec(_) | OpsError::Step(_)), "{error}");
    let said = events.take();
    assert!(said.iter().any(|word| word.starts_with("started ")), "{said:?}");
    assert_eq!(said.last().map(String::as_str), Some("plan ended"), "{said:?}");
    assert!(!out.exists(), "nothing is delivered by a build that failed");
}

#[test]
fn an_error_is_data_with_a_class() {
    let lab = Lab::unlocked("ops-errors", archive(), |_| "machine m { cpus = 0 }\n".to_owned());
    let world = TestWorld::of(&lab, "store");
    let session = Session::silent(&world);
    let Err(OpsError::Mistakes(mistakes)) = load::recipe(&session, &RecipeOptions::of(lab.directory.join("tiny.kiln")))
    else {
        panic!("that is no machine")
    };
    assert!(!mistakes.diagnostics.is_empty());
    for (path, class) in [("none.kiln", ErrorClass::Host), ("", ErrorClass::Usage)] {
        let Err(error) = load::recipe(&session, &RecipeOptions::of(lab.directory.join(path))) else { panic!("{path}") };
        assert_eq!(error.class(), class, "{error}");
    }
}

const KEEPER: &str = "KILN_TEST_KEEPER";

/// Not a test by itself: the process that the next test ends, which runs a machine after a build.
#[test]
fn keeper() {
    if std::env::var(KEEPER).is_err() {
        return;
    }
    kiln::command::signals::listen();
    assert_eq!(interrupt::stop(), Stopping::Idle);
    drop(Interruptible::start(RunningWork::Steps));
    let machine = Interruptible::start(RunningWork::Machines);
    println!("ready");
    while !interrupt::flag().load(Ordering::Relaxed) {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!(interrupt::stop(), Stopping::Again);
    drop(machine);
    assert!(!interrupt::flag().load(Ordering::Relaxed), "what was to stop has stopped");
    assert_eq!(interrupt::stop(), Stopping::Idle, "whatever is started next runs");
    println!("closed");
    std::process::exit(130);
}

#[test]
fn a_signal_lets_machines_that_run_after_a_build_close_their_files() {
    use rustix::process::Signal;
    // Under `nohup` a hangup ends nothing, and the processes that tests start inherit that.
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    let ignored = u64::from_str_radix(ignored.trim(), 16).unwrap();
    let taken = |signal: &Signal| ignored >> (signal.as_raw() - 1) & 1 == 0;
    for signal in [Signal::TERM, Signal::INT, Signal::HUP].into_iter().filter(taken) {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "--nocapture", "suite::ops::keeper"]).env(KEEPER, "1");
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        assert!(lines.any(|line| line.ends_with("ready")));
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal).unwrap();
        let said: Vec<String> = lines.collect();
        assert!(said.iter().any(|line| line == "closed"), "{signal:?}: {said:?}");
        assert_eq!(child.wait().unwrap().code(), Some(130));
    }
}
