//! Runs the tests of a recipe: boots the machines that they name, carries their steps out, reports.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::accel::Accelerator;
use super::clock::Deadline;
use super::event::{TestEvent, TestListener};
use super::hold::{FailureShell, HeldStep};
use super::host::{self, CpuSelection, HostMemory, HostResources};
use super::launch::{self, Purpose};
use super::report::{Boot, Failed, Outcome, TestReport, TestResult};
use super::rundir::{RunDir, SHARED};
use super::session::{GuestSession, MachineGroup};
use super::step::{self, Guest, StepError};
use super::{AccelChoice, GuestError, Launch, ports};
use crate::machine::LaunchAdditions;
use crate::machine::argv::MemoryBacking;
use crate::recipe::test::{Test, TestAction};

/// Time that a boot may take under KVM. It bounds a hang, so it is generous: other work on the machine slows a guest
/// down many times.
pub const BOOT_TIMEOUT: Duration = Duration::from_secs(60);

/// How tests are run.
pub struct TestOptions<'a> {
    pub accel: AccelChoice,
    /// Where console logs are kept: `MACHINE.console.log`, and what QEMU said beside it.
    pub logs: PathBuf,
    /// A short path for sockets and overlays: `/tmp`.
    pub base: PathBuf,
    /// [`BOOT_TIMEOUT`] unless said; TCG is given ten times as much.
    pub boot: Duration,
    /// Whether slow tests run too.
    pub slow: bool,
    /// Only tests whose title contains this.
    pub filter: Option<String>,
    /// Machines stay up for somebody to look at when a step fails, and nothing is tested afterwards.
    pub shell: Option<FailureShell>,
    /// What the machines take of this host. They have networks of their own.
    pub host: HostResources,
    /// Set by a signal: ends everything, in order.
    pub interrupted: &'a AtomicBool,
}

/// Runs tests in order. An error is a failure of the world, or of this program's user; what a guest does wrong is in the
/// report.
pub fn run(
    machines: &BTreeMap<String, Launch>,
    tests: &[Test],
    options: &TestOptions<'_>,
    listener: &dyn TestListener,
) -> Result<TestReport, GuestError> {
    if options.shell.is_some() {
        machines.values().try_for_each(ports::check)?;
    }
    let run = RunDir::new(&options.base)?;
    let memory = HostMemory::reserve(&options.host.memory, &at_once(machines, tests, options))?;
    let machines = &made_of(machines, memory.backing);
    let of_host = memory.notice().into_iter().chain(options.host.cpus.as_ref().map(CpuSelection::notice));
    of_host.for_each(|text| listener.on(TestEvent::Notice(&text)));
    for name in launch::memories(machines.values()) {
        listener.on(TestEvent::Notice(&launch::memory_notice(&run.sub(SHARED)?, &name)));
    }
    machines.values().flat_map(launch::share_notices).for_each(|text| listener.on(TestEvent::Notice(&text)));
    let group = MachineGroup {
        run: &run,
        logs: &options.logs,
        accel: options.accel,
        boot: options.boot,
        memory: &memory,
        cpus: options.host.cpus.as_ref(),
        doors: if options.shell.is_some() { Purpose::Background } else { Purpose::Test },
        interrupted: options.interrupted,
    };
    let mut runner = Runner {
        machines,
        group,
        shell: options.shell.as_ref(),
        listener,
        accel: options.accel.first(),
        running: BTreeMap::new(),
        starts: BTreeMap::new(),
        report: TestReport::default(),
    };
    for (index, test) in tests.iter().enumerate() {
        let outcome = match runner.skip(test, options) {
            Some(reason) => TestResult {
                title: test.title.clone(),
                machine: test.machine.clone(),
                millis: 0,
                files: Vec::new(),
                outcome: Outcome::Skipped { reason },
            },
            None => {
                listener.on(TestEvent::TestStarted { title: &test.title });
                runner.test(test)?
            }
        };
        listener.on(TestEvent::TestFinished(&outcome));
        runner.look(test, &outcome)?;
        runner.report.tests.push(outcome);
        runner.end_others(&wanted(&tests[index + 1..], options));
    }
    Ok(runner.report)
}

fn skip(test: &Test, options: &TestOptions<'_>) -> Option<String> {
    skipped(test, options.slow, options.filter.as_deref())
}

fn skipped(test: &Test, slow: bool, filter: Option<&str>) -> Option<String> {
    if filter.is_some_and(|words| !test.title.contains(words)) {
        return Some("not selected by --only".to_owned());
    }
    (test.slow && !slow).then(|| "slow tests only run with --slow".to_owned())
}

