//! One step of a test, carried out on a machine. It knows machines only as [`Guest`], so it is tested without any.

mod fetch;

use std::time::Duration;

use regex::{Regex, RegexBuilder};
use serde_json::Value;

use super::GuestError;
use super::agent::Answer;
use super::clock::Deadline;
use crate::recipe::test::{QmpAnswer, TestAction};

/// A wait asks again after this long.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// Bytes of output in a report.
const MAX_SHOWN_BYTES: usize = 4000;
/// Bytes that a compiled pattern may take: a hostile recipe must not eat the memory.
const MAX_PATTERN_BYTES: usize = 1 << 20;

/// What a step can do to a machine.
pub trait Guest {
    /// Runs a command; its exit code and output.
    fn run(&mut self, command: &str, seconds: u64) -> Result<Answer, GuestError>;
    /// Restarts the guest and waits until it answers again.
    fn reboot(&mut self) -> Result<(), GuestError>;
    /// Carries out a QMP command with arguments in JSON (or none).
    fn qmp(&mut self, command: &str, arguments: &str) -> Result<Value, GuestError>;
    /// Keeps a file that was brought out, in the log directory, by its path in the guest.
    fn keep_file(&mut self, path: &str, bytes: &[u8]) -> Result<(), GuestError>;
    /// An error when the machine has failed meanwhile.
    fn check(&mut self) -> Result<(), GuestError>;
    /// The last lines of the console.
    fn last_lines(&mut self) -> Vec<String>;
}

/// Why a step failed.
#[derive(Debug)]
pub enum StepError {
    /// The machine does what it is told, and the result is not what the test says.
    Wrong {
        /// One sentence.
        reason: String,
        /// What the command wrote.
        output: String,
    },
    /// The machine, or the world, failed.
    Lost(GuestError),
}

impl From<GuestError> for StepError {
    fn from(error: GuestError) -> StepError {
        StepError::Lost(error)
    }
}

/// Carries one step out within the time that the test has left.
pub fn perform(guest: &mut dyn Guest, action: &TestAction, deadline: Deadline) -> Result<(), StepError> {
    match action {
        TestAction::Run(command) => run(guest, command, deadline).map(drop),
        TestAction::Expect { command, pattern, matches } => expect(guest, (command, pattern, *matches), deadline),
        TestAction::Fails(command) => {
            let answer = within(guest, command, deadline)?;
            if answer.code == 0 {
                wrong(format!("`{command}` succeeded, but was expected to fail"), &answer)
            } else {
                Ok(())
            }
        }
        TestAction::Wait { command, limit } => wait(guest, command, Duration::from_secs(*limit), deadline),
        TestAction::Fetch(path) => fetch::fetch(guest, path, deadline),
        TestAction::Reboot => Ok(guest.reboot()?),
        TestAction::Qmp { command, arguments, answer } => {
            let given = match guest.qmp(command, arguments) {
                Err(GuestError::Refused { reason, .. }) => Err(reason),
                other => Ok(other?),
            };
            qmp(command, answer, given)
        }
    }
}

/// What a step does, in one line for a report.
pub fn describe(action: &TestAction) -> String {
    match action {
        TestAction::Run(command) => format!("run {command:?}"),
        TestAction::Expect { command, pattern, matches } => {
            format!("expect {command:?} {} {pattern:?}", if *matches { "matches" } else { "lacks" })
        }
        TestAction::Fails(command) => format!("fails {command:?}"),
        TestAction::Wait { command, limit } => format!("wait {command:?} for {limit}s"),
        TestAction::Fetch(path) => format!("fetch {path:?}"),
        TestAction::Reboot => "reboot".to_owned(),
        TestAction::Qmp { command, answer: QmpAnswer::Done, .. } => format!("qmp {command:?}"),
        TestAction::Qmp { command, answer: QmpAnswer::Matches(pattern), .. } => {
            format!("qmp {command:?} matches {pattern:?}")
        }
        TestAction::Qmp { command, answer: QmpAnswer::Refused(pattern), .. } => {
            format!("qmp {command:?} refused {pattern:?}")
        }
    }
}

fn run(guest: &mut dyn Guest, command: &str, deadline: Deadline) -> Result<Answer, StepError> {
    let answer = within(guest, command, deadline)?;
    if answer.code == 0 {
        return Ok(answer);
    }
    wrong(format!("`{command}` exited with code {}", answer.code), &answer)
}

