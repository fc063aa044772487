//! `kiln kconfig explain|diff`: what a kernel's configuration is, and why.

use std::collections::BTreeSet;
use std::path::Path;

use super::failure::Failure;
use super::output;
use crate::base::Foreign;
use crate::cli::{self, KconfigQuestion};
use crate::kconfig::explain::OptionReason;
use crate::kconfig::fragment::spelled;
use crate::kconfig::{self, OptionRequest, Tri};
use crate::ops::Session;
use crate::ops::kconfig::{Explained, configuration, explain};

/// Carries the verb out.
pub fn run(session: &Session<'_>, args: &cli::KconfigArgs) -> Result<(), Failure> {
    match &args.question {
        KconfigQuestion::Explain { option, recipe } => {
            let option = option.trim_start_matches("CONFIG_");
            let all = explain(session, &recipe.options(), option)?;
            output::print(&all.iter().map(|explained| answer(explained, option)).collect::<String>())
        }
        KconfigQuestion::Diff { a, b } => diff(session, a, b),
    }
}

fn answer(explained: &Explained, option: &str) -> String {
    let Explained { kernel, asked, found, .. } = explained;
    let mut lines = vec![format!("{option} = {} in kernel {kernel}", found.value)];
    lines.extend(found.prompt.iter().map(|prompt| format!("  prompt: {}", Foreign(prompt))));
    for (file, line, depends) in &found.places {
        let depends = if depends.is_empty() { String::new() } else { format!("; depends on {depends}") };
        lines.push(format!("  defined: {}:{line}{}", Foreign(file), Foreign(depends)));
    }
    for (name, force) in &found.selected_by {
        let now = if *force == Tri::N { "not now".to_owned() } else { format!("now, to {force}") };
        lines.push(format!("  selected by {} ({now})", Foreign(name)));
    }
    lines.extend(asked.iter().map(|request| format!("  requested by: {}", request.text())));
    lines.extend(reasons(explained));
    lines.join("\n") + "\n"
}

/// Why the option has its value, and why it has not what was asked for.
fn reasons(explained: &Explained) -> Vec<String> {
    let Explained { on, asked, unmet, found, .. } = explained;
    let not = |(request, reason): &(OptionRequest, String)| {
        format!("  why not {}: {}", Foreign(&spelled(&request.value)), Foreign(reason))
    };
    if !unmet.is_empty() {
        return unmet.iter().map(not).collect();
    }
    vec![match &found.why {
        _ if !asked.is_empty() => "  because: requested by the recipe".to_owned(),
        // Nothing stands against another value, so that it is what somebody wanted.
        OptionReason::Free if *on => "  because: base configuration or Kconfig default".to_owned(),
        OptionReason::Forced(by) if *on => format!("  because: selected by {}", by.join(" and ")),
        _ => format!("  why: {}", Foreign(found.sentence(&BTreeSet::new()))),
    }]
}

fn diff(session: &Session<'_>, a: &Path, b: &Path) -> Result<(), Failure> {
    let differences = kconfig::diff::diff(&configuration(session, a)?, &configuration(session, b)?);
    let lines = differences
        .iter()
        .map(|found| format!("{} {} -> {}\n", Foreign(&found.name), Foreign(&found.old), Foreign(&found.new)));
    output::print(&lines.collect::<String>())
}
