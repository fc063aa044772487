//! Stops a build whose kernel configuration is not the one that was asked for, or that its machines need, with the
//! reason.

use std::io::BufReader;

use super::BuiltinContext;
use crate::exec::failure::{Fault, StepFailure};
use crate::kconfig::dotconfig::{self, NotAConfig};
use crate::kconfig::{DotConfig, Dropped, KconfigTree, RequestJudge, Tri, archive, check, is_ambiguous};
use crate::plan::Statement;
use crate::plan::kernel::needs::MachineNeed;
use crate::plan::kernel::requested::Requested;
use crate::plan::kernel::{CONFIG, KCONFIG};
use crate::world::{WorldError, fs};

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// A file could not be read or written.
    #[error(transparent)]
    World(#[from] WorldError),
    /// The final configuration does not read as one.
    #[error(transparent)]
    Config(#[from] NotAConfig),
    /// The plan's own file does not read.
    #[error("requested.json: {0}")]
    Requested(#[from] serde_json::Error),
    /// The step lacks a file.
    #[error("the step has no input `{0}`")]
    Missing(&'static str),
    /// Options did not survive, must not be there, or are needed and are not there: one line each.
    #[error("the kernel configuration does not match the recipe:\n{}", .0.lines.join("\n"))]
    Refused(ConfigDefects),
}

/// What is wrong with a configuration.
#[derive(Debug, Default)]
pub struct ConfigDefects {
    /// What became of each option, and why.
    lines: Vec<String>,
    about: Vec<Statement>,
}

impl ConfigDefects {
    fn option(&mut self, name: &str, line: String) {
        self.lines.push(line);
        self.about.push(Statement::Option(name.to_owned()));
    }
}

impl From<CheckError> for StepFailure {
    fn from(error: CheckError) -> StepFailure {
        let message = error.to_string();
        match error {
            CheckError::World(_) => StepFailure::new(Fault::Host, message),
            CheckError::Config(_) => StepFailure::input(message),
            CheckError::Requested(_) | CheckError::Missing(_) => StepFailure::bug(message),
            CheckError::Refused(ConfigDefects { about, .. }) => {
                StepFailure { about, ..StepFailure::new(Fault::Recipe, message) }
            }
        }
    }
}

/// Inputs `kernel.config`, `kconfig.tar`, `requested.json`; output `kernel.config`, unchanged.
pub fn run(context: &BuiltinContext<'_>) -> Result<(), CheckError> {
    let input = |name: &'static str| context.inputs.get(name).ok_or(CheckError::Missing(name));
    let bytes = fs::read(input(CONFIG)?, dotconfig::LIMIT)?;
    let config = dotconfig::read(&bytes)?;
    let requested: Requested = serde_json::from_slice(&fs::read(input("requested.json")?, dotconfig::LIMIT)?)?;
    let dropped = check(&requested.requests, &config);
    let unmet = unmet(&requested, &config);
    let forbidden: Vec<&(String, String)> =
        requested.forbidden.iter().filter(|(name, _)| config.tri(name) != Tri::N).collect();
    let mut refused = ConfigDefects::default();
    if !dropped.is_empty() || !unmet.is_empty() || requested.requests.iter().any(is_ambiguous) {
        // Only an error needs the source's Kconfig files, or a number whose type they tell; when they do not read, what is
        // wrong is still said.
        let tar = BufReader::new(fs::open(input(KCONFIG)?)?);
        let source = archive::read(tar, requested.architecture.facts().kernel.source);
        let tree = source.map_err(|error| error.to_string());
        let tree = tree.and_then(|source| KconfigTree::read(&source).map_err(|error| error.to_string()));
        let judge = Judge { requested: &requested, config: &config, tree: tree.as_ref() };
        let dropped = judge.requests().map_or(dropped, |judge| judge.unmet());
        dropped.iter().for_each(|dropped| refused.option(&dropped.request.name, judge.dropped(dropped)));
        for need in unmet.into_iter().filter(|need| judge.is_known(&need.option)) {
            refused.lines.push(judge.unmet(need));
            refused.about.extend([Statement::Machine(need.machine.clone()), Statement::Block]);
        }
    }
    for (name, reason) in forbidden {
        refused.option(name, format!("{name} must be off: {reason}"));
    }
    if refused.lines.is_empty() {
        return Ok(fs::write_atomically(&context.out.join(CONFIG), &bytes)?);
    }
    Err(CheckError::Refused(refused))
}

/// What the machines need and the configuration has not; without an initramfs nothing loads a module in time.
fn unmet<'a>(requested: &'a Requested, config: &DotConfig) -> Vec<&'a MachineNeed> {
    let enough = if requested.modules { Tri::M } else { Tri::Y };
    requested.needs.iter().filter(|need| config.tri(&need.option) < enough).collect()
}

/// What a configuration is judged with.
struct Judge<'a> {
    requested: &'a Requested,
    config: &'a DotConfig,
    tree: Result<&'a KconfigTree, &'a String>,
}

impl Judge<'_> {
    /// What judges the requests, where the source's Kconfig files read.
    fn requests(&self) -> Option<RequestJudge<'_>> {
        let Requested { requests, .. } = self.requested;
        self.tree.ok().map(|tree| RequestJudge { tree, config: self.config, requests })
    }

    fn dropped(&self, dropped: &Dropped) -> String {
        let Dropped { request, value } = dropped;
        let outcome = self.requests().map(|judge| judge.outcome(dropped));
        let outcome = outcome.unwrap_or_else(|| {
            let found = if value == "n" { "is not set".to_owned() } else { format!("became {value}") };
            format!("{found}: {}", self.unknown())
        });
        format!("{} {outcome}", request.text())
    }

    fn unmet(&self, need: &MachineNeed) -> String {
        let MachineNeed { machine, option, purpose } = need;
        let why = self.requests().map_or_else(|| self.unknown(), |judge| judge.why(option, Tri::Y));
        format!("machine `{machine}` needs {option} {purpose}: {why}")
    }

    /// An option that this source does not have is no option of this kernel: older ones do without it, newer ones have
    /// another one. Where its Kconfig files do not read, nothing says so.
    fn is_known(&self, option: &str) -> bool {
        self.tree.map_or(true, |tree| tree.symbols.get(option).is_some_and(|symbol| symbol.kind.is_some()))
    }

    fn unknown(&self) -> String {
        self.tree.err().map_or_else(String::new, |error| format!("cannot determine the reason: {error}"))
    }
}

#[cfg(test)]
#[path = "kernel_check_tests.rs"]
mod tests;
