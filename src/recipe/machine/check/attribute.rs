//! Reads `latency A B = 100` (nanoseconds) and `bandwidth A B = 10GiB` (a second).

use super::memory::{ends, node_names};
use crate::base::{ByteSize, Diagnostic, Spanned};
use crate::recipe::kinds::FromValue;
use crate::recipe::machine::cxl::Cxl;
use crate::recipe::machine::memory::{Attribute, AttributeKind, Node};
use crate::recipe::reader::Reader;
use crate::recipe::value::EvaluatedNode;

/// The longest latency that the HMAT has room for with one nanosecond as its unit: 16 bits, of which the last value means
/// unreachable (ACPI 6.5, 5.2.28.4).
const MAX_LATENCY: i64 = 65534;

/// Every `latency` and `bandwidth` of a machine.
pub(super) fn attributes(reader: &mut Reader<'_>, nodes: &[Node], cxl: Option<&Cxl>) -> Vec<Attribute> {
    let initiators = node_names(nodes);
    let bridges = cxl.into_iter().flat_map(|cxl| &cxl.bridges).map(|bridge| bridge.name.value.as_str());
    let targets: Vec<&str> = initiators.iter().copied().chain(bridges).collect();
    let mut found = Vec::new();
    for kind in AttributeKind::ALL {
        let statements = reader.statements(kind.keyword());
        let known = [initiators.as_slice(), targets.as_slice()];
        found.extend(statements.into_iter().filter_map(|statement| attribute(kind, statement, known, reader)));
    }
    found
}

fn attribute(
    kind: AttributeKind,
    statement: &EvaluatedNode,
    known: [&[&str]; 2],
    outer: &Reader<'_>,
) -> Option<Attribute> {
    let (from, to) = ends(statement, known, outer);
    let example = match kind {
        AttributeKind::Latency => "= 100",
        AttributeKind::Bandwidth => "= 10GiB",
    };
    let Some(value) = &statement.value else {
        let mistake = Diagnostic::new(statement.head(), format!("a {} needs a value", kind.keyword()));
        let ends = [&from, &to].map(|end| end.as_ref().map_or("NODE", |end| &end.value));
        let mistake = mistake.label(format!("`{example}` is missing"));
        outer.error(mistake.hint(format!("write `{} {} {} {example}`", kind.keyword(), ends[0], ends[1])));
        return None;
    };
    let number = match kind {
        AttributeKind::Latency => {
            let number = i64::read(value, outer.report())?;
            if !(1..=MAX_LATENCY).contains(&number) {
                let mistake = Diagnostic::new(value.span, "a latency is a number of nanoseconds");
                let near = number.clamp(1, MAX_LATENCY);
                outer.error(mistake.label(format!("1 to {MAX_LATENCY}")).hint(format!("write `{near}`")));
                return None;
            }
            number.unsigned_abs()
        }
        AttributeKind::Bandwidth => ByteSize::read(value, outer.report())?.0,
    };
    Some(Attribute { kind, from: from?, to: to?, value: Spanned::new(number, value.span) })
}
