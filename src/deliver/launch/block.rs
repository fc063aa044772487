//! From the words of `launch.json` to the blocks of a recipe, for the reader of recipes to judge.
//!
//! Names go in as texts, which that reader takes for names only when they are; where a bare name is told from a size,
//! the name must be that of a declared block.

use super::wire;
use crate::base::{Arch, Digest, Span, Spanned};
use crate::recipe::machine::{Chipset, Firmware};
use crate::recipe::value::{EvaluatedNode, Value};

/// Makes blocks that stand nowhere.
#[derive(Clone, Copy)]
pub(super) struct Maker {
    /// What reports point at.
    pub(super) nowhere: Span,
}

/// The kernel, the image and the package of QEMU that stand in for a recipe's; no argv depends on them.
pub(super) const STAND_INS: [(&str, &str); 2] = [("kernel", "k"), ("image", "i")];

/// The name by which the reader of recipes finds a table of performance.
pub(super) fn table_key(base64: &str) -> String {
    format!("cdat {}", Digest::of(base64.as_bytes()).short())
}

/// Pushes a field when there is one.
fn some(children: &mut Vec<EvaluatedNode>, field: Option<EvaluatedNode>) {
    children.extend(field);
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn number(number: u32) -> Value {
    Value::Integer(number.into())
}

impl Maker {
    fn at<T>(self, value: T) -> Spanned<T> {
        Spanned::new(value, self.nowhere)
    }

    fn field(self, keyword: &str, value: Value) -> EvaluatedNode {
        let (keyword, value) = (self.at(keyword.to_owned()), Some(self.at(value)));
        EvaluatedNode { keyword, arguments: Vec::new(), value, children: Vec::new(), block: false, span: self.nowhere }
    }

    fn statement(self, keyword: &str, arguments: Vec<Value>, value: Value) -> EvaluatedNode {
        EvaluatedNode {
            arguments: arguments.into_iter().map(|one| self.at(one)).collect(),
            ..self.field(keyword, value)
        }
    }

    fn block(self, keyword: &str, name: Option<&str>, children: Vec<EvaluatedNode>) -> EvaluatedNode {
        let (keyword, arguments) = (self.at(keyword.to_owned()), name.map(|name| self.at(text(name))));
        let arguments = arguments.into_iter().collect();
        EvaluatedNode { keyword, arguments, value: None, children, block: true, span: self.nowhere }
    }

    fn list(self, values: impl Iterator<Item = Value>) -> Value {
        Value::List(values.map(|value| self.at(value)).collect())
    }

    /// `network NAME { subnet = ... }`
    pub(super) fn network(self, network: &wire::Network) -> EvaluatedNode {
        self.block("network", Some(&network.name), vec![self.field("subnet", text(&network.subnet))])
    }

    /// `memory NAME { size = ... }`
    pub(super) fn shared_memory(self, memory: &wire::SharedMemory) -> EvaluatedNode {
        self.block("memory", Some(&memory.name), vec![self.field("size", Value::Size(memory.size))])
    }

    /// `join NETWORK { address = ... }`
    pub(super) fn join(self, network: &str, address: std::net::Ipv4Addr) -> EvaluatedNode {
        self.block("join", Some(network), vec![self.field("address", text(&address.to_string()))])
    }

    /// A machine of which nothing is known but its networks.
    pub(super) fn neighbour(self, name: &str, joins: Vec<EvaluatedNode>) -> EvaluatedNode {
        let mut children = self.stand_ins();
        children.extend(joins);
        self.block("machine", Some(name), children)
    }

    fn stand_ins(self) -> Vec<EvaluatedNode> {
        let qemu = Arch::default().facts().qemu.package;
        let package = Value::Call(self.at("package".to_owned()), vec![self.at(text(qemu))]);
        let references = STAND_INS.map(|(kind, name)| self.field(kind, text(name)));
        references.into_iter().chain([self.field("qemu", package)]).collect()
    }

    /// `machine NAME { ... }`
    pub(super) fn machine(self, machine: &wire::Machine, joins: Vec<EvaluatedNode>) -> EvaluatedNode {
        let mut children = self.stand_ins();
        let chipset = match machine.r#type {
            wire::Chipset::Q35 => Chipset::Q35,
            wire::Chipset::Pc => Chipset::I440fx,
            wire::Chipset::Virt => Chipset::Virt,
        };
        let (firmware, needed) = match machine.firmware {
            wire::Firmware::Direct => ("direct", Firmware::Direct.packages()),
            wire::Firmware::Seabios => ("seabios", Firmware::Seabios.packages()),
            wire::Firmware::Uefi => ("uefi", Firmware::Uefi.packages()),
        };
        let boot = self.list(needed.iter().map(|package| text(package)));
        some(&mut children, (!needed.is_empty()).then(|| self.field("boot", boot)));
        children.extend([
            self.field("architecture", text(chipset.arch().facts().debian)),
            self.field("type", text(chipset.name())),
            self.field("firmware", text(firmware)),
            self.field("cpus", number(machine.cpus)),
            self.field("memory", Value::Size(machine.memory)),
            self.field("cpu", text(&machine.cpu)),
            self.field("append", self.list(machine.append.iter().map(|word| text(word)))),
            self.field("qemu-args", self.list(machine.qemu_args.iter().map(|word| text(word)))),
            self.field("user-network", Value::Boolean(machine.user_network)),
            self.field("bounce", Value::Boolean(machine.bounce)),
            self.field("rng", Value::Boolean(machine.rng)),
        ]);
        some(&mut children, machine.max_memory.map(|bytes| self.field("max-memory", Value::Size(bytes))));
        some(&mut children, machine.memory_slots.map(|slots| self.field("memory-slots", number(slots))));
        children.extend(machine.nodes.iter().map(|node| self.node(node)));
        children.extend(machine.nvdimms.iter().map(|module| {
            let mut children =
                vec![self.field("size", Value::Size(module.size)), self.field("lsa", Value::Size(module.lsa))];
            some(&mut children, module.node.as_ref().map(|node| self.field("node", text(node))));
            self.block("nvdimm", Some(&module.name), children)
        }));
        children.extend(machine.distances.iter().map(|distance| {
            let ends = vec![text(&distance.from), text(&distance.to)];
            self.statement("distance", ends, number(distance.value))
        }));
        children.extend(self.attributes(machine));
        some(&mut children, machine.cxl.as_ref().map(|cxl| self.cxl(cxl)));
        let disk = |disk: &wire::Disk| {
            let bus = disk.bus.as_ref().map(|bus| self.field("bus", text(bus)));
            std::iter::once(self.field("size", Value::Size(disk.size))).chain(bus).collect()
        };
        children.extend(machine.disks.iter().map(|one| self.block("disk", Some(&one.name), disk(one))));
        children.extend(
            machine.forwards.iter().map(|forward| {
                self.statement("forward", vec![number(forward.guest.into())], number(forward.host.into()))
            }),
        );
        children.extend(joins);
        self.block("machine", Some(&machine.name), children)
    }

    fn attributes(self, machine: &wire::Machine) -> Vec<EvaluatedNode> {
        let statement = |keyword: &str, attribute: &wire::Attribute, value: Value| {
            self.statement(keyword, vec![text(&attribute.from), text(&attribute.to)], value)
        };
        // A latency that no machine has is refused by the reader; it must only fit into its type.
        let nanoseconds = |value: u64| Value::Integer(i64::try_from(value).unwrap_or(i64::MAX));
        let latencies = machine.latencies.iter().map(|one| statement("latency", one, nanoseconds(one.value)));
        let bandwidths = machine.bandwidths.iter().map(|one| statement("bandwidth", one, Value::Size(one.value)));
        latencies.chain(bandwidths).collect()
    }

    fn memory(self, field: &str, memory: &wire::Memory) -> EvaluatedNode {
        self.field(
            field,
            match memory {
                wire::Memory::Size(bytes) => Value::Size(*bytes),
                wire::Memory::Shared(name) => Value::Name(name.clone()),
            },
        )
    }

    fn node(self, node: &wire::Node) -> EvaluatedNode {
        let cpus = self.list(node.cpus.iter().map(|cpu| number(*cpu)));
        let mut children = vec![self.field("cpus", cpus)];
        some(&mut children, node.memory.as_ref().map(|memory| self.memory("memory", memory)));
        children.extend(node.caches.iter().map(|cache| {
            let children = vec![
                self.field("size", Value::Size(cache.size)),
                self.field("associativity", text(&cache.associativity)),
                self.field("policy", text(&cache.policy)),
                self.field("line", Value::Size(cache.line)),
            ];
            self.block("cache", None, children)
        }));
        self.block("node", Some(&node.name), children)
    }

    fn cxl(self, cxl: &wire::Cxl) -> EvaluatedNode {
        let bridges = cxl.bridges.iter().map(|bridge| {
            let mut children = vec![self.field("decoders", Value::Boolean(bridge.decoders))];
            some(&mut children, bridge.bus.map(|bus| self.field("bus", number(bus))));
            children.extend(bridge.ports.iter().map(|port| self.port(port)));
            self.block("bridge", Some(&bridge.name), children)
        });
        let windows = cxl.windows.iter().map(|window| {
            let targets = self.list(window.targets.iter().map(|target| text(target)));
            let children = vec![
                self.field("targets", targets),
                self.field("size", Value::Size(window.size)),
                self.field("granularity", Value::Size(window.granularity)),
            ];
            self.block("window", Some(&window.name), children)
        });
        self.block("cxl", None, bridges.chain(windows).collect())
    }

    fn port(self, port: &wire::Port) -> EvaluatedNode {
        let mut children = Vec::new();
        some(&mut children, port.number.map(|at| self.field("number", number(at))));
        some(&mut children, port.expander.as_ref().map(|expander| self.expander(expander)));
        some(
            &mut children,
            port.switch.as_ref().map(|switch| {
                let mut children = vec![self.field("mailbox", Value::Boolean(switch.mailbox))];
                some(&mut children, switch.cdat.as_ref().map(|cdat| self.table(cdat)));
                children.extend(switch.ports.iter().map(|port| self.port(port)));
                self.block("switch", Some(&switch.name), children)
            }),
        );
        self.block("port", Some(&port.name), children)
    }

    fn table(self, base64: &str) -> EvaluatedNode {
        self.field("cdat", Value::File(table_key(base64)))
    }

    fn expander(self, expander: &wire::Expander) -> EvaluatedNode {
        let mut children = vec![
            self.field("back-invalidate", Value::Boolean(expander.back_invalidate)),
            self.field("flit256", Value::Boolean(expander.flit256)),
        ];
        let kinds =
            [("volatile", &expander.volatile), ("persistent", &expander.persistent), ("dynamic", &expander.dynamic)];
        children.extend(kinds.into_iter().filter_map(|(field, memory)| Some(self.memory(field, memory.as_ref()?))));
        some(&mut children, expander.lsa.map(|bytes| self.field("lsa", Value::Size(bytes))));
        some(&mut children, expander.regions.map(|regions| self.field("regions", number(regions))));
        some(&mut children, expander.serial.map(|serial| self.field("serial", Value::Hex(serial))));
        some(&mut children, expander.speed.as_ref().map(|speed| self.field("speed", text(speed))));
        some(&mut children, expander.width.map(|width| self.field("width", number(width))));
        some(&mut children, expander.cdat.as_ref().map(|cdat| self.table(cdat)));
        self.block("expander", Some(&expander.name), children)
    }
}
