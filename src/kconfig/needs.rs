//! What an expression lacks, as needs.

use std::collections::BTreeMap;

use super::explain::{Need, OptionReason, effort, is_hopeless};
use super::expr::{Compare, Expr};
use super::reasoner::{Lack, Reasoner};
use super::tree::Type;
use super::value::Tri;

impl Reasoner<'_> {
    /// The parts of an expression that are below `wanted`.
    pub(super) fn lack(&self, expr: &Expr, wanted: Tri, seen: &mut BTreeMap<String, Tri>) -> Lack {
        if self.tree.eval(expr, self.config).is_some_and(|value| value >= wanted) {
            return Lack::default();
        }
        match expr {
            Expr::All(terms) => self.all(terms, wanted, seen),
            Expr::Any(terms) => self.any(terms, wanted, seen),
            Expr::Symbol(name) => self.option(name, self.attainable(name, wanted), seen),
            Expr::Not(inner) => match &**inner {
                Expr::Symbol(name) => self.option(name, Tri::N, seen),
                Expr::Probe(_) => Lack::of(Need::Probe(expr.to_string())),
                Expr::Const(_) | Expr::Text(_) => Lack::of(Need::Fact(expr.to_string(), None)),
                inner => self.lack(&inner.negated(), wanted, seen),
            },
            Expr::Probe(_) => Lack::of(Need::Probe(expr.to_string())),
            Expr::Compare(left, operator, right) => match self.as_option(left, *operator, right) {
                Some((name, wanted)) => self.option(name, wanted, seen),
                None if self.tree.eval(expr, self.config).is_none() => Lack::of(Need::Probe(expr.to_string())),
                None => Lack::of(self.comparison(expr, left)),
            },
            // As a module, where there are none.
            Expr::Const(Tri::M) if wanted == Tri::M => self.option("MODULES", Tri::Y, seen),
            // As a module at most, or never.
            Expr::Const(value) => Lack::of(Need::Fact(format!("more than `{value}`"), None)),
            Expr::Text(_) => Lack::of(Need::Fact(expr.to_string(), None)),
        }
    }

    fn all(&self, terms: &[Expr], wanted: Tri, seen: &mut BTreeMap<String, Tri>) -> Lack {
        let mut all = Lack::default();
        for term in terms {
            let lack = self.lack(term, wanted, seen);
            all.deferred |= lack.deferred;
            all.needs.extend(lack.needs);
        }
        // The compiler is the last suspect: where anything else is missing, nothing tells what it would have said.
        if all.deferred || all.needs.iter().any(|need| !matches!(need, Need::Probe(_))) {
            all.needs.retain(|need| !matches!(need, Need::Probe(_)));
        }
        all
    }

    fn any(&self, terms: &[Expr], wanted: Tri, seen: &mut BTreeMap<String, Tri>) -> Lack {
        let mut ways: Vec<(Lack, BTreeMap<String, Tri>)> = terms
            .iter()
            .map(|term| {
                let mut seen = seen.clone();
                (self.lack(term, wanted, &mut seen), seen)
            })
            .collect();
        ways.sort_by_key(|(lack, _)| effort(&lack.needs));
        let Some((first, after)) = ways.first() else { return Lack::of(Need::Fact("n".to_owned(), None)) };
        *seen = after.clone();
        if first.needs.is_empty() {
            return Lack { needs: Vec::new(), deferred: first.deferred };
        }
        let (hopeless, deferred) = (is_hopeless(&first.needs), first.deferred);
        let able = |lack: &Lack| hopeless || !is_hopeless(&lack.needs);
        let mut ways: Vec<Vec<Need>> =
            ways.into_iter().map(|(lack, _)| lack).filter(able).map(|lack| lack.needs).collect();
        Lack { needs: if ways.len() == 1 { ways.remove(0) } else { vec![Need::Any(ways)] }, deferred }
    }

    fn option(&self, name: &str, wanted: Tri, seen: &mut BTreeMap<String, Tri>) -> Lack {
        let deferred = Lack { needs: Vec::new(), deferred: true };
        match seen.get(name) {
            // As a module it was explained already, and that is not enough here.
            Some(Tri::M) if wanted == Tri::Y => {}
            Some(_) => return deferred,
            None => {}
        }
        seen.insert(name.to_owned(), wanted);
        let Some(why) = self.why(name, wanted, seen) else { return deferred };
        // A text or a number is never on.
        if matches!(why, OptionReason::Follows(_)) {
            return Lack::of(Need::Fact(name.to_owned(), None));
        }
        let contrary = self.is_contrary(name, wanted, &why);
        Lack::of(Need::Option {
            name: name.to_owned(),
            wanted,
            found: self.config.tri(name),
            why: Box::new(why),
            contrary,
        })
    }

    /// `A = y`, `A >= B` and their like, as what A must be.
    fn as_option<'e>(&self, left: &'e Expr, operator: Compare, right: &Expr) -> Option<(&'e str, Tri)> {
        let Expr::Symbol(name) = left else { return None };
        let kind = self.tree.symbols.get(name).and_then(|symbol| symbol.kind);
        if !matches!(kind, None | Some(Type::Bool | Type::Tristate)) {
            return None;
        }
        let value = Tri::parse(&self.tree.text(right, self.config)?)?;
        match (operator, value) {
            (Compare::Equal, Tri::M) if self.config.tri(name) == Tri::Y => None,
            (Compare::Equal | Compare::GreaterEqual, value) => Some((name, value)),
            (Compare::Unequal | Compare::Greater, Tri::N) => Some((name, self.attainable(name, Tri::M))),
            (Compare::Greater, Tri::M) => Some((name, Tri::Y)),
            (Compare::Unequal, Tri::Y) | (Compare::LessEqual, Tri::N) => Some((name, Tri::N)),
            _ => None,
        }
    }

    /// A comparison that does not hold, of a text or a number.
    fn comparison(&self, whole: &Expr, left: &Expr) -> Need {
        let text = whole.to_string();
        let Expr::Symbol(name) = left else { return Need::Fact(text, None) };
        let definitions = self.tree.symbols.get(name).map_or(&[][..], |symbol| &symbol.definitions);
        match definitions.iter().any(|definition| definition.prompt.is_some()) {
            true => Need::Value { text, name: name.clone() },
            false => Need::Fact(text, self.config.values.get(name).cloned()),
        }
    }
}

impl Lack {
    fn of(need: Need) -> Lack {
        Lack { needs: vec![need], deferred: false }
    }
}
