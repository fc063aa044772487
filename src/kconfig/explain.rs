//! Why an option is what it is: what it needs, who forces it, what to add.
//!
//! The answer is a chain of needs, each one read off the Kconfig files under the final configuration, and ends at
//! options that somebody can set. It explains what the kernel's program did; it does not predict it.

use std::collections::BTreeSet;

use super::dotconfig::DotConfig;
use super::expr::Expr;
use super::tree::{Definition, Symbol, Tree};
use super::value::Tri;

/// What is known of an option under a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Without `CONFIG_`.
    pub option: String,
    /// What a person would see in the configuration menus.
    pub prompt: Option<String>,
    /// Where it is defined: file, line, what it depends on.
    pub places: Vec<(String, u32, String)>,
    /// Its value in its spelling; `n` when it has none.
    pub value: String,
    /// Options that select it, those that do so now first, with the value that they force now.
    pub selected_by: Vec<(String, Tri)>,
    /// Why it is not on.
    pub why: Why,
}

/// Why an option does not have the value that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
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
        /// Its name.
        name: String,
        /// `m`, `y`, or `n`.
        wanted: Tri,
        /// Why it is not.
        why: Box<Why>,
    },
    /// A comparison or a question to the compiler that does not hold.
    Fact(String),
    /// One of these would do.
    Any(Vec<Need>),
}

/// How far a chain is followed.
const DEPTH: usize = 12;

/// Why `option` is below `wanted` (or, for [`Tri::N`], above it).
pub fn explain(tree: &Tree, config: &DotConfig, option: &str, wanted: Tri) -> Explanation {
    let symbol = tree.symbols.get(option);
    let definitions = symbol.map_or(&[][..], |symbol| &symbol.definitions);
    let mut seen = BTreeSet::new();
    let mut selected_by: Vec<(String, Tri)> =
        tree.selectors(option, config).into_iter().map(|s| (s.name, s.force.unwrap_or(Tri::N))).collect();
    selected_by.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    Explanation {
        option: option.to_owned(),
        prompt: definitions.iter().find_map(|definition| definition.prompt.as_ref()).map(|(text, _)| text.clone()),
        places: definitions.iter().map(|d| (d.file.clone(), d.line, d.depends.to_string())).collect(),
        value: config.value(option).to_owned(),
        selected_by,
        why: Reasoner { tree, config }.why(option, wanted, &mut seen),
    }
}

struct Reasoner<'a> {
    tree: &'a Tree,
    config: &'a DotConfig,
}

impl Reasoner<'_> {
    fn why(&self, option: &str, wanted: Tri, seen: &mut BTreeSet<String>) -> Why {
        let Some(symbol) = self.tree.symbols.get(option).filter(|symbol| symbol.kind.is_some()) else {
            return Why::Unknown(self.near(option));
        };
        if wanted == Tri::N {
            return self.why_on(option);
        }
        let offered: Vec<&Definition> = symbol.definitions.iter().filter(|d| d.prompt.is_some()).collect();
        if offered.is_empty() {
            return self.why_unoffered(symbol, option, wanted, seen);
        }
        if !seen.insert(option.to_owned()) || seen.len() > DEPTH {
            return Why::Free;
        }
        // The definition that lacks least is the one to fix.
        let needs = offered.iter().map(|definition| self.needs(&reach(definition), wanted, seen)).min_by_key(Vec::len);
        let needs = needs.unwrap_or_default();
        seen.remove(option);
        let rival = offered.iter().find_map(|definition| self.rival(definition, option));
        match rival {
            _ if !needs.is_empty() => Why::Needs(needs),
            Some(rival) => Why::Chosen(rival),
            None => Why::Free,
        }
    }

    fn why_on(&self, option: &str) -> Why {
        let forcing =
            self.tree.selectors(option, self.config).into_iter().filter(|s| s.force.is_some_and(|f| f > Tri::N));
        let forcing: Vec<String> = forcing.map(|selector| selector.name).collect();
        if forcing.is_empty() { Why::Free } else { Why::Forced(forcing) }
    }

    /// An option without a prompt follows its dependencies where it has a default, and its selectors otherwise.
    fn why_unoffered(&self, symbol: &Symbol, option: &str, wanted: Tri, seen: &mut BTreeSet<String>) -> Why {
        if seen.insert(option.to_owned()) && seen.len() <= DEPTH {
            for definition in &symbol.definitions {
                for (value, when) in &definition.defaults {
                    let all = definition.depends.clone().and(when.clone()).and(value.clone());
                    let needs = self.needs(&all, wanted, seen);
                    if !needs.is_empty() {
                        return Why::Needs(needs);
                    }
                }
            }
        }
        let mut by: Vec<String> = self.tree.selectors(option, self.config).into_iter().map(|s| s.name).collect();
        by.sort();
        by.dedup();
        Why::NoPrompt(by)
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
                let ways: Vec<Vec<Need>> = terms.iter().map(|term| self.needs(term, wanted, seen)).collect();
                let mut ways: Vec<Need> = ways.into_iter().filter_map(|way| way.into_iter().next()).collect();
                ways.sort_by_key(effort);
                if ways.len() == 1 { ways } else { vec![Need::Any(ways)] }
            }
            Expr::Symbol(name) => {
                let why = Box::new(self.why(name, wanted, seen));
                vec![Need::Option { name: name.clone(), wanted, why }]
            }
            Expr::Not(inner) => match &**inner {
                Expr::Symbol(name) => {
                    vec![Need::Option { name: name.clone(), wanted: Tri::N, why: Box::new(self.why_on(name)) }]
                }
                _ => vec![Need::Fact(expr.to_string())],
            },
            // Only `m` and `n` come here: as a module at most, or never.
            Expr::Const(value) => vec![Need::Fact(format!("more than `{value}`, which its definition does not allow"))],
            Expr::Text(_) | Expr::Probe(_) | Expr::Compare(..) => vec![Need::Fact(expr.to_string())],
        }
    }

    /// Names that differ in one or two letters, or that contain this one.
    fn near(&self, option: &str) -> Vec<String> {
        let mut found: Vec<(usize, &String)> = self
            .tree
            .symbols
            .keys()
            .filter(|name| name.len().abs_diff(option.len()) <= 2)
            .map(|name| (distance(name.as_bytes(), option.as_bytes()), name))
            .filter(|(distance, _)| *distance <= 2)
            .collect();
        found.sort();
        found.into_iter().take(3).map(|(_, name)| name.clone()).collect()
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
        Need::Any(ways) => ways.iter().map(effort).min().unwrap_or(0),
        Need::Option { why, .. } => match &**why {
            Why::Free | Why::Chosen(_) => 1,
            Why::Needs(needs) => 1 + needs.iter().map(effort).sum::<usize>(),
            Why::Forced(_) | Why::NoPrompt(_) => 20,
            Why::Unknown(_) => 100,
        },
    }
}

/// Levenshtein's distance.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = replaced.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
