//! Reads the reasons off the Kconfig files.
//!
//! Input: Kconfig files, a final configuration, what the recipe states. Output: [`OptionReason`]. Only the kernel's
//! program asks the compiler, so that an answer of it is never assumed: what the configuration proves counts first.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use super::dotconfig::DotConfig;
use super::explain::{HOPELESS, Need, OptionReason, effort, is_hopeless};
use super::expr::Expr;
use super::tree::{Definition, KconfigTree, Symbol, Type};
use super::value::Tri;

/// How many options one explanation looks at; beyond that it would explain nothing.
const MAX_VISITED_OPTIONS: usize = 3000;
/// So many selectors of one option are looked into; the kernel's most wanted ones have hundreds.
const MAX_SELECTORS: usize = 40;
/// An option that selects an option that selects an option.
const MAX_SELECTOR_DEPTH: usize = 3;

/// `seen`, in its methods, are the options that the chain has already explained.
pub(super) struct Reasoner<'a> {
    pub(super) tree: &'a KconfigTree,
    pub(super) config: &'a DotConfig,
    stated: &'a BTreeMap<String, Tri>,
    budget: Cell<usize>,
    depth: Cell<usize>,
}

/// The needs of an expression.
#[derive(Debug, Default)]
pub(super) struct Lack {
    pub(super) needs: Vec<Need>,
    /// Whether more of it hangs on options that the chain has already explained.
    pub(super) deferred: bool,
}

/// A way to an option.
pub(super) struct Way {
    pub(super) lack: Lack,
    seen: BTreeMap<String, Tri>,
}

impl Way {
    fn effort(&self) -> usize {
        effort(&self.lack.needs)
    }
}

impl<'a> Reasoner<'a> {
    pub(super) fn new(tree: &'a KconfigTree, config: &'a DotConfig, stated: &'a BTreeMap<String, Tri>) -> Self {
        Reasoner { tree, config, stated, budget: Cell::new(MAX_VISITED_OPTIONS), depth: Cell::new(0) }
    }

    /// Why `option` is below `wanted`, or above it.
    pub(super) fn explain(&self, option: &str, wanted: Tri) -> OptionReason {
        let mut seen = BTreeMap::from([(option.to_owned(), wanted)]);
        self.why(option, wanted, &mut seen).unwrap_or(OptionReason::Free)
    }

    /// The same; `None` if it follows from what the chain has already explained.
    pub(super) fn why(&self, option: &str, wanted: Tri, seen: &mut BTreeMap<String, Tri>) -> Option<OptionReason> {
        let Some((symbol, kind)) = self.tree.symbols.get(option).and_then(|symbol| Some((symbol, symbol.kind?))) else {
            let elsewhere = self.tree.elsewhere.get(option).cloned();
            return Some(OptionReason::Unknown { near: Vec::new(), elsewhere });
        };
        if !matches!(kind, Type::Bool | Type::Tristate) {
            return Some(self.why_valued(symbol, None, seen));
        }
        if !self.spend() {
            return Some(OptionReason::Unexplained);
        }
        if wanted == Tri::N || self.config.tri(option) > wanted {
            return self.why_on(symbol, option, wanted, seen);
        }
        // What a bool depends on may be a module.
        let enough = if kind == Type::Tristate { wanted } else { Tri::M };
        let offered = self.offered(symbol, option, enough, seen);
        if let Some(way) = &offered
            && way.lack.needs.is_empty()
        {
            *seen = way.seen.clone();
            let rival = symbol.definitions.iter().find_map(|definition| self.rival(definition, option));
            return Some(rival.map_or(OptionReason::Free, OptionReason::Chosen));
        }
        let default = self.easiest(default_ways(symbol).into_iter(), enough, seen);
        // A default whose conditions all hold, and that is not there, is none.
        let default = default.filter(|way| way.lack.deferred || !way.lack.needs.is_empty());
        let prompted = offered.is_some();
        let best = offered.into_iter().chain(default).min_by_key(Way::effort);
        match best {
            Some(way) if way.effort() < HOPELESS => {
                *seen = way.seen;
                Some(way.lack.needs).filter(|needs| !needs.is_empty()).map(OptionReason::Needs)
            }
            best => self.why_unselected(option, enough, (prompted, best), seen),
        }
    }

