//! The options that would make an option what somebody wants it to be.
//!
//! Input: why it is not. Output: options with values, in the order in which they depend on each other. Only options with
//! a prompt are named: all others follow from Kconfig alone, so that setting them would change nothing.

use super::dotconfig::DotConfig;
use super::explain::{Need, OptionReason, why};
use super::tree::{KconfigTree, Type};
use super::value::Tri;

/// An option that selects an option that selects an option: the kernel's chains are shorter.
const MAX_DEPTH: usize = 8;

/// What to ask for, each option once.
pub(super) fn remedies(
    tree: &KconfigTree,
    config: &DotConfig,
    asked: (&str, Tri),
    reason: &OptionReason,
) -> Vec<(String, Tri)> {
    let mut remedies = Remedies { tree, config, found: Vec::new(), depth: 0 };
    remedies.collect(asked.0, asked.1, reason);
    remedies.found
}

struct Remedies<'a> {
    tree: &'a KconfigTree,
    config: &'a DotConfig,
    found: Vec<(String, Tri)>,
    depth: usize,
}

impl Remedies<'_> {
    fn collect(&mut self, option: &str, wanted: Tri, reason: &OptionReason) {
        match reason {
            OptionReason::Unknown(_) => return,
            OptionReason::NoPrompt(by) | OptionReason::Forced(by) => {
                // Which of several is the recipe's business.
                if let [only] = &by[..] {
                    self.selector(only, wanted);
                }
                return;
            }
            OptionReason::Free | OptionReason::Chosen(_) => {}
            // Where nothing can be done about one of its needs, the others are no way either.
            OptionReason::Needs(needs) if needs.iter().any(is_final) => return,
            OptionReason::Needs(needs) => {
                let before = self.found.len();
                needs.iter().for_each(|need| self.need(need));
                if self.found.len() == before {
                    return;
                }
            }
        }
        self.push(option, wanted);
    }

    /// An option that forces another one is a way to it, if it can be had itself.
    fn selector(&mut self, option: &str, wanted: Tri) {
        if self.depth < MAX_DEPTH {
            self.depth += 1;
            let reason = why(self.tree, self.config, option, wanted);
            self.collect(option, wanted, &reason);
            self.depth -= 1;
        }
    }

    fn need(&mut self, need: &Need) {
        match need {
            Need::Fact(_) => {}
            Need::Any(ways) => ways.first().into_iter().flatten().for_each(|need| self.need(need)),
            Need::Option { name, wanted, why, .. } => self.collect(name, *wanted, why),
        }
    }

    fn push(&mut self, option: &str, wanted: Tri) {
        let Some(symbol) = self.tree.symbols.get(option) else { return };
        let modules = self.config.tri("MODULES") != Tri::N;
        let value = match symbol.kind {
            Some(Type::Bool) if wanted == Tri::M => Tri::Y,
            Some(Type::Tristate) if wanted == Tri::M && !modules => Tri::Y,
            Some(Type::Bool | Type::Tristate) => wanted,
            // A text or a number is set to something, which nobody but its author knows.
            Some(_) | None => return,
        };
        let offered = symbol.definitions.iter().any(|definition| definition.prompt.is_some());
        if offered && !self.found.iter().any(|(name, _)| name == option) {
            self.found.push((option.to_owned(), value));
        }
    }
}

/// Whether no option of the recipe would help: a comparison or an answer of the compiler.
fn is_final(need: &Need) -> bool {
    match need {
        Need::Fact(_) => true,
        Need::Any(ways) => ways.first().is_some_and(|way| way.iter().any(is_final)),
        Need::Option { why, .. } => match &**why {
            OptionReason::Needs(needs) => needs.iter().any(is_final),
            OptionReason::Unknown(_) => true,
            _ => false,
        },
    }
}