/// Every machine that a test needs, its own first.
fn named(test: &Test) -> impl Iterator<Item = &str> {
    std::iter::once(test.machine.as_str()).chain(test.steps.iter().filter_map(|step| step.machine.as_deref()))
}

fn wanted<'a>(tests: &'a [Test], options: &TestOptions<'_>) -> BTreeSet<&'a str> {
    needed(tests, options.slow, options.filter.as_deref())
}

/// Every machine that tests need which are not skipped.
pub fn needed<'a>(tests: &'a [Test], slow: bool, filter: Option<&str>) -> BTreeSet<&'a str> {
    tests.iter().filter(|test| skipped(test, slow, filter).is_none()).flat_map(named).collect()
}

/// The machines that run side by side at the moment when their memories are largest together.
pub fn at_once<'a>(
    machines: &'a BTreeMap<String, Launch>,
    tests: &[Test],
    options: &TestOptions<'_>,
) -> Vec<&'a Launch> {
    let moment = |index: usize| {
        // Booted by then, and needed then or later.
        let (booted, needed) = (wanted(&tests[..=index], options), wanted(&tests[index..], options));
        booted.intersection(&needed).filter_map(|name| machines.get(*name)).collect::<Vec<_>>()
    };
    (0..tests.len()).map(moment).max_by_key(|group| host::memory_of(group.iter().copied())).unwrap_or_default()
}

/// The machines with memory of this kind.
fn made_of(machines: &BTreeMap<String, Launch>, memory: MemoryBacking) -> BTreeMap<String, Launch> {
    let one = |(name, launch): (&String, &Launch)| {
        let additions = LaunchAdditions { memory, ..launch.additions.clone() };
        (name.clone(), Launch { additions, ..launch.clone() })
    };
    machines.iter().map(one).collect()
}

struct Runner<'a> {
    machines: &'a BTreeMap<String, Launch>,
    group: MachineGroup<'a>,
    shell: Option<&'a FailureShell>,
    listener: &'a dyn TestListener,
    accel: Accelerator,
    running: BTreeMap<String, GuestSession<'a>>,
    starts: BTreeMap<String, usize>,
    report: TestReport,
}

impl<'a> Runner<'a> {
    fn skip(&self, test: &Test, options: &TestOptions<'_>) -> Option<String> {
        let left = self.report.left.then(|| "not run after --shell-on-failure".to_owned());
        skip(test, options).or(left)
    }

    /// Lets somebody look at the machines of a test that failed, if they are to stay up for that.
    fn look(&mut self, test: &Test, result: &TestResult) -> Result<(), GuestError> {
        let (Some(shell), Outcome::Failed(failed)) = (self.shell, &result.outcome) else { return Ok(()) };
        let of_step = failed.step.and_then(|index| test.steps[index].machine.as_deref());
        let machine = of_step.unwrap_or(&test.machine);
        let number = failed.step.map(|index| index + 1);
        let step = HeldStep { title: &test.title, machine, number, steps: test.steps.len() };
        // A machine that did not boot is gone already, and so is whoever was to be looked at.
        if named(test).any(|name| self.running.contains_key(name)) {
            self.report.left = true;
            shell.hold((self.group.run, self.machines), (&mut self.running, step), self.listener)?;
        }
        Ok(())
    }

    fn test(&mut self, test: &Test) -> Result<TestResult, GuestError> {
        let (title, machine) = (test.title.clone(), test.machine.clone());
        let result = |millis, files, outcome| TestResult { title, machine, millis, files, outcome };
        if let Err(error) = self.boot(&named(test).collect()) {
            return Ok(result(0, Vec::new(), Outcome::Failed(lost(None, String::new(), error)?)));
        }
        let clock = Deadline::after(Duration::from_secs(test.timeout));
        let outcome = steps(test, clock, &mut self.running);
        let files = self.running.values_mut().flat_map(GuestSession::take_fetched).collect();
        match outcome {
            Ok(()) => Ok(result(clock.millis(), files, Outcome::Passed)),
            Err(failed) => {
                let failed = failed?;
                // A machine that does not answer any more is of no use for the next test; to somebody who looks at it, it is.
                let dead = if self.shell.is_none() { self.dead() } else { Vec::new() };
                dead.iter().for_each(|name| self.end(name));
                Ok(result(clock.millis(), files, Outcome::Failed(failed)))
            }
        }
    }

