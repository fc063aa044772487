//! Reads `memory`, `node` and `distance`.

use super::value::{CpuList, memory, own_name};
use crate::base::{ByteSize, Diagnostic, Spanned};
use crate::recipe::kinds::FromValue;
use crate::recipe::machine::memory::{Distance, Memory, Node, SharedMemory};
use crate::recipe::nearest::suggest;
use crate::recipe::reader::{Reader, duplicate};
use crate::recipe::scope::Scope;
use crate::recipe::value;

/// Reads a top-level `memory NAME { size = 3GiB }`: one file that machines may share.
pub fn shared(node: &value::EvaluatedNode, scope: &Scope) -> Option<Memory> {
    let mut reader = Reader::new(node, &scope.report);
    let name = own_name(&mut reader);
    let size = reader.required::<ByteSize>("size");
    reader.finish();
    Some(Memory { size: size?.value.0, shared: Some(SharedMemory { name: name?.value, span: node.head() }) })
}

/// Every `node NAME { cpus = ... memory = ... }` of a machine.
pub(super) fn nodes(reader: &mut Reader<'_>, scope: &Scope) -> Vec<Node> {
    let blocks = reader.blocks("node");
    let mut nodes: Vec<(&value::EvaluatedNode, Node)> = Vec::new();
    for block in blocks {
        let mut reader = Reader::new(block, &scope.report);
        let name = own_name(&mut reader);
        let cpus = reader.optional::<CpuList>("cpus");
        let cpus = cpus.map(|list| list.value.0.into_iter().map(|cpu| Spanned::new(cpu, list.span)).collect());
        let memory = memory(&mut reader, "memory", scope);
        let caches = super::cache::caches(&mut reader);
        reader.finish();
        let Some(name) = name else { continue };
        if let Some((first, _)) = nodes.iter().find(|(_, node)| node.name == name.value) {
            scope.report.push(duplicate(block, first, &format!("node `{}`", name.value)));
        }
        let (cpus, span) = (cpus.unwrap_or_default(), block.head());
        nodes.push((block, Node { name: name.value, cpus, memory, caches, span }));
    }
    nodes.into_iter().map(|(_, node)| node).collect()
}

/// Every `distance A B = 21` of a machine.
pub(super) fn distances(reader: &mut Reader<'_>, nodes: &[Node]) -> Vec<Distance> {
    let statements = reader.statements("distance");
    statements.into_iter().filter_map(|statement| distance(statement, nodes, reader)).collect()
}

fn distance(statement: &value::EvaluatedNode, nodes: &[Node], outer: &Reader<'_>) -> Option<Distance> {
    let names = node_names(nodes);
    let (from, to) = ends(statement, [&names, &names], outer);
    let Some(value) = &statement.value else {
        let mistake = Diagnostic::new(statement.head(), "a distance needs a number").label("`= 20` is missing");
        let ends = [&from, &to].map(|end| end.as_ref().map_or("NODE", |end| &end.value));
        outer.error(mistake.hint(format!("write `distance {} {} = 20`", ends[0], ends[1])));
        return None;
    };
    let number = i64::read(value, outer.report())?;
    if !(10..=254).contains(&number) {
        let mistake =
            Diagnostic::new(value.span, "a distance is a number from 10 (local) to 254").label("out of range");
        let near = number.clamp(11, 254);
        let mistake = mistake.note("ACPI 6.5, 5.2.17 (SLIT): 255 means that a node cannot be reached");
        outer.error(mistake.hint(format!("write a number from 11 to 254, such as `{near}`")));
        return None;
    }
    Some(Distance { from: from?, to: to?, value: Spanned::new(number as u32, value.span) })
}

/// The names of all nodes.
pub(super) fn node_names(nodes: &[Node]) -> Vec<&str> {
    nodes.iter().map(|node| node.name.as_str()).collect()
}

/// The two ends that a statement such as `distance A B = 21` names, out of the names that each may have.
pub(super) fn ends(
    statement: &value::EvaluatedNode,
    known: [&[&str]; 2],
    outer: &Reader<'_>,
) -> (Option<Spanned<String>>, Option<Spanned<String>>) {
    let mut reader = Reader::new(statement, outer.report());
    let (from, to) = (reader.name(), reader.name());
    reader.finish();
    for (name, known) in [(&from, known[0]), (&to, known[1])] {
        let Some(name) = name.as_ref().filter(|name| !known.contains(&name.value.as_str())) else { continue };
        outer.error(unknown_node(name, known));
    }
    (from, to)
}

/// The report of a name that no node has.
pub(super) fn unknown_node(name: &Spanned<String>, known: &[&str]) -> Diagnostic {
    let mut mistake = Diagnostic::new(name.span, format!("there is no node called `{}`", name.value));
    mistake.hint = suggest(&name.value, known);
    mistake.label("not a `node` of this machine")
}
