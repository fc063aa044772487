//! Reads `memory-slots` and `nvdimm NAME { size = ... }`.

use super::memory::{node_names, unknown_node};
use super::value::own_name;
use crate::base::{ByteSize, Spanned};
use crate::recipe::kinds::Name;
use crate::recipe::machine::memory::{Node, Nvdimm};
use crate::recipe::reader::Reader;
use crate::recipe::value::EvaluatedNode;

/// As many as ACPI's memory hotplug of QEMU has (`ACPI_MAX_RAM_SLOTS` in include/hw/acpi/acpi.h).
const MAX_SLOTS: i64 = 256;
/// The smallest label area that QEMU and Linux accept.
const LABELS: u64 = 128 << 10;

/// `memory-slots = 4`
pub(super) fn count(reader: &mut Reader<'_>) -> Option<Spanned<u32>> {
    let slots = reader.integer("memory-slots", 1..=MAX_SLOTS)?;
    Some(slots.map(|slots| slots as u32))
}

/// Every `nvdimm NAME { ... }` of a machine.
pub(super) fn nvdimms(reader: &mut Reader<'_>, nodes: &[Node]) -> Vec<Nvdimm> {
    let blocks = reader.blocks("nvdimm");
    blocks.into_iter().filter_map(|block| nvdimm(block, nodes, reader)).collect()
}

fn nvdimm(block: &EvaluatedNode, nodes: &[Node], outer: &Reader<'_>) -> Option<Nvdimm> {
    let mut reader = Reader::new(block, outer.report());
    let (name, size) = (own_name(&mut reader), reader.required::<ByteSize>("size"));
    let labels = reader.optional::<ByteSize>("lsa").map(|size| size.map(|size| size.0));
    let node = reader.optional::<Name>("node").map(|node| node.map(|node| node.0));
    reader.finish();
    let names = node_names(nodes);
    if let Some(unknown) = node.as_ref().filter(|node| !names.contains(&node.value.as_str())) {
        outer.error(unknown_node(unknown, &names));
    }
    let labels = labels.unwrap_or(Spanned::new(LABELS, block.head()));
    Some(Nvdimm { name: name?, size: size?.map(|size| size.0), labels, node, span: block.head() })
}
