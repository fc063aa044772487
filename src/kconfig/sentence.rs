//! Explanations in words: the chain as one sentence, and the options that would resolve it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::explain::{Explanation, Need, Why};
use super::value::Tri;

impl Explanation {
    /// `DEV_DAX_CXL needs DEV_DAX, which needs TRANSPARENT_HUGEPAGE, which is not set; add `option ... = y``.
    /// `asked` are options that need not be proposed: the recipe has them already.
    pub fn sentence(&self, asked: &BTreeSet<String>) -> String {
        let mut text = match &self.why {
            Why::Free if self.value == "n" => format!("{} is not set, though nothing forbids it", self.option),
            Why::Free => format!("{} is {}, though nothing forces it", self.option, self.value),
            why => format!("{} {}", self.option, clause(why)),
        };
        let remedies = self.remedies(asked);
        if !remedies.is_empty() {
            let options: Vec<String> =
                remedies.iter().map(|(name, value)| format!("`option {name} = {value}`")).collect();
            write!(text, "; add {}", join(&options, "and")).expect("a string takes every word");
        }
        text
    }

    /// The options that would resolve it, those that others wait for first.
    pub fn remedies(&self, asked: &BTreeSet<String>) -> Vec<(String, Tri)> {
        let mut found = Vec::new();
        collect(&self.why, &mut found);
        let mut seen = BTreeSet::new();
        found.retain(|(name, _)| !asked.contains(name) && seen.insert(name.clone()));
        found
    }
}

fn collect(why: &Why, found: &mut Vec<(String, Tri)>) {
    let Why::Needs(needs) = why else { return };
    for need in needs {
        // Of alternatives the easiest comes first.
        let need = match need {
            Need::Any(ways) => ways.first(),
            need => Some(need),
        };
        if let Some(Need::Option { name, wanted, why }) = need {
            collect(why, found);
            if matches!(**why, Why::Free | Why::Needs(_) | Why::Chosen(_)) {
                found.push((name.clone(), *wanted));
            }
        }
    }
}

/// What follows the name of the option.
fn clause(why: &Why) -> String {
    match why {
        Why::Free => "is not set".to_owned(),
        Why::Unknown(near) if near.is_empty() => "does not exist in this source".to_owned(),
        Why::Unknown(near) => format!("does not exist in this source; did you mean {}?", join(near, "or")),
        Why::NoPrompt(by) if by.is_empty() => "has no prompt: nothing can turn it on".to_owned(),
        Why::NoPrompt(by) => format!("has no prompt: it is on only when selected by {}", join(&shortened(by), "or")),
        Why::Chosen(rival) => format!("is one of a choice, in which {rival} is chosen"),
        Why::Forced(by) => format!("is selected by {}", join(&shortened(by), "and")),
        Why::Needs(needs) => {
            let needs: Vec<String> = needs.iter().map(need).collect();
            format!("needs {}", needs.join("; it also needs "))
        }
    }
}

fn need(need: &Need) -> String {
    match need {
        Need::Fact(text) => format!("{text}, which does not hold"),
        Need::Any(ways) => {
            let names: Vec<String> = ways.iter().map(self::name).collect();
            match ways.first() {
                Some(first @ Need::Option { .. }) => format!("{} ({})", join(&names, "or"), self::need(first)),
                _ => join(&names, "or"),
            }
        }
        Need::Option { name, wanted: Tri::N, why } => match &**why {
            Why::Free => format!("{name} to be off, which is on"),
            why => format!("{name} to be off, which {}", clause(why)),
        },
        Need::Option { name, wanted, why } => {
            let value = if *wanted == Tri::Y && matches!(**why, Why::Free) { "is not set" } else { "" };
            match &**why {
                Why::Free if !value.is_empty() => format!("{name}, which {value}"),
                why => format!("{name}, which {}", clause(why)),
            }
        }
    }
}

fn name(need: &Need) -> String {
    match need {
        Need::Option { name, wanted: Tri::N, .. } => format!("no {name}"),
        Need::Option { name, .. } => name.clone(),
        Need::Fact(text) => text.clone(),
        Need::Any(ways) => join(&ways.iter().map(name).collect::<Vec<_>>(), "or"),
    }
}

fn shortened(names: &[String]) -> Vec<String> {
    let mut shown: Vec<String> = names.iter().take(5).cloned().collect();
    if names.len() > shown.len() {
        shown.push(format!("{} others", names.len() - shown.len()));
    }
    shown
}

fn join(words: &[String], last: &str) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., end] => format!("{} {last} {end}", first.join(", ")),
    }
}
