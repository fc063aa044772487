//! Reads `disk`, `forward`, `join` and the top-level `network`.

use std::net::Ipv4Addr;

use super::value::own_name;
use crate::base::{ByteSize, Diagnostic, Spanned};
use crate::recipe::kinds::FromValue;
use crate::recipe::machine::device::{Attachment, Disk, DiskBus, Forward, Network};
use crate::recipe::reader::Reader;
use crate::recipe::scope::Scope;
use crate::recipe::value::{EvaluatedNode, Value};

/// Every `disk NAME { size = ... }` of a machine.
pub(super) fn disks(reader: &mut Reader<'_>) -> Vec<Disk> {
    let blocks = reader.blocks("disk");
    let read = |block: &EvaluatedNode| {
        let mut disk = Reader::new(block, reader.report());
        let (name, size) = (own_name(&mut disk), disk.required::<ByteSize>("size"));
        let word = disk.word("bus", &DiskBus::ALL.map(DiskBus::name));
        let bus = word.and_then(|word| DiskBus::ALL.into_iter().find(|bus| bus.name() == word.value));
        disk.finish();
        let size = size?.map(|size| size.0);
        Some(Disk { name: name?, size, bus: bus.unwrap_or_default(), span: block.head() })
    };
    blocks.into_iter().filter_map(read).collect()
}

/// A TCP port: a number, or `ssh`, `http`, `https`.
struct TcpPort(u16);

impl FromValue for TcpPort {
    const EXPECTED: &'static str = "a TCP port from 1 to 65535, or `ssh`, `http`, `https`";

    fn convert(value: &Value) -> Option<Self> {
        let port = match value {
            Value::Integer(number) => u16::try_from(*number).ok().filter(|port| *port > 0)?,
            Value::Name(name) if name == "ssh" => 22,
            Value::Name(name) if name == "http" => 80,
            Value::Name(name) if name == "https" => 443,
            _ => return None,
        };
        Some(TcpPort(port))
    }
}

/// Every `forward ssh = 2222` of a machine.
pub(super) fn forwards(reader: &mut Reader<'_>) -> Vec<Forward> {
    let statements = reader.statements("forward");
    let read = |statement: &EvaluatedNode| {
        let mut forward = Reader::new(statement, reader.report());
        let guest = forward.argument::<TcpPort>("a port of the guest");
        forward.finish();
        let Some(value) = &statement.value else {
            let mistake = Diagnostic::new(statement.head(), "a forwarded port needs a port of the host");
            reader.error(mistake.label("`= 2222` is missing").hint("write `forward ssh = 2222`"));
            return None;
        };
        let host = TcpPort::read(value, reader.report())?;
        Some(Forward { guest: guest?.map(|port| port.0), host: Spanned::new(host.0, value.span) })
    };
    statements.into_iter().filter_map(read).collect()
}

/// An IPv4 address in a text.
struct Address(Ipv4Addr);

impl FromValue for Address {
    const EXPECTED: &'static str = "an IPv4 address such as `\"10.52.0.10\"`";

    fn convert(value: &Value) -> Option<Self> {
        if let Value::Text(text) = value { text.parse().ok().map(Address) } else { None }
    }
}

/// Every `join NETWORK` and `join NETWORK { address = ... }` of a machine.
pub(super) fn attachments(reader: &mut Reader<'_>, scope: &Scope) -> Vec<Attachment> {
    let mut nodes = reader.blocks("join");
    nodes.extend(reader.statements("join"));
    nodes.sort_by_key(|node| node.span);
    let read = |node: &EvaluatedNode| {
        let mut join = Reader::new(node, reader.report());
        let network = join.name();
        let address = join.optional::<Address>("address").map(|address| address.map(|address| address.0));
        join.finish();
        let network = network.filter(|name| scope.resolves("network", name))?;
        let network = scope.networks.get(&network.value)?.clone();
        Some(Attachment { network, address, span: node.head() })
    };
    nodes.into_iter().filter_map(read).collect()
}

/// `10.52.0.0/24` in a text.
struct Subnet(Ipv4Addr, u8);

impl FromValue for Subnet {
    const EXPECTED: &'static str = "a subnet such as `\"10.52.0.0/24\"`, with a prefix of 8 to 30 bits";

    fn convert(value: &Value) -> Option<Self> {
        let Value::Text(text) = value else { return None };
        let (base, prefix) = text.split_once('/')?;
        let (base, prefix): (Ipv4Addr, u8) = (base.parse().ok()?, prefix.parse().ok()?);
        let host_bits = u32::MAX.checked_shr(prefix.into())?;
        ((8..=30).contains(&prefix) && u32::from(base) & host_bits == 0).then_some(Subnet(base, prefix))
    }

    fn hint(value: &Value) -> Option<String> {
        let Value::Text(text) = value else { return None };
        let (base, prefix) = text.split_once('/')?;
        let (base, prefix): (Ipv4Addr, u8) = (base.parse().ok()?, prefix.parse().ok()?);
        let host_bits = u32::MAX.checked_shr(prefix.into()).filter(|_| (8..=30).contains(&prefix))?;
        Some(format!("the first address of that subnet is {}", Ipv4Addr::from(u32::from(base) & !host_bits)))
    }
}

/// Reads a top-level `network NAME { subnet = "10.52.0.0/24" }`.
pub fn network(node: &EvaluatedNode, scope: &Scope) -> Option<Network> {
    let mut reader = Reader::new(node, &scope.report);
    let name = own_name(&mut reader);
    let subnet = reader.required::<Subnet>("subnet");
    reader.finish();
    let Subnet(base, prefix) = subnet?.value;
    Some(Network { name: name?.value, base, prefix, span: node.head() })
}