    /// Boots those that do not run yet, side by side.
    fn boot(&mut self, names: &BTreeSet<&str>) -> Result<(), GuestError> {
        let missing: Vec<&str> = names.iter().copied().filter(|name| !self.running.contains_key(*name)).collect();
        loop {
            match self.boot_with(&missing, self.accel) {
                Err(GuestError::KvmBroken { reason }) => {
                    let notice = format!("KVM does not work ({reason}); using software emulation, which is slower");
                    self.listener.on(TestEvent::Notice(&notice));
                    self.accel = Accelerator::Tcg;
                }
                other => {
                    // The next start of a machine gets logs of its own; one that only KVM failed does not count.
                    for name in missing {
                        *self.starts.entry(name.to_owned()).or_default() += 1;
                    }
                    return other;
                }
            }
        }
    }

    fn boot_with(&mut self, names: &[&str], accel: Accelerator) -> Result<(), GuestError> {
        let mut sessions = Vec::new();
        for name in names {
            let launch =
                self.machines.get(*name).ok_or_else(|| GuestError::NotBuilt { machine: (*name).to_owned() })?;
            self.listener.on(TestEvent::Booting { machine: name, accel });
            let number = self.starts.get(*name).copied().unwrap_or(0);
            sessions.push(GuestSession::start(&self.group, launch, number, accel)?);
        }
        for (name, mut session) in names.iter().zip(sessions) {
            let millis = session.ready();
            self.report.boots.push(Boot {
                machine: (*name).to_owned(),
                accel: accel.name().to_owned(),
                millis: millis.as_ref().ok().copied(),
                console: session.log().to_owned(),
            });
            self.listener.on(TestEvent::Ready { machine: name, millis: millis? });
            self.running.insert((*name).to_owned(), session);
        }
        Ok(())
    }

    fn dead(&mut self) -> Vec<String> {
        let check = |(name, session): (&String, &mut GuestSession<'a>)| session.check().is_err().then(|| name.clone());
        let mut dead: Vec<String> = self.running.iter_mut().filter_map(check).collect();
        let silent =
            |(name, session): (&String, &mut GuestSession<'a>)| session.run("true", 20).is_err().then(|| name.clone());
        dead.extend(
            self.running.iter_mut().filter(|(name, _)| !dead.contains(name)).filter_map(silent).collect::<Vec<_>>(),
        );
        dead
    }

    fn end_others(&mut self, wanted: &BTreeSet<&str>) {
        let idle: Vec<String> = self.running.keys().filter(|name| !wanted.contains(name.as_str())).cloned().collect();
        idle.iter().for_each(|name| self.end(name));
    }

    fn end(&mut self, name: &str) {
        if let Some(session) = self.running.remove(name) {
            session.end();
        }
    }
}

/// All steps of a test. The outer error is the test's failure, the inner one ends everything.
fn steps<G: Guest>(
    test: &Test,
    mut clock: Deadline,
    guests: &mut BTreeMap<String, G>,
) -> Result<(), Result<Failed, GuestError>> {
    for (index, step) in test.steps.iter().enumerate() {
        let name = step.machine.as_deref().unwrap_or(&test.machine);
        let action = step::describe(&step.action);
        let guest = guests.get_mut(name).expect("every machine that a test names was booted");
        let before = clock.elapsed();
        match step::perform(guest, &step.action, clock) {
            // The time of a test does not count boots.
            Ok(()) if step.action == TestAction::Reboot => clock = clock.extended(clock.elapsed() - before),
            Ok(()) => {}
            Err(StepError::Wrong { reason, output }) => {
                let console = guest.last_lines();
                return Err(Ok(Failed { step: Some(index), action, reason, output, console }));
            }
            Err(StepError::Lost(error)) => return Err(lost(Some(index), action, error)),
        }
    }
    // A machine may have failed in silence while another one was asked.
    for name in named(test) {
        let guest = guests.get_mut(name).expect("every machine that a test names was booted");
        guest.check().map_err(|error| lost(None, String::new(), error))?;
    }
    Ok(())
}

/// A lost guest is the test's failure; an interrupt and a failing disk are not.
fn lost(step: Option<usize>, action: String, error: GuestError) -> Result<Failed, GuestError> {
    let (reason, output, console) = match error {
        GuestError::Guest { machine, reason, console } => {
            (format!("machine {machine}: {reason}"), String::new(), console)
        }
        GuestError::Qemu { machine, what, said } => (format!("machine {machine}: QEMU {what}"), said, Vec::new()),
        GuestError::Interrupted | GuestError::World(_) => return Err(error),
        other => (other.to_string(), String::new(), Vec::new()),
    };
    Ok(Failed { step, action, reason, output, console })
}

#[cfg(test)]
#[path = "test_tests.rs"]
mod tests;
