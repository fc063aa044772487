//! Why a step failed, as data: it crosses from the process, or the machine, that carried the step out.
//!
//! Input: the errors of steps. Output: whose fault it is, in words, with the statements of the recipe that it is about.

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

use super::sandbox::SandboxError;
use crate::base::Foreign;
use crate::plan::Statement;

/// Who can do something about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The recipe asks for something that its packages and sources cannot give.
    Recipe,
    /// A package or a source is damaged or hostile, or a program of one failed.
    Input,
    /// The host did not do what it was asked.
    Host,
    /// Kiln contradicts itself.
    Bug,
}

impl Fault {
    /// Of a failed operation on files that packages and their scripts made: unless the host ran out of something, it
    /// failed because of what these files are.
    pub fn of_io(error: &io::Error) -> Fault {
        use rustix::io::Errno;
        const HOST: [Errno; 10] = [
            Errno::NOSPC,
            Errno::DQUOT,
            Errno::IO,
            Errno::NOMEM,
            Errno::MFILE,
            Errno::NFILE,
            Errno::ROFS,
            Errno::STALE,
            Errno::INTR,
            Errno::NOSYS,
        ];
        let host = |code: i32| HOST.iter().any(|known| known.raw_os_error() == code);
        if error.raw_os_error().is_some_and(host) { Fault::Host } else { Fault::Input }
    }
}

/// Why a step failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepFailure {
    /// Whose fault it is.
    pub fault: Fault,
    /// What is wrong; what follows the first line belongs to it.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Lines of the program that failed, where they say more than the last ones of the step's log.
    #[serde(default)]
    pub said: String,
    /// What it is about, the statement that is to be changed first; empty where no statement is known.
    pub about: Vec<Statement>,
}

impl StepFailure {
    /// The recipe is wrong.
    pub fn recipe(about: Statement, message: impl fmt::Display) -> StepFailure {
        StepFailure { about: vec![about], ..StepFailure::new(Fault::Recipe, message) }
    }

    /// A package, a source, or a file that they made is wrong.
    pub fn input(message: impl fmt::Display) -> StepFailure {
        StepFailure::new(Fault::Input, message)
    }

    /// The plan, or another part of kiln, is wrong.
    pub fn bug(message: impl fmt::Display) -> StepFailure {
        StepFailure::new(Fault::Bug, message)
    }

    /// Something is wrong.
    pub fn new(fault: Fault, message: impl fmt::Display) -> StepFailure {
        StepFailure { fault, message: message.to_string(), help: None, said: String::new(), about: Vec::new() }
    }

    /// Adds the way out.
    pub fn help(mut self, help: impl Into<String>) -> StepFailure {
        self.help = Some(help.into());
        self
    }

    /// Adds what the program said.
    pub fn said(mut self, lines: impl Into<String>) -> StepFailure {
        self.said = lines.into();
        self
    }

    /// Adds a statement that it is about.
    pub fn about(mut self, statement: Statement) -> StepFailure {
        self.about.push(statement);
        self
    }

    /// The same with other words in front.
    pub fn within(mut self, what: impl fmt::Display) -> StepFailure {
        self.message = format!("{what}: {}", self.message);
        self
    }
}

impl fmt::Display for StepFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, line) in self.message.lines().enumerate() {
            write!(f, "{}{}", if at == 0 { "" } else { "\n" }, Foreign(line))?;
        }
        match &self.help {
            Some(help) => write!(f, "\n  help: {}", Foreign(help)),
            None => Ok(()),
        }
    }
}

impl std::error::Error for StepFailure {}

/// What a function of kiln says of its own failure is told as it was said; everything else is the host's doing, unless
/// the sandbox itself was used wrongly.
impl From<SandboxError> for StepFailure {
    fn from(error: SandboxError) -> StepFailure {
        match error {
            SandboxError::Failed { message, data } => {
                serde_json::from_value(data).unwrap_or_else(|_| StepFailure::new(Fault::Host, message))
            }
            SandboxError::Panicked(_) | SandboxError::Misuse(_) => StepFailure::bug(error),
            // The tree that a program is looked for in was made of packages.
            SandboxError::Program { .. } | SandboxError::Root { .. } => StepFailure::input(error),
            other => StepFailure::new(Fault::Host, other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_the_same_after_it_crossed_a_process() {
        let failure = StepFailure::recipe(Statement::User("bob".to_owned()), "uid 5 is taken")
            .about(Statement::Package("base-passwd".to_owned()))
            .help("leave `uid` out");
        let data = serde_json::to_value(&failure).unwrap();
        let error = SandboxError::Failed { message: failure.to_string(), data };
        let crossed: SandboxError = serde_json::from_str(&serde_json::to_string(&error).unwrap()).unwrap();
        assert_eq!(StepFailure::from(crossed), failure);
        assert_eq!(failure.to_string(), "uid 5 is taken\n  help: leave `uid` out");
    }

    #[test]
    fn a_full_disk_is_the_hosts_and_a_link_in_the_place_of_a_file_the_packages() {
        let errno = |errno: rustix::io::Errno| Fault::of_io(&errno.into());
        assert_eq!(errno(rustix::io::Errno::NOSPC), Fault::Host);
        assert_eq!(errno(rustix::io::Errno::LOOP), Fault::Input);
        assert_eq!(Fault::of_io(&io::Error::other("it is not a regular file")), Fault::Input);
        assert_eq!(StepFailure::from(SandboxError::Panicked("index".to_owned())).fault, Fault::Bug);
    }
}
