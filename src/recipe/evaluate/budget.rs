//! How much a recipe may become: loops in loops and lists of lists multiply, and a small file must not fill memory.

use crate::base::{Diagnostic, Span};
use crate::recipe::report::Diagnostics;
use crate::recipe::value::{EvaluatedNode, Value};

/// Entries and values of the whole recipe.
pub(super) const MAX_ITEMS: usize = 10_000;
/// Bytes of all texts together.
const MAX_TEXT: usize = 16 << 20;

/// What has been made so far.
#[derive(Default)]
pub(super) struct Budget {
    items: usize,
    bytes: usize,
    exhausted: bool,
}

impl Budget {
    /// Counts; false, and one report, when it is too much.
    pub(super) fn spend(&mut self, items: usize, bytes: usize, span: Span, report: &Diagnostics) -> bool {
        self.items = self.items.saturating_add(items);
        self.bytes = self.bytes.saturating_add(bytes);
        if (self.items <= MAX_ITEMS && self.bytes <= MAX_TEXT) || self.exhausted {
            return !self.exhausted;
        }
        self.exhausted = true;
        let label = format!("exceeds the limit of {MAX_ITEMS} items or {MAX_TEXT} bytes of text");
        report.push(Diagnostic::new(span, "recipe is too large after evaluation").label(label));
        false
    }

    /// Whether the limit was passed; nothing more is made then.
    pub(super) fn exhausted(&self) -> bool {
        self.exhausted
    }
}

/// Items and bytes of a value.
pub(super) fn weigh(value: &Value) -> (usize, usize) {
    match value {
        Value::Text(text) | Value::Name(text) | Value::File(text) | Value::Directory(text) => (1, text.len()),
        Value::Local(local) => (1, local.written.len()),
        Value::List(items) | Value::Call(_, items) => {
            items.iter().fold((1, 0), |sum, item| add(sum, weigh(&item.value)))
        }
        _ => (1, 0),
    }
}

/// Items and bytes of a block with everything in it.
pub(super) fn weigh_node(node: &EvaluatedNode) -> (usize, usize) {
    let values = node.arguments.iter().chain(&node.value);
    let own = values.fold((1, 0), |sum, value| add(sum, weigh(&value.value)));
    node.children.iter().fold(own, |sum, child| add(sum, weigh_node(child)))
}

fn add(a: (usize, usize), b: (usize, usize)) -> (usize, usize) {
    (a.0 + b.0, a.1 + b.1)
}
