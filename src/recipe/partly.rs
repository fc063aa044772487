//! Machines of a recipe with mistakes, so that the rules find what is wrong with the rest of them.
//!
//! A statement with a mistake is as if it were not there. So each machine comes with the words of such statements, and a
//! machine that may lack anything else is left out: nothing is to be reported that only follows from another mistake.

use std::collections::BTreeSet;

use super::machine::Machine;
use super::scope::Scope;
use super::value::{EvaluatedNode, Value};
use crate::base::{Diagnostic, Span};

/// A machine, and what of it could not be read.
#[derive(Debug)]
pub struct PartlyRead {
    /// Without the statements that have a mistake.
    pub machine: Machine,
    /// The words that they begin with.
    pub unread: BTreeSet<String>,
}

/// What other blocks say that is part of a machine.
const PARTS: [&str; 2] = ["memory", "network"];

/// Every machine that can be looked at, although the recipe has these mistakes.
pub(super) fn machines(root: &EvaluatedNode, scope: &Scope, mistakes: &[Diagnostic]) -> Vec<PartlyRead> {
    let (machines, others): (Vec<_>, Vec<_>) = root.children.iter().partition(|node| node.keyword.value == "machine");
    // What stands nowhere of these may be a loop or a base that the machines lack.
    let harmless = |mistake: &Diagnostic| {
        let parts = || machines.iter().flat_map(|machine| &machine.children);
        let other = |node: &&&EvaluatedNode| !PARTS.contains(&node.keyword.value.as_str());
        parts().any(|part| is_in(part, mistake.span))
            || others.iter().filter(other).any(|node| is_in(node, mistake.span))
    };
    if !mistakes.iter().all(harmless) {
        return Vec::new();
    }
    // A firmware that such a build makes is not there.
    let mut builds = others.iter().filter(|node| node.keyword.value == "build");
    let builds = builds.any(|node| mistakes.iter().any(|mistake| is_in(node, mistake.span)));
    let read = machines.into_iter().filter_map(|node| {
        // Of two with one name the first counts.
        let machine = scope.machines.get(&node.declared()?).filter(|machine| machine.span == node.head())?;
        if scope.report.is_incomplete(node.head()) {
            return None;
        }
        let wrong = |part: &&EvaluatedNode| {
            let of_builds = part.keyword.value == "uefi" && builds;
            of_builds || is_wrong(part) || mistakes.iter().any(|mistake| is_in(part, mistake.span))
        };
        let unread = node.children.iter().filter(wrong).map(|part| part.keyword.value.clone()).collect();
        Some(PartlyRead { machine: machine.clone(), unread })
    });
    read.collect()
}

fn is_in(node: &EvaluatedNode, span: Span) -> bool {
    node.span.file == span.file && node.span.start <= span.start && span.end <= node.span.end
}

/// Whether a value is missing whose mistake was reported elsewhere.
fn is_wrong(node: &EvaluatedNode) -> bool {
    let mut values = node.arguments.iter().chain(&node.value).map(|value| &value.value);
    values.any(is_wrong_value) || node.children.iter().any(is_wrong)
}

fn is_wrong_value(value: &Value) -> bool {
    match value {
        Value::Wrong => true,
        Value::List(items) | Value::Call(_, items) => items.iter().any(|item| is_wrong_value(&item.value)),
        _ => false,
    }
}
