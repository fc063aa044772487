//! How a body changes what it inherits: `=` replaces, `+=` and `-=` change lists, a block goes on with a block.

use super::Item;
use super::budget::{Budget, weigh};
use crate::base::{Diagnostic, Span, Spanned};
use crate::recipe::nearest::nearest;
use crate::recipe::report::Diagnostics;
use crate::recipe::value::{EvaluatedNode, Value};
use crate::syntax::tree::Op;

/// The children of a block: what it inherits, changed by its own entries in order.
pub(super) fn merge(
    inherited: Vec<EvaluatedNode>,
    items: Vec<Item>,
    report: &Diagnostics,
    budget: &mut Budget,
) -> Vec<EvaluatedNode> {
    let mut body = Body { own: vec![false; inherited.len()], nodes: inherited, report, budget };
    items.into_iter().for_each(|item| body.apply(item));
    body.nodes
}

struct Body<'a> {
    nodes: Vec<EvaluatedNode>,
    /// Whether this body, and not one it extends, gave the node at the same place.
    own: Vec<bool>,
    report: &'a Diagnostics,
    budget: &'a mut Budget,
}

impl Body<'_> {
    fn apply(&mut self, item: Item) {
        match (item.op, &item.node.value) {
            (Op::Add | Op::Remove, _) => self.change(item),
            (Op::Set, None) if !item.node.block => self.push(item.node),
            _ => self.set(item),
        }
    }

    fn push(&mut self, node: EvaluatedNode) {
        self.nodes.push(node);
        self.own.push(true);
    }

    /// Replaces or goes on with what is inherited. A second one in the same body stays, for the checker to report.
    fn set(&mut self, item: Item) {
        let Item { mut node, items, .. } = item;
        let found = (0..self.nodes.len()).find(|at| !self.own[*at] && same(&self.nodes[*at], &node));
        let inherited = found.map(|at| std::mem::take(&mut self.nodes[at].children)).unwrap_or_default();
        node.children = merge(inherited, items, self.report, self.budget);
        match found {
            Some(at) => {
                self.nodes[at] = node;
                self.own[at] = true;
            }
            None => self.push(node),
        }
    }

    fn change(&mut self, item: Item) {
        let Item { op, node, .. } = item;
        let sign = if op == Op::Add { "+=" } else { "-=" };
        let Some(Spanned { value: Value::List(items), span }) = node.value.clone() else {
            if node.value.as_ref().is_some_and(|value| value.value != Value::Wrong) {
                let message = format!("`{sign}` takes a list");
                let span = node.value.as_ref().map_or(node.span, |value| value.span);
                self.report
                    .push(Diagnostic::new(span, message).label("not a list").hint("put it in brackets: `[...]`"));
            }
            return;
        };
        let Some(at) = (0..self.nodes.len()).find(|at| same(&self.nodes[*at], &node)) else {
            if op == Op::Add {
                return self.push(node);
            }
            let message = format!("`-=` has nothing to remove from: `{}` is not set", node.keyword.value);
            self.report.push_absence(Diagnostic::new(node.keyword.span, message).label("nothing is inherited"));
            return;
        };
        self.own[at] = true;
        let earlier = self.nodes[at].span;
        match self.nodes[at].value.as_mut().map(|value| &mut value.value) {
            Some(Value::List(list)) if op == Op::Add => {
                let weight = items.iter().map(|item| weigh(&item.value)).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
                if self.budget.spend(weight.0, weight.1, span, self.report) {
                    list.extend(items);
                }
            }
            Some(Value::List(list)) => items.iter().for_each(|item| remove(list, item, self.report)),
            Some(Value::Wrong) => {}
            _ => self.report.push(not_a_list(&node, earlier, sign)),
        }
    }
}

fn not_a_list(node: &EvaluatedNode, earlier: Span, sign: &str) -> Diagnostic {
    let message = format!("`{sign}` only applies to lists, and `{}` is not a list", node.keyword.value);
    Diagnostic::new(node.keyword.span, message).label("changed here").related(earlier, "given here")
}

fn remove(list: &mut Vec<Spanned<Value>>, item: &Spanned<Value>, report: &Diagnostics) {
    let before = list.len();
    list.retain(|old| !old.value.same(&item.value));
    if list.len() == before && item.value != Value::Wrong {
        let spelling = item.value.spelling();
        let wrong = Diagnostic::new(item.span, format!("{spelling} is not in the list"));
        let mut wrong = wrong.label("nothing to take away");
        let known: Vec<String> = list.iter().map(|old| old.value.spelling()).collect();
        wrong.hint = nearest(&spelling, known.iter().map(String::as_str)).map(|near| format!("did you mean {near}?"));
        report.push(wrong);
    }
}

/// Whether two entries are about the same thing: the same words before `=` or `{`.
fn same(a: &EvaluatedNode, b: &EvaluatedNode) -> bool {
    let shape = |node: &EvaluatedNode| (node.block, node.value.is_some());
    let mut arguments = a.arguments.iter().zip(&b.arguments);
    a.keyword.value == b.keyword.value
        && shape(a) == shape(b)
        && a.arguments.len() == b.arguments.len()
        && arguments.all(|(a, b)| a.value.same(&b.value))
}