/// Runs a command for no longer than the test may still take.
fn within(guest: &mut dyn Guest, command: &str, deadline: Deadline) -> Result<Answer, StepError> {
    let seconds = deadline.left().as_secs();
    if seconds == 0 {
        return Err(late(deadline));
    }
    let answer = guest.run(command, seconds)?;
    if matches!(answer.code, 124 | 137) && deadline.left().as_secs() == 0 {
        let reason =
            format!("`{command}` did not finish within the test's timeout of {} s", deadline.limit().as_secs());
        return wrong(reason, &answer);
    }
    Ok(answer)
}

fn expect(guest: &mut dyn Guest, what: (&str, &str, bool), deadline: Deadline) -> Result<(), StepError> {
    let (command, pattern, matches) = what;
    let regex = compiled(pattern)?;
    let answer = run(guest, command, deadline)?;
    let found = regex.is_match(&answer.text());
    if answer.cut() && !(found && matches) {
        let reason = format!(
            "`{command}` wrote {} bytes, which is too much to match: filter the output in the guest",
            answer.total
        );
        return wrong(reason, &answer);
    }
    match (found, matches) {
        (false, true) => wrong(format!("the output of `{command}` does not match {pattern:?}"), &answer),
        (true, false) => wrong(format!("the output of `{command}` matches {pattern:?}"), &answer),
        _ => Ok(()),
    }
}

fn compiled(pattern: &str) -> Result<Regex, StepError> {
    let regex = RegexBuilder::new(pattern).multi_line(true).size_limit(MAX_PATTERN_BYTES).build();
    regex.map_err(|error| StepError::Wrong {
        reason: format!("invalid regular expression {pattern:?}"),
        output: error.to_string(),
    })
}

/// Judges what QEMU returned (`Ok`), or the words with which it refused.
fn qmp(command: &str, expected: &QmpAnswer, given: Result<Value, String>) -> Result<(), StepError> {
    let unlike = |reason: String, output: String| Err(StepError::Wrong { reason, output });
    match (expected, given) {
        (QmpAnswer::Done, Ok(_)) => Ok(()),
        (QmpAnswer::Done | QmpAnswer::Matches(_), Err(words)) => {
            unlike(format!("QMP command {command}: {words}"), String::new())
        }
        (QmpAnswer::Refused(_), Ok(value)) => {
            unlike(format!("QMP command {command} succeeded, but was expected to be rejected"), value.to_string())
        }
        (QmpAnswer::Matches(pattern), Ok(value)) => judged(command, pattern, &value.to_string()),
        (QmpAnswer::Refused(pattern), Err(words)) => judged(command, pattern, &words),
    }
}

fn judged(command: &str, pattern: &str, said: &str) -> Result<(), StepError> {
    if compiled(pattern)?.is_match(said) {
        return Ok(());
    }
    let reason = format!("the response to QMP command {command} does not match {pattern:?}");
    Err(StepError::Wrong { reason, output: said.to_owned() })
}

fn wait(guest: &mut dyn Guest, command: &str, limit: Duration, deadline: Deadline) -> Result<(), StepError> {
    let own = Deadline::after(limit.min(deadline.left()));
    loop {
        let answer = guest.run(command, own.left().as_secs().max(1))?;
        if answer.code == 0 {
            return Ok(());
        }
        if own.passed() {
            return wrong(format!("`{command}` did not succeed within {} s", own.limit().as_secs()), &answer);
        }
        std::thread::sleep(RETRY_INTERVAL.min(own.left()));
    }
}

fn late(deadline: Deadline) -> StepError {
    let reason = format!("the test exceeded its timeout of {} s", deadline.limit().as_secs());
    StepError::Wrong { reason, output: String::new() }
}

