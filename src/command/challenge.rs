//! `kiln challenge`: who has the same bits, step by step.

use super::failure::Failure;
use super::output;
use crate::base::Foreign;
use crate::cli;
use crate::ops::Session;
use crate::ops::challenge::{self, ChallengeAnswer, ChallengeReport, ChallengeRequest, ChallengedStep, StepVerdict};

/// Carries `kiln challenge` out.
pub fn run(session: &Session<'_>, args: &cli::ChallengeArgs) -> Result<(), Failure> {
    let (recipe, caches) = (args.recipe.options(), args.caches.clone());
    let report =
        challenge::challenge(session, &ChallengeRequest { recipe, caches, trusted: args.trusted_keys.clone() })?;
    for problem in &report.problems {
        crate::tell!("warning: {problem}");
    }
    if args.json {
        output::json(&report)?
    } else {
        output::print(&challenged(&report))?
    }
    let differ = report.count(StepVerdict::Differ);
    if differ > 0 {
        return Err(Failure::mismatch(format!("{differ} of {} steps differ", report.steps.len())));
    }
    if report.count(StepVerdict::Agree) == 0 {
        let text = "no step was built by two who are trusted, so nothing was compared";
        let help = "\n  help: list the keys of those whose results count in kiln/trusted-keys, or name a file with --trusted-keys";
        let help = if report.steps.iter().any(ChallengedStep::has_others) { help } else { "" };
        return Err(Failure::mismatch(format!("{text}{help}")));
    }
    Ok(())
}

fn challenged(report: &ChallengeReport) -> String {
    let width = report.steps.iter().map(|step| step.step.chars().count()).max().unwrap_or(0);
    let mut text: String = report.steps.iter().map(|step| line(step, width)).collect();
    let count = |verdict| report.count(verdict);
    text.push_str(&format!(
        "{} steps: {} agree, {} differ, {} built by one alone, {} by untrusted keys alone, {} missing\n",
        report.steps.len(),
        count(StepVerdict::Agree),
        count(StepVerdict::Differ),
        count(StepVerdict::One),
        count(StepVerdict::Untrusted),
        count(StepVerdict::Missing)
    ));
    text
}

/// A step whose results are the same on one line; each result of one that differs on its own.
fn line(step: &ChallengedStep, width: usize) -> String {
    let name = Foreign(&step.step);
    let word = match step.verdict {
        StepVerdict::Agree => "agree",
        StepVerdict::Differ => "differ",
        StepVerdict::One => "one",
        StepVerdict::Untrusted => "untrusted",
        StepVerdict::Missing => "missing",
    };
    let whose: Vec<String> = step.answers.iter().map(whose).collect();
    if step.verdict != StepVerdict::Differ {
        return format!("{name:width$}  {word:9}  {}\n", whose.join(", ")).trim_end().to_owned() + "\n";
    }
    let mut text = format!("{name:width$}  {word}\n");
    for (answer, whose) in step.answers.iter().zip(whose) {
        let outputs: Vec<String> =
            answer.outputs.iter().map(|(name, digest)| format!("{} {}", Foreign(name), digest.short())).collect();
        text.push_str(&format!("  {whose}: {}\n", outputs.join(", ")));
    }
    text
}

fn whose(answer: &ChallengeAnswer) -> String {
    match (&answer.cache, &answer.signer, &answer.key) {
        (Some(cache), Some(signer), _) => format!("{} in {}", Foreign(signer), Foreign(cache)),
        (Some(cache), None, Some(key)) => {
            let why = answer.not_counted.unwrap_or("not trusted");
            format!("{} ({why}) in {}", Foreign(key), Foreign(cache))
        }
        _ => "this store".to_owned(),
    }
}