    /// The definition with a prompt that lacks least.
    fn offered(&self, symbol: &Symbol, option: &str, enough: Tri, seen: &BTreeMap<String, Tri>) -> Option<Way> {
        // What can be chosen has a line in the configuration even if it is off: the compiler's answers were the right ones.
        let chosen = self.config.values.get(option).is_some_and(|value| value == "n");
        let prompted = symbol.definitions.iter().filter(|definition| definition.prompt.is_some());
        let ways = prompted.map(|definition| {
            let mut way = self.way(&reach(definition), enough, seen);
            if chosen {
                way.lack.needs.retain(|need| !matches!(need, Need::Probe(_)));
            }
            way
        });
        ways.min_by_key(Way::effort)
    }

    fn why_unselected(
        &self,
        option: &str,
        enough: Tri,
        (prompted, other): (bool, Option<Way>),
        seen: &mut BTreeMap<String, Tri>,
    ) -> Option<OptionReason> {
        let edges = self.tree.turning_on(option);
        let mut names: Vec<String> = edges.iter().map(|(by, _)| (*by).to_owned()).collect();
        names.sort();
        names.dedup();
        let deep = self.depth.get() >= MAX_SELECTOR_DEPTH;
        let mut ways: Vec<(&str, Way)> = Vec::new();
        self.depth.set(self.depth.get() + 1);
        for (by, when) in edges.iter().take(if deep { 0 } else { MAX_SELECTORS }) {
            let way = self.way(&Expr::Symbol((*by).to_owned()).and(when.clone()), enough, seen);
            if way.effort() < HOPELESS && (way.lack.deferred || !way.lack.needs.is_empty()) {
                ways.push((by, way));
            }
        }
        self.depth.set(self.depth.get() - 1);
        ways.sort_by_key(|(_, way)| way.effort());
        if let Some((_, way)) = ways.iter().find(|(_, way)| way.lack.needs.is_empty()) {
            *seen = way.seen.clone();
            return None;
        }
        let first = ways.first().map(|(by, _)| *by);
        let several = ways.iter().any(|(by, _)| Some(*by) != first);
        let mut able: Vec<String> = ways.iter().map(|(by, _)| (*by).to_owned()).collect();
        let mut known = BTreeSet::new();
        able.retain(|name| known.insert(name.clone()));
        let unread = deep || edges.len() > MAX_SELECTORS;
        Some(match (ways.into_iter().next(), other) {
            (Some((by, way)), _) if !several && !unread => {
                *seen = way.seen;
                let only = !prompted && names.len() == 1 && !self.tree.selectors(option, self.config).is_empty();
                OptionReason::Selected { by: by.to_owned(), only, needs: way.lack.needs }
            }
            (Some(_), _) if prompted => OptionReason::OutOfReach(able),
            (Some(_), _) => OptionReason::NoPrompt(able),
            (None, Some(other)) if !unread => OptionReason::Needs(other.lack.needs),
            (None, _) if unread && !names.is_empty() => match prompted {
                true => OptionReason::OutOfReach(names),
                false => OptionReason::NoPrompt(names),
            },
            (None, Some(other)) => OptionReason::Needs(other.lack.needs),
            (None, None) => OptionReason::Barred(names),
        })
    }

    /// What keeps an option above `wanted`.
    fn why_on(
        &self,
        symbol: &Symbol,
        option: &str,
        wanted: Tri,
        seen: &mut BTreeMap<String, Tri>,
    ) -> Option<OptionReason> {
        let visible = self.tree.visible(symbol, self.config);
        let mut selectors = self.tree.selectors(option, self.config);
        if visible == Some(Tri::N) {
            selectors.extend(self.tree.impliers(option, self.config));
        }
        let mut forcing: Vec<String> =
            selectors.into_iter().filter(|s| s.force.is_some_and(|force| force > wanted)).map(|s| s.name).collect();
        forcing.sort();
        forcing.dedup();
        if !forcing.is_empty() {
            return Some(OptionReason::Forced(forcing));
        }
        let ways = symbol.definitions.iter().filter(|definition| definition.prompt.is_some()).map(reach);
        match visible {
            Some(Tri::N) => match self.easiest(ways, Tri::M, seen) {
                Some(way) if way.effort() < HOPELESS && !way.lack.needs.is_empty() => {
                    *seen = way.seen;
                    Some(OptionReason::Locked(way.lack.needs))
                }
                _ => self.why_default(symbol, seen),
            },
            _ => match symbol.definitions.iter().find_map(|definition| definition.choice) {
                Some(choice) if self.config.tri(option) == Tri::Y => {
                    let others = self.tree.choices[choice].members.iter().filter(|member| *member != option);
                    let visible = |name: &&String| {
                        let symbol = self.tree.symbols.get(*name);
                        symbol.is_some_and(|symbol| self.tree.visible(symbol, self.config) != Some(Tri::N))
                    };
                    Some(OptionReason::Elected(others.filter(visible).cloned().collect()))
                }
                _ => Some(OptionReason::Free),
            },
        }
    }

