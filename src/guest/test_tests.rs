//! Which machines tests need together, and what ends a test.

use super::*;
use crate::base::{SourceMap, Span};
use crate::guest::step::tests::Fake;
use crate::recipe::test::{QmpAnswer, TestStep};

fn test(steps: &[(Option<&str>, TestAction)]) -> Test {
    let file = SourceMap::default().add("t.kiln".into(), String::new());
    let span = Span { file, start: 0, end: 0 };
    let step = |(machine, action): &(Option<&str>, TestAction)| TestStep {
        machine: machine.map(str::to_owned),
        action: action.clone(),
        span,
    };
    let steps = steps.iter().map(step).collect();
    Test { title: "title".into(), machine: "a".into(), steps, timeout: 60, slow: false, span }
}

fn go(test: &Test) -> (Result<(), Result<Failed, GuestError>>, BTreeMap<String, Fake>) {
    let mut guests: BTreeMap<String, Fake> =
        [("a".to_owned(), Fake::default()), ("b".to_owned(), Fake::default())].into();
    let result = steps(test, Deadline::after(Duration::from_secs(60)), &mut guests);
    (result, guests)
}

#[test]
fn machines_count_together_while_they_run_together() {
    let interrupted = AtomicBool::new(false);
    let options = |slow: bool, filter: Option<&str>| TestOptions {
        accel: AccelChoice::Tcg,
        logs: PathBuf::new(),
        base: PathBuf::new(),
        boot: BOOT_TIMEOUT,
        slow,
        filter: filter.map(str::to_owned),
        shell: None,
        host: HostResources::default(),
        interrupted: &interrupted,
    };
    let launch = |name: &str, memory: u64| {
        let mut launch = launch::tests::launch("");
        launch.machine = name.to_owned();
        launch.description.machine.memory.value = memory;
        (name.to_owned(), launch)
    };
    let machines = BTreeMap::from([launch("a", 1 << 30), launch("b", 3 << 30), launch("c", 2 << 30), launch("d", 1)]);
    let test = |title: &str, machine: &str, other: Option<&str>, slow| {
        let steps: Vec<_> = other.iter().map(|name| (Some(*name), TestAction::Reboot)).collect();
        Test { title: title.into(), machine: machine.into(), slow, ..test(&steps) }
    };
    let tests = [
        test("one", "a", None, false),
        test("two", "b", None, false),
        test("three", "c", Some("a"), false),
        test("four", "d", Some("c"), true),
    ];
    let found = |slow, filter: Option<&str>| {
        let group = at_once(&machines, &tests, &options(slow, filter));
        group.iter().map(|launch| launch.machine.clone()).collect::<Vec<_>>()
    };
    // `a` waits for its second test while `b` runs; `c` has not been booted then.
    assert_eq!(found(false, None), ["a", "b"]);
    assert_eq!(found(false, Some("three")), ["a", "c"]);
    assert_eq!(found(false, Some("four")), [""; 0], "it is slow");
    assert_eq!(found(true, Some("four")), ["c", "d"]);
}

#[test]
fn steps_go_to_their_machines_and_stop_at_the_first_failure() {
    let run = |words: &str| TestAction::Run(words.into());
    let (result, guests) =
        go(&test(&[(None, run("0 x")), (Some("b"), run("0 y")), (Some("b"), run("7")), (None, run("0 never"))]));
    let failed = result.unwrap_err().unwrap();
    assert_eq!((failed.step, failed.reason.as_str()), (Some(2), "`7` exited with code 7"));
    assert_eq!(failed.console, ["last"]);
    assert_eq!((guests["a"].commands.as_slice(), guests["b"].commands.len()), (["0 x".to_owned()].as_slice(), 2));
}

#[test]
fn a_lost_guest_fails_the_test_and_an_interrupt_ends_everything() {
    let (result, _) = go(&test(&[(None, TestAction::Run("panic".into()))]));
    let failed = result.unwrap_err().unwrap();
    assert_eq!(failed.reason, "machine m: the kernel panicked");
    assert!(matches!(lost(None, String::new(), GuestError::Interrupted), Err(GuestError::Interrupted)));
}

#[test]
fn a_machine_that_died_unasked_fails_the_test() {
    let mut guests: BTreeMap<String, Fake> =
        [("a".to_owned(), Fake::default()), ("b".to_owned(), Fake { dead: true, ..Fake::default() })].into();
    let both = test(&[
        (None, TestAction::Run("0".into())),
        (Some("b"), TestAction::Qmp { command: "good".into(), arguments: String::new(), answer: QmpAnswer::Done }),
    ]);
    let failed = steps(&both, Deadline::after(Duration::from_secs(60)), &mut guests).unwrap_err().unwrap();
    assert_eq!((failed.step, failed.reason.as_str()), (None, "machine m: the kernel panicked"));
}
