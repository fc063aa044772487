//! Why a text or a number is what it is.

use std::collections::BTreeMap;

use super::explain::{Follows, HOPELESS, OptionReason, ValueSource, effort};
use super::expr::Expr;
use super::reasoner::{Reasoner, reach};
use super::tree::Symbol;
use super::value::Tri;
use crate::recipe::kernel::OptionValue;

impl Reasoner<'_> {
    /// The same as [`Reasoner::why`] for a text or a number, and the value that somebody wants it to have.
    pub(super) fn explain_value(&self, option: &str, value: &OptionValue) -> Option<OptionReason> {
        let symbol = self.tree.symbols.get(option)?;
        let target = match value {
            OptionValue::Text(text) | OptionValue::Number(text) => text,
            OptionValue::Yes | OptionValue::Module | OptionValue::No => return None,
        };
        let mut seen = BTreeMap::from([(option.to_owned(), Tri::Y)]);
        Some(self.why_valued(symbol, Some(target), &mut seen))
    }

    pub(super) fn why_valued(
        &self,
        symbol: &Symbol,
        target: Option<&str>,
        seen: &mut BTreeMap<String, Tri>,
    ) -> OptionReason {
        let prompted = symbol.definitions.iter().filter(|definition| definition.prompt.is_some());
        match self.easiest(prompted.map(reach), Tri::M, seen) {
            Some(way) if way.lack.needs.is_empty() => return OptionReason::Free,
            Some(way) if effort(&way.lack.needs) < HOPELESS => return OptionReason::Needs(way.lack.needs),
            _ => {}
        }
        let defaults: Vec<(&Expr, Expr, &Expr)> = symbol
            .definitions
            .iter()
            .flat_map(|d| d.defaults.iter().map(|(value, when)| (value, d.depends.clone().and(when.clone()), when)))
            .collect();
        let holds = |when: &Expr| self.tree.eval(when, self.config).is_none_or(|value| value != Tri::N);
        let at = defaults.iter().position(|(_, when, _)| holds(when));
        let now = at.map(|at| {
            let (value, _, when) = &defaults[at];
            let source =
                if at > 0 && **when == Expr::always() { ValueSource::Default } else { self.source(value, when) };
            (self.shown(value), source)
        });
        let wanted = target.and_then(|target| {
            defaults.iter().position(|(value, ..)| self.tree.text(value, self.config).as_deref() == Some(target))
        });
        let needs = match wanted {
            Some(wanted) => {
                let (_, when, _) = &defaults[wanted];
                let before = defaults[..wanted].iter().map(|(_, earlier, _)| earlier.negated());
                self.way(&before.fold(when.clone(), Expr::and), Tri::M, seen).lack.needs
            }
            // Without a value it lacks what it depends on.
            None if now.is_none() => {
                let all = symbol.definitions.iter().map(|definition| definition.depends.clone());
                self.easiest(all, Tri::M, seen).map_or(Vec::new(), |way| way.lack.needs)
            }
            None => Vec::new(),
        };
        let target = wanted.map(|wanted| self.shown(defaults[wanted].0));
        OptionReason::Follows(Follows { now, target, needs })
    }

    /// The value of a default in its spelling.
    fn shown(&self, value: &Expr) -> String {
        match value {
            Expr::Symbol(name) => {
                let found = self.config.values.get(name).cloned();
                found.unwrap_or_else(|| name.clone())
            }
            value => value.to_string(),
        }
    }

    /// What a default hangs on; of several conditions the one that holds.
    fn source(&self, value: &Expr, when: &Expr) -> ValueSource {
        let holding =
            |terms: &[Expr]| terms.iter().find(|term| self.tree.eval(term, self.config) == Some(Tri::Y)).cloned();
        match (value, when) {
            (Expr::Probe(text), _) => ValueSource::Probe(text.clone()),
            (Expr::Symbol(name), when) if *when == Expr::always() => ValueSource::Condition(name.clone()),
            (_, when) if *when == Expr::always() => ValueSource::Constant,
            (_, Expr::Any(terms)) => ValueSource::Condition(holding(terms).unwrap_or_else(|| when.clone()).to_string()),
            (_, when) => ValueSource::Condition(when.to_string()),
        }
    }
}