    /// What an option without a reachable prompt is on by, turned round.
    fn why_default(&self, symbol: &Symbol, seen: &mut BTreeMap<String, Tri>) -> Option<OptionReason> {
        let active = default_ways(symbol)
            .into_iter()
            .find(|way| self.tree.eval(way, self.config).is_none_or(|value| value != Tri::N));
        let way = active.map(|way| self.way(&way.negated(), Tri::Y, seen));
        match way {
            Some(way) if is_hopeless(&way.lack.needs) => Some(OptionReason::Always),
            Some(way) if !way.lack.needs.is_empty() => {
                *seen = way.seen;
                Some(OptionReason::Stays(way.lack.needs))
            }
            Some(way) if way.lack.deferred => None,
            _ => Some(OptionReason::Always),
        }
    }

    pub(super) fn way(&self, expr: &Expr, enough: Tri, seen: &BTreeMap<String, Tri>) -> Way {
        let mut seen = seen.clone();
        Way { lack: self.lack(expr, enough, &mut seen), seen }
    }

    /// Of several ways the one with the least to do.
    pub(super) fn easiest(
        &self,
        ways: impl Iterator<Item = Expr>,
        enough: Tri,
        seen: &BTreeMap<String, Tri>,
    ) -> Option<Way> {
        ways.map(|way| self.way(&way, enough, seen)).min_by_key(Way::effort)
    }

    /// What an option is to be so that it is at least `enough`: a bool is no module, and without modules nothing is.
    pub(super) fn attainable(&self, name: &str, enough: Tri) -> Tri {
        let kind = self.tree.symbols.get(name).and_then(|symbol| symbol.kind);
        let modular = kind == Some(Type::Tristate) && self.config.tri("MODULES") != Tri::N;
        if enough == Tri::M && !modular { Tri::Y } else { enough }
    }

    /// Whether the recipe states something that is not `wanted`, or another member of the same choice.
    pub(super) fn is_contrary(&self, name: &str, wanted: Tri, why: &OptionReason) -> bool {
        let rival = matches!(why, OptionReason::Chosen(rival) if self.stated.get(rival) == Some(&Tri::Y));
        rival
            || self
                .stated
                .get(name)
                .is_some_and(|stated| if wanted == Tri::N { *stated > wanted } else { *stated < wanted })
    }

    fn spend(&self) -> bool {
        let left = self.budget.get();
        self.budget.set(left.saturating_sub(1));
        left > 0
    }

    fn rival(&self, definition: &Definition, option: &str) -> Option<String> {
        let members = &self.tree.choices[definition.choice?].members;
        members.iter().find(|member| *member != option && self.config.tri(member) == Tri::Y).cloned()
    }
}

/// What must hold for somebody to see an option.
pub(super) fn reach(definition: &Definition) -> Expr {
    let prompt = definition.prompt.as_ref().map_or_else(Expr::always, |(_, when)| when.clone());
    definition.depends.clone().and(prompt)
}

/// What each default hangs on: the first one whose conditions hold counts.
fn default_ways(symbol: &Symbol) -> Vec<Expr> {
    let mut ways = Vec::new();
    let mut earlier: Vec<(Expr, Expr)> = Vec::new();
    for definition in &symbol.definitions {
        for (value, when) in &definition.defaults {
            let when = definition.depends.clone().and(when.clone());
            let mut way = when.clone().and(value.clone());
            for (other, before) in &earlier {
                if other != value {
                    way = way.and(before.negated());
                }
            }
            ways.push(way);
            earlier.push((value.clone(), when));
        }
    }
    ways
}
