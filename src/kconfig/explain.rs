//! Why an option is what it is: what it needs, who forces it, what to add.
//!
//! The answer is a chain of needs, each one read off the Kconfig files under the final configuration, and ends at
//! options that somebody can set. It explains what the kernel's program did; it does not predict it.

use std::cell::Cell;
use std::collections::BTreeSet;

use super::dotconfig::DotConfig;
use super::expr::Expr;
use super::tree::{Definition, KconfigTree, Symbol, Type};
use super::value::Tri;

/// Why an option does not have the value that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OptionReason {
    /// No Kconfig file defines it; here are names that look like it.
    Unknown(Vec<String>),
    /// Nothing stands against it: nobody asked.
    Free,
    /// It has no prompt: only other options turn it on, these among them.
    NoPrompt(Vec<String>),
    /// Another member of its `choice` is chosen.
    Chosen(String),
    /// Other options force it.
    Forced(Vec<String>),
    /// What it depends on does not hold.
    Needs(Vec<Need>),
}

/// One unmet dependency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// An option must be at least this (or, for `n`, off).
    Option {
        name: String,
        /// `m`, `y`, or `n`.
        wanted: Tri,
        found: Tri,
        /// Why it is not.
        why: Box<OptionReason>,
    },
    /// A comparison or a question to the compiler that does not hold.
    Fact(String),
    /// One of these would do, the easiest first; each is a list of needs that go together.
    Any(Vec<Vec<Need>>),
}

/// How many options one explanation looks at; beyond that it would explain nothing.
const MAX_VISITED_OPTIONS: usize = 500;

/// Why `option` is below `wanted` (or, for [`Tri::N`], above it).
pub(super) fn why(tree: &KconfigTree, config: &DotConfig, option: &str, wanted: Tri) -> OptionReason {
    let mut seen = BTreeSet::from([option.to_owned()]);
    let reasoner = Reasoner { tree, config, budget: Cell::new(MAX_VISITED_OPTIONS) };
    reasoner.why(option, wanted, &mut seen)
}

/// `seen` are the options that the chain has already explained: a need that hangs on one of them alone is met with it.
struct Reasoner<'a> {
    tree: &'a KconfigTree,
    config: &'a DotConfig,
    budget: Cell<usize>,
}

