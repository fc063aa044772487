//! The options that would make an option what somebody wants it to be.
//!
//! Input: why it is not. Output: options with values, in the order in which they depend on each other. Only options with
//! a prompt are named: all others follow from Kconfig alone, so that setting them would change nothing.

use super::explain::{Need, OptionReason, is_hopeless};
use super::reasoner::Reasoner;
use super::tree::Type;
use super::value::Tri;

/// An option that selects an option that selects an option: the kernel's chains are shorter.
const MAX_DEPTH: usize = 8;

/// What to ask for, each option once.
pub(super) fn remedies(reasoner: &Reasoner<'_>, asked: (&str, Tri), reason: &OptionReason) -> Vec<(String, Tri)> {
    let mut remedies = Remedies { reasoner, found: Vec::new(), depth: 0 };
    remedies.collect(asked.0, asked.1, reason);
    remedies.found
}

struct Remedies<'a> {
    reasoner: &'a Reasoner<'a>,
    found: Vec<(String, Tri)>,
    depth: usize,
}

impl Remedies<'_> {
    fn collect(&mut self, option: &str, wanted: Tri, reason: &OptionReason) {
        match reason {
            OptionReason::Unknown { .. }
            | OptionReason::Unexplained
            | OptionReason::Barred(_)
            | OptionReason::Always => {}
            OptionReason::NoPrompt(by) | OptionReason::OutOfReach(by) | OptionReason::Forced(by) => {
                // Which of several is the recipe's business.
                if let [only] = &by[..] {
                    self.selector(only, wanted);
                }
            }
            OptionReason::Elected(others) => {
                match &others[..] {
                    [] => {}
                    [only] => self.push(only, Tri::Y),
                    // Which of several takes its place is the recipe's business, or the source's.
                    _ => self.push(option, Tri::N),
                }
            }
            OptionReason::Free | OptionReason::Chosen(_) => self.push(option, wanted),
            OptionReason::Stays(needs) | OptionReason::Selected { needs, .. } => {
                self.needs(needs);
            }
            OptionReason::Follows(follows) => {
                self.needs(&follows.needs);
            }
            OptionReason::Needs(needs) | OptionReason::Locked(needs) => {
                if self.needs(needs) {
                    self.push(option, wanted);
                }
            }
        }
    }

    /// Whether there is a remedy for any; where nothing can be done about one, the others are no way either.
    fn needs(&mut self, needs: &[Need]) -> bool {
        let before = self.found.len();
        if !is_hopeless(needs) {
            needs.iter().for_each(|need| self.need(need));
        }
        self.found.len() > before
    }

    /// An option that forces another one is a way to it, if it can be had itself.
    fn selector(&mut self, option: &str, wanted: Tri) {
        if self.depth >= MAX_DEPTH {
            return;
        }
        self.depth += 1;
        // A bool that forces another option to be built in cannot do so by half.
        let kind = self.reasoner.tree.symbols.get(option).and_then(|symbol| symbol.kind);
        let halved = wanted == Tri::M && kind == Some(Type::Bool) && self.reasoner.config.tri(option) == Tri::Y;
        let wanted = if halved { Tri::N } else { self.reasoner.attainable(option, wanted) };
        let reason = self.reasoner.explain(option, wanted);
        self.collect(option, wanted, &reason);
        self.depth -= 1;
    }

    fn need(&mut self, need: &Need) {
        match need {
            Need::Fact(..) | Need::Value { .. } | Need::Probe(_) => {}
            Need::Any(ways) => ways.first().into_iter().flatten().for_each(|need| self.need(need)),
            Need::Option { name, wanted, why, .. } => self.collect(name, *wanted, why),
        }
    }

    fn push(&mut self, option: &str, wanted: Tri) {
        let Some(symbol) = self.reasoner.tree.symbols.get(option) else { return };
        // A text or a number is set to something, which nobody but its author knows.
        if !matches!(symbol.kind, Some(Type::Bool | Type::Tristate)) {
            return;
        }
        let value = self.reasoner.attainable(option, wanted);
        let offered = symbol.definitions.iter().any(|definition| definition.prompt.is_some());
        match self.found.iter_mut().find(|(name, _)| name == option) {
            // Half of what the rest of the chain needs.
            Some((_, known)) if *known == Tri::M => *known = value.max(Tri::M),
            Some(_) => {}
            None if offered => self.found.push((option.to_owned(), value)),
            None => {}
        }
    }
}
