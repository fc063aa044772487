//! Why a plan was not carried out.

use super::cache::ResultOrigin;
use super::failure::StepFailure;
use super::log::Record;
use super::source::UnusableSource;
use crate::base::{Diagnostic, Foreign, Quoted, counted};
use crate::plan::kind::StepKind;
use crate::plan::statement;
use crate::recipe::Recipe;
use crate::recipe::directory::DirectoryError;
use crate::store::StoreError;

/// The plan was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The user pressed Ctrl-C, or asked otherwise for an end.
    #[error("interrupted")]
    Interrupted,
    /// Whoever judges what steps leave has refused something, and knows why.
    #[error("the build was ended because of what a step left")]
    Refused,
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file could not be had anywhere.
    #[error(
        "cannot fetch {label} ({digest}, {size} bytes):\n{asked}\n  \
         help: set KILN_MIRROR to a mirror that still has the file; or run `kiln lock --gone RECIPE` to move the pins \
         whose files no server has any more, or `kiln run --relock-gone RECIPE` to do so in a lock beside the result",
        label = Foreign(label)
    )]
    Fetch {
        label: String,
        digest: crate::base::Digest,
        size: u64,
        /// Every place asked and its answer, a line each.
        asked: String,
    },
    /// A file is not in the store and may not be fetched.
    #[error(
        "{}; the first is {label}", absent(*files), label = Foreign(label)
    )]
    Offline {
        files: usize,
        /// One of them.
        label: String,
    },
    /// A file of the recipe is not what it was when the recipe was read.
    #[error("{file} changed while it was being copied into the build\n  help: run the command again when nothing writes to it", file = Foreign(file))]
    Changed { file: String },
    /// A directory of the recipe cannot be read as a tree.
    #[error("cannot copy {name} into the build: {source}", name = Foreign(name))]
    Directory { name: String, source: Box<DirectoryError> },
    /// A directory of whoever builds cannot be the source of a step.
    #[error(transparent)]
    Source(UnusableSource),
    /// A step failed.
    #[error(transparent)]
    Step(Box<FailedStep>),
    /// A step whose result was taken from a cache gave other bits when it was built here.
    #[error("step {step} produced a different output than the one that {origin}", origin = origin.words())]
    Disproved {
        step: String,
        /// Whose result it was.
        origin: Box<ResultOrigin>,
    },
    /// A step whose results had been lost gave other bits than the first time.
    #[error("step {step} is not reproducible: it produced a different {output} when re-run")]
    Irreproducible {
        step: String,
        /// The output that differs.
        output: String,
    },
}

/// A step that failed.
#[derive(Debug, thiserror::Error)]
#[error("step {step} failed: {failure}{}{}", Quoted(tail, "  "), log.as_ref().map(Record::to_string).unwrap_or_default())]
pub struct FailedStep {
    /// Which.
    pub step: StepKind,
    /// Why.
    #[source]
    pub failure: StepFailure,
    /// What it said of the failure, else its last lines, but for those that the failure names itself.
    pub tail: String,
    /// Where everything that it printed is, if it printed anything.
    pub log: Option<Record>,
}

impl FailedStep {
    /// The report that points at what the recipe says, where the failure is about that.
    pub fn diagnostic(&self, recipe: &Recipe) -> Option<Diagnostic> {
        let FailedStep { step, failure, tail, log } = self;
        let mut places = Vec::new();
        for place in failure.about.iter().filter_map(|about| statement::place(recipe, step, about)) {
            if !places.contains(&place) {
                places.push(place);
            }
        }
        let (first, more) = places.split_first()?;
        let mut lines = failure.message.lines();
        let message = Foreign(lines.next().unwrap_or_default()).to_string();
        let report = Diagnostic::new(*first, message).label(format!("step `{step}` failed here"));
        let mut report = more.iter().fold(report, |report, place| report.related(*place, "and here"));
        let shown = |line: &str| Foreign(line.trim_start()).to_string();
        let rest: Vec<String> = lines.chain(tail.lines()).map(shown).collect();
        if !rest.is_empty() {
            report = report.note(rest.join("\n"));
        }
        if let Some(log) = log {
            report = report.note(log.to_string().trim_start().to_owned());
        }
        Some(match &failure.help {
            Some(help) => report.hint(Foreign(help).to_string()),
            None => report,
        })
    }
}

impl From<UnusableSource> for ExecError {
    fn from(error: UnusableSource) -> ExecError {
        if error.is_interrupted() { ExecError::Interrupted } else { ExecError::Source(error) }
    }
}

fn absent(files: usize) -> String {
    let (are, them) = if files == 1 { ("is", "it") } else { ("are", "them") };
    format!("{} {are} not in the store, and --offline forbids fetching {them}", counted(files, "file"))
}