impl Reasoner<'_> {
    fn why(&self, option: &str, wanted: Tri, seen: &mut BTreeSet<String>) -> OptionReason {
        let Some(symbol) = self.tree.symbols.get(option).filter(|symbol| symbol.kind.is_some()) else {
            return OptionReason::Unknown(Vec::new());
        };
        if wanted == Tri::N {
            return self.why_on(option);
        }
        let offered: Vec<&Definition> = symbol.definitions.iter().filter(|d| d.prompt.is_some()).collect();
        if offered.is_empty() {
            return self.why_unoffered(symbol, option, wanted, seen);
        }
        if !self.spend() {
            return OptionReason::Free;
        }
        // The definition that lacks least is the one to fix. What a bool depends on may be a module.
        let enough = if symbol.kind == Some(Type::Tristate) { wanted } else { Tri::M };
        let needs = self.easiest(offered.iter().map(|definition| reach(definition)), enough, seen);
        let rival = offered.iter().find_map(|definition| self.rival(definition, option));
        match rival {
            _ if !needs.is_empty() => OptionReason::Needs(needs),
            Some(rival) => OptionReason::Chosen(rival),
            None => OptionReason::Free,
        }
    }

    /// What an option is to be so that it is at least `enough`: a bool is no module, and without modules nothing is.
    fn attainable(&self, name: &str, enough: Tri) -> Tri {
        let kind = self.tree.symbols.get(name).and_then(|symbol| symbol.kind);
        let modular = kind == Some(Type::Tristate) && self.config.tri("MODULES") != Tri::N;
        if enough == Tri::M && !modular { Tri::Y } else { enough }
    }

    fn spend(&self) -> bool {
        let left = self.budget.get();
        self.budget.set(left.saturating_sub(1));
        left > 0
    }

    /// Of several ways the one with the least to do.
    fn easiest(&self, ways: impl Iterator<Item = Expr>, wanted: Tri, seen: &mut BTreeSet<String>) -> Vec<Need> {
        let tried = ways.map(|way| {
            let mut seen = seen.clone();
            (self.needs(&way, wanted, &mut seen), seen)
        });
        let best = tried.min_by_key(|(needs, _)| needs.iter().map(effort).sum::<usize>());
        let Some((needs, after)) = best else { return Vec::new() };
        *seen = after;
        needs
    }

    fn why_on(&self, option: &str) -> OptionReason {
        let forcing =
            self.tree.selectors(option, self.config).into_iter().filter(|s| s.force.is_some_and(|f| f > Tri::N));
        let forcing: Vec<String> = forcing.map(|selector| selector.name).collect();
        if forcing.is_empty() { OptionReason::Free } else { OptionReason::Forced(forcing) }
    }

    /// An option without a prompt follows its dependencies where it has a default, and its selectors otherwise.
    fn why_unoffered(&self, symbol: &Symbol, option: &str, wanted: Tri, seen: &mut BTreeSet<String>) -> OptionReason {
        let defaults = symbol.definitions.iter().flat_map(|definition| {
            let all = |(value, when): &(Expr, Expr)| definition.depends.clone().and(when.clone()).and(value.clone());
            definition.defaults.iter().map(all)
        });
        if self.spend() {
            let needs = self.easiest(defaults, wanted, seen);
            if !needs.is_empty() {
                return OptionReason::Needs(needs);
            }
        }
        let mut by: Vec<String> = self.tree.selectors(option, self.config).into_iter().map(|s| s.name).collect();
        by.sort();
        by.dedup();
        OptionReason::NoPrompt(by)
    }

    fn rival(&self, definition: &Definition, option: &str) -> Option<String> {
        let members = &self.tree.choices[definition.choice?].members;
        members.iter().find(|member| *member != option && self.config.tri(member) == Tri::Y).cloned()
    }

    /// The parts of an expression that are below `wanted`.
    fn needs(&self, expr: &Expr, wanted: Tri, seen: &mut BTreeSet<String>) -> Vec<Need> {
        if self.tree.eval(expr, self.config).is_some_and(|value| value >= wanted) {
            return Vec::new();
        }
        match expr {
            Expr::All(terms) => {
                let mut needs: Vec<Need> = terms.iter().flat_map(|term| self.needs(term, wanted, seen)).collect();
                // The compiler is the last suspect.
                if needs.iter().any(|need| !matches!(need, Need::Fact(_))) {
                    needs.retain(|need| !matches!(need, Need::Fact(text) if text.contains("$(")));
                }
                needs
            }
            Expr::Any(terms) => {
                let mut ways: Vec<(Vec<Need>, BTreeSet<String>)> = terms
                    .iter()
                    .map(|term| {
                        let mut seen = seen.clone();
                        (self.needs(term, wanted, &mut seen), seen)
                    })
                    .collect();
                ways.sort_by_key(|(needs, _)| needs.iter().map(effort).sum::<usize>());
                let Some((_, after)) = ways.first() else { return Vec::new() };
                *seen = after.clone();
                let mut ways: Vec<Vec<Need>> = ways.into_iter().map(|(needs, _)| needs).collect();
                if ways.len() == 1 || ways[0].is_empty() { ways.remove(0) } else { vec![Need::Any(ways)] }
            }
            Expr::Symbol(name) if !seen.insert(name.clone()) => Vec::new(),
            Expr::Symbol(name) => {
                let wanted = self.attainable(name, wanted);
                let why = Box::new(self.why(name, wanted, seen));
                vec![Need::Option { name: name.clone(), wanted, found: self.config.tri(name), why }]
            }
            Expr::Not(inner) => match &**inner {
                Expr::Symbol(name) => {
                    let (found, why) = (self.config.tri(name), Box::new(self.why_on(name)));
                    vec![Need::Option { name: name.clone(), wanted: Tri::N, found, why }]
                }
                _ => vec![Need::Fact(expr.to_string())],
            },
            // Only `m` and `n` come here: as a module at most, or never.
            Expr::Const(value) => vec![Need::Fact(format!("more than `{value}`, which its definition does not allow"))],
            Expr::Text(_) | Expr::Probe(_) | Expr::Compare(..) => vec![Need::Fact(expr.to_string())],
        }
    }
}

fn reach(definition: &Definition) -> Expr {
    let prompt = definition.prompt.as_ref().map_or_else(Expr::always, |(_, when)| when.clone());
    definition.depends.clone().and(prompt)
}

/// How much stands between a need and its fulfilment, for choosing between alternatives.
fn effort(need: &Need) -> usize {
    match need {
        Need::Fact(_) => 100,
        Need::Any(ways) => ways.first().map_or(0, |way| way.iter().map(effort).sum()),
        Need::Option { why, .. } => match &**why {
            OptionReason::Free | OptionReason::Chosen(_) => 1,
            OptionReason::Needs(needs) => 1 + needs.iter().map(effort).sum::<usize>(),
            OptionReason::Forced(_) | OptionReason::NoPrompt(_) => 20,
            OptionReason::Unknown(_) => 100,
        },
    }
}
