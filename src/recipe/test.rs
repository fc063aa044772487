//! `test "what must hold" on MACHINE { ... }`: commands for the guest, in order.

mod check;
mod qmp;

use crate::base::span::Span;

pub use check::check;

/// One test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Test {
    /// What must hold.
    pub title: String,
    /// The machine to boot; steps may name another one.
    pub machine: String,
    /// What is done, in order; the first failure ends the test.
    pub steps: Vec<TestStep>,
    /// Seconds the whole test may take, boot excluded.
    pub timeout: u64,
    /// Slow tests run only when asked for.
    pub slow: bool,
    /// Where it was declared.
    pub span: Span,
}

/// One step of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestStep {
    /// The machine it happens on, when not the test's own.
    pub machine: Option<String>,
    /// What happens.
    pub action: TestAction,
    /// Where it was written.
    pub span: Span,
}

/// What a test step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TestAction {
    /// `run "command"`: must exit 0.
    Run(String),
    /// `expect "command" matches "regex"` / `expect "command" lacks "regex"`: exits 0 and its output has, or lacks, a match.
    Expect {
        /// The command.
        command: String,
        /// The regular expression.
        pattern: String,
        /// Whether it must match.
        matches: bool,
    },
    /// `fails "command"`: must exit with another code than 0.
    Fails(String),
    /// `wait "command" for 30s`: is tried every second until it exits 0.
    Wait {
        /// The command.
        command: String,
        /// Seconds.
        limit: u64,
    },
    /// `fetch "/path"`: brings a file of the guest into the log directory.
    Fetch(String),
    /// `reboot`: the guest goes down and starts again with the same disks and memory files, and answers again.
    Reboot,
    /// `qmp "command" { ... }`: a QMP command with JSON arguments, to the machine's QEMU.
    Qmp {
        /// The command.
        command: String,
        /// Its arguments as JSON text.
        arguments: String,
        /// What QEMU must answer.
        answer: QmpAnswer,
    },
}

/// What QEMU must answer to a QMP command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QmpAnswer {
    /// It carries the command out.
    Done,
    /// It carries the command out, and what it returns, as JSON, has a match.
    Matches(String),
    /// It refuses, and its words have a match.
    Refused(String),
}
