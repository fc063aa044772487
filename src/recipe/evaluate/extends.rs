//! `kind name extends base { ... }`: a block that starts with everything another one of its kind has.

use std::collections::{BTreeMap, BTreeSet};

use super::Item;
use super::budget::{Budget, weigh_node};
use super::merge::merge;
use crate::base::{Diagnostic, Spanned};
use crate::recipe::nearest::suggest;
use crate::recipe::report::Diagnostics;
use crate::recipe::scope::noun;
use crate::recipe::value::{EvaluatedNode, Value};

/// Blocks by kind and name: which of the top-level items it is.
type Index = BTreeMap<(String, String), usize>;

/// Kind and name of every block that another one extends.
pub(super) fn extended(items: &[Item]) -> BTreeSet<(String, String)> {
    let base = |item: &Item| Some((item.node.keyword.value.clone(), extends(&item.node)?.value));
    items.iter().filter_map(base).collect()
}

/// Top-level items as flat blocks, in the same order.
pub(super) fn flatten(items: Vec<Item>, report: &Diagnostics, budget: &mut Budget) -> Vec<EvaluatedNode> {
    let mut index = Index::new();
    for (at, item) in items.iter().enumerate().filter(|(_, item)| item.node.block) {
        if let Some(name) = name(&item.node) {
            index.entry((item.node.keyword.value.clone(), name.to_owned())).or_insert(at);
        }
    }
    let count = items.len();
    let mut work =
        Work { items: items.into_iter().map(Some).collect(), done: vec![None; count], index, report, budget };
    (0..count).for_each(|at| work.finish(at));
    work.done.into_iter().flatten().collect()
}

struct Work<'a> {
    items: Vec<Option<Item>>,
    done: Vec<Option<EvaluatedNode>>,
    index: Index,
    report: &'a Diagnostics,
    budget: &'a mut Budget,
}

impl Work<'_> {
    /// Flattens one item and, before it, the blocks it extends: a loop, since chains may be long.
    fn finish(&mut self, at: usize) {
        let mut chain = vec![at];
        while let Some(base) = self.base(chain[chain.len() - 1]) {
            if self.done[base].is_some() {
                break;
            }
            if chain.contains(&base) {
                self.report_circle(&chain, base);
                break;
            }
            chain.push(base);
        }
        for at in chain.into_iter().rev() {
            self.flatten_one(at);
        }
    }

    fn flatten_one(&mut self, at: usize) {
        let base = self.base(at).and_then(|base| self.done[base].as_ref());
        // A circle or an unknown name was reported; what the block lacks because of it would be noise.
        let whole = base.is_some_and(|base| !self.report.is_incomplete(base.head()));
        let inherited = match base {
            Some(base) => {
                let (items, bytes) = weigh_node(base);
                let span = base.span;
                let children = base.children.clone();
                if self.budget.spend(items, bytes, span, self.report) { children } else { Vec::new() }
            }
            None => Vec::new(),
        };
        let Some(Item { mut node, items, .. }) = self.items[at].take() else { return };
        if extends(&node).is_some() {
            node.arguments.truncate(1);
            if !whole {
                self.report.set_incomplete(node.head());
            }
        }
        node.children = merge(inherited, items, self.report, self.budget);
        self.done[at] = Some(node);
    }

    /// The block that an unfinished item extends; a report when there is none.
    fn base(&self, at: usize) -> Option<usize> {
        let node = &self.items[at].as_ref()?.node;
        let base = extends(node)?;
        let kind = &node.keyword.value;
        let found = self.index.get(&(kind.clone(), base.value.clone())).copied();
        if found.is_none() {
            let wrong = Diagnostic::new(base.span, format!("unknown {} `{}`", noun(kind), base.value));
            let mut wrong = wrong.label("nothing to extend");
            let names: Vec<&str> = self.index.keys().filter(|(k, _)| k == kind).map(|(_, n)| n.as_str()).collect();
            let names: Vec<&str> = names.into_iter().filter(|known| Some(*known) != name(node)).collect();
            wrong.hint = suggest(&base.value, &names);
            self.report.push_absence(wrong);
        }
        found
    }

    fn report_circle(&self, chain: &[usize], base: usize) {
        let start = chain.iter().position(|at| *at == base).unwrap_or(0);
        let heads: Vec<_> = chain[start..].iter().filter_map(|at| self.items[*at].as_ref()).map(|i| &i.node).collect();
        let Some((first, others)) = heads.split_first() else { return };
        let wrong = Diagnostic::new(first.head(), format!("{} extends itself", first.title())).label("starts here");
        self.report.push(others.iter().fold(wrong, |wrong, node| wrong.related(node.head(), "by way of this")));
    }
}

fn name(node: &EvaluatedNode) -> Option<&str> {
    match &node.arguments.first()?.value {
        Value::Name(name) | Value::Text(name) => Some(name),
        _ => None,
    }
}

/// `NAME extends BASE`
fn extends(node: &EvaluatedNode) -> Option<Spanned<String>> {
    match node.arguments.as_slice() {
        [
            _,
            Spanned { value: Value::Name(word), .. },
            Spanned { value: Value::Name(base) | Value::Text(base), span },
        ] if node.block && word == "extends" => Some(Spanned::new(base.clone(), *span)),
        _ => None,
    }
}
