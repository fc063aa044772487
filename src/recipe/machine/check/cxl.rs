//! Reads `cxl { bridge ... window ... }`.

use super::cdat::{CdatOwner, cdat};
use super::value::{flag, memory, names, own_name};
use crate::base::{ByteSize, Diagnostic, Spanned};
use crate::recipe::machine::cxl::{Bridge, Cxl, Dynamic, Expander, Port, PortTarget, Switch, Window};
use crate::recipe::reader::Reader;
use crate::recipe::scope::Scope;
use crate::recipe::value::EvaluatedNode;

/// What QEMU gives a persistent device when nothing is said: the smallest label area that Linux accepts.
const LABELS: u64 = 128 << 10;
const GRANULARITY: u64 = 256;
/// Switches may be nested this deep in the text; a rule says that one level is what works.
const DEPTH: u32 = 8;

/// Reads the block; mistakes go to the report and the rest is kept, so that every mistake is found.
pub(super) fn check(node: &EvaluatedNode, scope: &Scope) -> Cxl {
    let mut reader = Reader::new(node, &scope.report);
    let bridges = reader.blocks("bridge").into_iter().filter_map(|block| bridge(block, scope)).collect();
    let windows = reader.blocks("window").into_iter().filter_map(|block| window(block, scope)).collect();
    reader.finish();
    Cxl { bridges, windows, span: node.head() }
}

fn bridge(node: &EvaluatedNode, scope: &Scope) -> Option<Bridge> {
    let mut reader = Reader::new(node, &scope.report);
    let name = own_name(&mut reader);
    let bus = reader.integer("bus", 0..=255).map(|bus| bus.map(|bus| bus as u32));
    let decoders = reader.or("decoders", false);
    let ports = reader.blocks("port").into_iter().filter_map(|block| port(block, scope, DEPTH)).collect();
    reader.finish();
    Some(Bridge { name: name?, bus, decoders, ports, span: node.head() })
}

fn port(node: &EvaluatedNode, scope: &Scope, depth: u32) -> Option<Port> {
    let mut reader = Reader::new(node, &scope.report);
    let name = own_name(&mut reader);
    let number = reader.integer("number", 0..=31).map(|number| number.map(|number| number as u32));
    let (expanders, switches) = (reader.blocks("expander"), reader.blocks("switch"));
    reader.finish();
    let expanders =
        expanders.into_iter().filter_map(|block| expander(block, scope)).map(|one| PortTarget::Expander(Box::new(one)));
    let switches = switches.into_iter().filter_map(|block| switch(block, scope, depth)).map(PortTarget::Switch);
    Some(Port { name: name?, number, below: expanders.chain(switches).collect(), span: node.head() })
}

fn switch(node: &EvaluatedNode, scope: &Scope, depth: u32) -> Option<Switch> {
    let mut reader = Reader::new(node, &scope.report);
    let name = own_name(&mut reader);
    let mailbox = flag(&mut reader, "mailbox");
    let cdat = cdat(&mut reader, CdatOwner::Switch, scope);
    let blocks = reader.blocks("port");
    reader.finish();
    if depth == 0 {
        let mistake = Diagnostic::new(node.head(), "switches are nested too deep").label("a switch in too many others");
        scope.report.push(mistake.hint("plug its expanders into ports of a switch of a root port"));
        return None;
    }
    let ports = blocks.into_iter().filter_map(|block| port(block, scope, depth - 1)).collect();
    Some(Switch { name: name?, mailbox, cdat, ports, span: node.head() })
}

fn expander(node: &EvaluatedNode, scope: &Scope) -> Option<Expander> {
    let mut reader = Reader::new(node, &scope.report);
    let name = own_name(&mut reader);
    let volatile = memory(&mut reader, "volatile", scope);
    let persistent = memory(&mut reader, "persistent", scope);
    let labels = reader.optional::<ByteSize>("lsa").map(|size| size.map(|size| size.0));
    let default_labels = persistent.as_ref().map(|persistent| Spanned::new(LABELS, persistent.span));
    let dynamic = memory(&mut reader, "dynamic", scope);
    let regions = reader.integer("regions", 1..=8).map(|regions| regions.map(|regions| regions as u32));
    if let (None, Some(regions)) = (&dynamic, &regions) {
        let mistake = Diagnostic::new(regions.span, "`regions` divides dynamic capacity, and there is none");
        reader.error(mistake.label("no `dynamic` in this expander").hint(match regions.value {
            regions @ 1..=8 => format!("remove `regions`, or add `dynamic = {}MiB`", 256 * regions),
            _ => "remove `regions`".to_owned(),
        }));
    }
    let serial = reader.integer("serial", 0..=i64::MAX).map(|serial| serial.map(|serial| serial as u64));
    let expander = Expander {
        name: Spanned::new(String::new(), node.head()),
        dynamic: dynamic.map(|memory| {
            let span = memory.span;
            Dynamic { memory, regions: regions.unwrap_or(Spanned::new(1, span)) }
        }),
        volatile,
        persistent,
        labels: labels.or(default_labels),
        serial,
        speed: link(&mut reader, "speed", &["2_5", "5", "8", "16", "32", "64"]),
        width: width(&mut reader),
        back_invalidate: flag(&mut reader, "back-invalidate"),
        flit256: flag(&mut reader, "flit256"),
        cdat: cdat(&mut reader, CdatOwner::Expander, scope),
        span: node.head(),
    };
    reader.finish();
    Some(Expander { name: name?, ..expander })
}

/// Link speed and width as QEMU's `PCIELinkSpeed` and `PCIELinkWidth` (qapi/common.json) spell them.
fn link(reader: &mut Reader<'_>, field: &'static str, words: &[&str]) -> Option<Spanned<String>> {
    let speed = reader.optional::<String>(field)?;
    if words.contains(&speed.value.as_str()) {
        return Some(speed);
    }
    let mistake = Diagnostic::new(speed.span, format!("`{}` is not a link {field}", speed.value));
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    let hint = format!("write one of {}, or remove `{field}`", quoted.join(", "));
    reader.error(mistake.label("in GT/s, as QEMU spells them").hint(hint));
    None
}

fn width(reader: &mut Reader<'_>) -> Option<Spanned<u32>> {
    let width = reader.integer("width", 1..=32)?;
    if [1, 2, 4, 8, 12, 16, 32].contains(&width.value) {
        return Some(width.map(|width| width as u32));
    }
    let near = [1, 2, 4, 8, 12, 16, 32].into_iter().find(|legal| *legal >= width.value).unwrap_or(32);
    let message = format!("a link cannot have {} lanes", width.value);
    let mistake = Diagnostic::new(width.span, message).label("1, 2, 4, 8, 12, 16 or 32");
    reader.error(mistake.hint(format!("write `width = {near}`")));
    None
}

fn window(node: &EvaluatedNode, scope: &Scope) -> Option<Window> {
    let mut reader = Reader::new(node, &scope.report);
    let name = own_name(&mut reader);
    let targets = names(&mut reader, "targets");
    if targets.is_empty() && !node.children.iter().any(|child| child.keyword.value == "targets") {
        reader.missing("targets", "the bridges that it leads to");
    }
    let size = reader.required::<ByteSize>("size").map(|size| size.map(|size| size.0));
    let granularity = reader.optional::<ByteSize>("granularity").map(|size| size.map(|size| size.0));
    reader.finish();
    let granularity = granularity.unwrap_or(Spanned::new(GRANULARITY, node.head()));
    Some(Window { name: name?, targets, size: size?, granularity, span: node.head() })
}