fn wrong<T>(reason: String, answer: &Answer) -> Result<T, StepError> {
    let text = answer.text();
    let start = text.char_indices().rev().nth(MAX_SHOWN_BYTES).map_or(0, |(at, _)| at);
    Err(StepError::Wrong { reason, output: text[start..].to_owned() })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A guest whose commands do what their words say.
    #[derive(Default)]
    pub(in crate::guest) struct Fake {
        pub(in crate::guest) commands: Vec<String>,
        pub(in crate::guest) dead: bool,
    }

    impl Guest for Fake {
        fn run(&mut self, command: &str, _: u64) -> Result<Answer, GuestError> {
            self.commands.push(command.to_owned());
            let (code, output) = command.split_once(' ').unwrap_or((command, ""));
            if code == "panic" {
                self.dead = true;
            }
            self.check()?;
            let total = if output == "cut" { 1 << 30 } else { output.len() as u64 };
            let code = if code == "later" { i32::from(self.commands.len() < 2) } else { code.parse().unwrap() };
            Ok(Answer { code, output: output.into(), total })
        }

        fn reboot(&mut self) -> Result<(), GuestError> {
            self.commands.push("reboot".into());
            self.check()
        }

        fn qmp(&mut self, command: &str, _: &str) -> Result<Value, GuestError> {
            let (machine, command, reason) = ("m".into(), command.to_owned(), "no".into());
            match command.as_str() {
                "good" => Ok(serde_json::json!({ "running": true })),
                "closed" => Err(GuestError::Qmp { machine, command, reason }),
                _ => Err(GuestError::Refused { machine, command, reason }),
            }
        }

        fn check(&mut self) -> Result<(), GuestError> {
            let failed = GuestError::Guest {
                machine: "m".into(),
                reason: "the kernel panicked".into(),
                console: vec!["last".into()],
            };
            if self.dead { Err(failed) } else { Ok(()) }
        }

        fn keep_file(&mut self, _: &str, _: &[u8]) -> Result<(), GuestError> {
            Ok(())
        }

        fn last_lines(&mut self) -> Vec<String> {
            vec!["last".into()]
        }
    }

    fn outcome(action: TestAction) -> Result<(), String> {
        let result = perform(&mut Fake::default(), &action, Deadline::after(Duration::from_secs(10)));
        result.map_err(|error| match error {
            StepError::Wrong { reason, .. } => reason,
            StepError::Lost(error) => error.to_string(),
        })
    }

    fn expect(command: &str, pattern: &str, matches: bool) -> TestAction {
        TestAction::Expect { command: command.into(), pattern: pattern.into(), matches }
    }

    fn qmp(command: &str, answer: QmpAnswer) -> TestAction {
        TestAction::Qmp { command: command.into(), arguments: String::new(), answer }
    }

    #[test]
    fn each_step_passes_and_fails_as_it_says() {
        for good in [
            TestAction::Run("0".into()),
            TestAction::Fails("3".into()),
            expect("0 one two", "o.e t", true),
            expect("0 one", "two", false),
            TestAction::Reboot,
            TestAction::Wait { command: "later".into(), limit: 5 },
            qmp("good", QmpAnswer::Done),
            qmp("good", QmpAnswer::Matches("running.*true".into())),
            qmp("bad", QmpAnswer::Refused("^no$".into())),
        ] {
            assert_eq!(outcome(good.clone()), Ok(()), "{}", describe(&good));
        }
        for (bad, words) in [
            (TestAction::Run("3".into()), "exited with code 3"),
            (TestAction::Fails("0".into()), "was expected to fail"),
            (expect("0 one", "two", true), "does not match"),
            (expect("0 one", "one", false), "` matches "),
            (expect("1 one", "one", true), "exited with code 1"),
            (expect("0 one", "(", true), "invalid regular expression"),
            (expect("0 cut", "x", false), "too much to match"),
            (TestAction::Wait { command: "1".into(), limit: 0 }, "did not succeed within 0 s"),
            (qmp("bad", QmpAnswer::Done), "QMP command bad: no"),
            (qmp("bad", QmpAnswer::Matches("no".into())), "QMP command bad: no"),
            (qmp("good", QmpAnswer::Matches("paused".into())), "does not match"),
            (qmp("good", QmpAnswer::Refused("".into())), "was expected to be rejected"),
            (qmp("bad", QmpAnswer::Refused("yes".into())), "does not match"),
            (qmp("good", QmpAnswer::Matches("(".into())), "invalid regular expression"),
            (qmp("closed", QmpAnswer::Refused("no".into())), "machine m"),
            (TestAction::Run("panic".into()), "the kernel panicked"),
        ] {
            let said = outcome(bad.clone()).unwrap_err();
            assert!(said.contains(words), "{}: {said}", describe(&bad));
        }
    }

    #[test]
    fn no_command_starts_when_the_time_of_the_test_is_up() {
        let mut fake = Fake::default();
        let result = perform(&mut fake, &TestAction::Run("0".into()), Deadline::after(Duration::ZERO));
        assert!(matches!(result, Err(StepError::Wrong { .. })) && fake.commands.is_empty());
    }
}
