//! What happens while machines run, as data; the commands draw it.

use super::accel::Accelerator;
use super::report::TestResult;

/// One thing that happened.
#[derive(Debug)]
pub enum TestEvent<'a> {
    /// A machine starts.
    Booting {
        machine: &'a str,
        /// What executes its instructions.
        accel: Accelerator,
    },
    /// A machine has reached its default target and answers.
    Ready {
        machine: &'a str,
        /// Milliseconds since it started.
        millis: u64,
    },
    /// A test starts.
    TestStarted { title: &'a str },
    /// A test ended.
    TestFinished(&'a TestResult),
    /// Something worth telling that stops nothing.
    Notice(&'a str),
}

pub trait TestListener {
    /// Called in order, from one thread.
    fn on(&self, event: TestEvent<'_>);
}
