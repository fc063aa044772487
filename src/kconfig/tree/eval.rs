//! What expressions are worth under a configuration, by the rules of the kernel's own program
//! (`expr_calc_value` in scripts/kconfig/expr.c, `sym_calc_value` in scripts/kconfig/symbol.c).

use std::cmp::Ordering;

use super::{KconfigTree, Reverse, Symbol, Type};
use crate::kconfig::check::parse_number;
use crate::kconfig::dotconfig::DotConfig;
use crate::kconfig::expr::{Compare, Expr};
use crate::kconfig::value::Tri;

/// An option that selects another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    pub name: String,
    /// What it forces the other to be at least; `None` when only the kernel's program knows.
    pub force: Option<Tri>,
}

impl KconfigTree {
    /// The value of an expression; `None` when it hangs on a question to the compiler.
    pub fn eval(&self, expr: &Expr, config: &DotConfig) -> Option<Tri> {
        match expr {
            // Without modules there is no "as a module".
            Expr::Const(Tri::M) => Some(Tri::M.min(config.tri("MODULES"))),
            Expr::Const(value) => Some(*value),
            Expr::Symbol(name) => Some(config.tri(name)),
            Expr::Text(_) => Some(Tri::N),
            Expr::Probe(_) => None,
            Expr::Not(inner) => self.eval(inner, config).map(Tri::negated),
            Expr::All(terms) => {
                let values: Vec<Option<Tri>> = terms.iter().map(|term| self.eval(term, config)).collect();
                if values.contains(&Some(Tri::N)) { Some(Tri::N) } else { worst(&values) }
            }
            Expr::Any(terms) => {
                let values: Vec<Option<Tri>> = terms.iter().map(|term| self.eval(term, config)).collect();
                if values.contains(&Some(Tri::Y)) { Some(Tri::Y) } else { best(&values) }
            }
            Expr::Compare(left, operator, right) => {
                let (left, right) = (self.text(left, config)?, self.text(right, config)?);
                Some(if compare(&left, *operator, &right) { Tri::Y } else { Tri::N })
            }
        }
    }

    /// What stands on one side of a comparison. An option that exists nowhere is worth its own name.
    pub(crate) fn text(&self, expr: &Expr, config: &DotConfig) -> Option<String> {
        match expr {
            Expr::Const(value) => Some(value.to_string()),
            Expr::Text(text) => Some(text.clone()),
            Expr::Symbol(name) => Some(match self.symbols.get(name).map(|symbol| symbol.kind) {
                None | Some(None) => name.clone(),
                Some(Some(Type::Bool | Type::Tristate)) => config.tri(name).to_string(),
                Some(Some(_)) => {
                    let value = config.values.get(name).map_or("", String::as_str);
                    crate::kconfig::lines::quoted(value).map_or_else(|| value.to_owned(), |(text, _)| text)
                }
            }),
            _ => None,
        }
    }

    /// How far a person may turn an option up: the best of its prompts. `Some(N)` when there is none to see.
    pub fn visible(&self, symbol: &Symbol, config: &DotConfig) -> Option<Tri> {
        let prompts =
            symbol.definitions.iter().filter_map(|definition| Some((definition, definition.prompt.as_ref()?)));
        let values: Vec<Option<Tri>> = prompts
            .map(|(definition, (_, when))| self.eval(&when.clone().and(definition.depends.clone()), config))
            .collect();
        let visible = if values.contains(&Some(Tri::Y)) { Some(Tri::Y) } else { best(&values) };
        visible.map(|value| self.rounded(symbol, value))
    }

    /// What other options force this one to be at least.
    pub fn forced(&self, name: &str, config: &DotConfig) -> Option<Tri> {
        self.reverse(self.selectors.get(name), config)
    }

    /// What an option is when nobody may choose it: its default, what is implied and what is forced.
    pub fn unchosen(&self, name: &str, config: &DotConfig) -> Option<Tri> {
        let symbol = self.symbols.get(name)?;
        let values: Vec<Option<Tri>> = symbol.definitions.iter().map(|d| self.eval(&d.depends, config)).collect();
        let depends = if values.contains(&Some(Tri::Y)) { Some(Tri::Y) } else { best(&values) }?;
        let default = self.default_value(symbol, config)?;
        let implied = self.reverse(self.impliers.get(name), config)?;
        let value = default.max(implied).min(depends).max(self.forced(name, config)?);
        Some(self.rounded(symbol, value))
    }

    /// The first default whose condition holds.
    pub fn default_value(&self, symbol: &Symbol, config: &DotConfig) -> Option<Tri> {
        for definition in &symbol.definitions {
            for (value, when) in &definition.defaults {
                let when = self.eval(&when.clone().and(definition.depends.clone()), config)?;
                if when != Tri::N {
                    return Some(self.eval(value, config)?.min(when));
                }
            }
        }
        Some(Tri::N)
    }

    /// Who selects an option, with what each of them forces now.
    pub fn selectors(&self, name: &str, config: &DotConfig) -> Vec<Selector> {
        let edges = self.selectors.get(name).map_or(&[][..], Vec::as_slice);
        edges.iter().map(|edge| Selector { name: edge.by.clone(), force: self.force(edge, config) }).collect()
    }

    /// Who suggests an option, with what each of them suggests now.
    pub fn impliers(&self, name: &str, config: &DotConfig) -> Vec<Selector> {
        let edges = self.impliers.get(name).map_or(&[][..], Vec::as_slice);
        edges.iter().map(|edge| Selector { name: edge.by.clone(), force: self.force(edge, config) }).collect()
    }

    fn force(&self, edge: &Reverse, config: &DotConfig) -> Option<Tri> {
        match config.tri(&edge.by) {
            Tri::N => Some(Tri::N),
            by => self.eval(&edge.when, config).map(|when| when.min(by)),
        }
    }

    fn reverse(&self, edges: Option<&Vec<Reverse>>, config: &DotConfig) -> Option<Tri> {
        let values: Vec<Option<Tri>> = edges.into_iter().flatten().map(|edge| self.force(edge, config)).collect();
        if values.contains(&Some(Tri::Y)) { Some(Tri::Y) } else { best(&values) }
    }

    /// An option that cannot be a module is built in where a module would do.
    fn rounded(&self, symbol: &Symbol, value: Tri) -> Tri {
        if symbol.kind == Some(Type::Bool) && value == Tri::M { Tri::Y } else { value }
    }
}

fn worst(values: &[Option<Tri>]) -> Option<Tri> {
    values.iter().try_fold(Tri::Y, |all, value| value.map(|value| all.min(value)))
}

fn best(values: &[Option<Tri>]) -> Option<Tri> {
    values.iter().try_fold(Tri::N, |all, value| value.map(|value| all.max(value)))
}

fn compare(left: &str, operator: Compare, right: &str) -> bool {
    let order = match (parse_number(left), parse_number(right), Tri::parse(left), Tri::parse(right)) {
        (Some(left), Some(right), ..) => left.cmp(&right),
        // `n` comes before `m`, other than in the alphabet.
        (_, _, Some(left), Some(right)) => left.cmp(&right),
        _ => left.cmp(right),
    };
    match operator {
        Compare::Equal => order == Ordering::Equal,
        Compare::Unequal => order != Ordering::Equal,
        Compare::Less => order == Ordering::Less,
        Compare::LessEqual => order != Ordering::Greater,
        Compare::Greater => order == Ordering::Greater,
        Compare::GreaterEqual => order != Ordering::Less,
    }
}
