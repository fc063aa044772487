//! `cxl { bridge ... window ... }`: the CXL topology as it was written.

use super::memory::{Memory, SharedMemory};
use crate::base::span::{Span, Spanned};
use crate::format::cdat::CdatTable;

/// The CXL part of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cxl {
    /// Host bridges in order.
    pub bridges: Vec<Bridge>,
    /// Fixed memory windows in order.
    pub windows: Vec<Window>,
    /// Where it was declared.
    pub span: Span,
}

/// `bridge NAME { ... }`: a CXL host bridge (QEMU: `pxb-cxl`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bridge {
    /// Its name.
    pub name: Spanned<String>,
    /// The PCI bus number of its root bus, when the recipe fixes it.
    pub bus: Option<Spanned<u32>>,
    /// With one root port: give the bridge real decoders instead of letting everything through.
    pub decoders: bool,
    /// Root ports in order.
    pub ports: Vec<Port>,
    /// Where it was declared.
    pub span: Span,
}

/// `port NAME { ... }` in a bridge (QEMU: `cxl-rp`) or in a switch (QEMU: `cxl-downstream`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: Spanned<String>,
    /// Its number within its parent, when the recipe fixes it.
    pub number: Option<Spanned<u32>>,
    /// What is plugged in: at most one thing works, which a rule checks so that the second can be pointed at.
    pub below: Vec<PortTarget>,
    /// Where it was declared.
    pub span: Span,
}

/// What a port leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortTarget {
    /// A memory device.
    Expander(Box<Expander>),
    /// A switch.
    Switch(Switch),
}

/// `switch NAME { mailbox = ... port ... }` (QEMU: `cxl-upstream` and `cxl-downstream`s).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switch {
    /// Its name.
    pub name: Spanned<String>,
    /// Whether it has a mailbox CCI, and where that was said.
    pub mailbox: Option<Span>,
    /// What it says of the performance of its ports, when the recipe says it.
    pub cdat: Option<Spanned<Cdat>>,
    /// Downstream ports in order.
    pub ports: Vec<Port>,
    /// Where it was declared.
    pub span: Span,
}

/// `expander NAME { ... }`: a type 3 memory device (QEMU: `cxl-type3`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expander {
    /// Its name, unique within the machine; also its QEMU id.
    pub name: Spanned<String>,
    /// Memory that forgets.
    pub volatile: Option<Spanned<Memory>>,
    /// Memory that remembers.
    pub persistent: Option<Spanned<Memory>>,
    /// Bytes of the label storage area.
    pub labels: Option<Spanned<u64>>,
    /// Memory that is handed out in extents.
    pub dynamic: Option<Dynamic>,
    /// Serial number; derived from the name when absent.
    pub serial: Option<Spanned<u64>>,
    /// Speed of its link in transfers a second, in QEMU's spelling: `2_5`, `5`, `8`, `16`, `32`, `64`.
    pub speed: Option<Spanned<String>>,
    /// Lanes of its link: 1, 2, 4, 8, 12, 16, 32.
    pub width: Option<Spanned<u32>>,
    /// Back-invalidation (HDM-DB).
    pub back_invalidate: Option<Span>,
    /// 256-byte flits.
    pub flit256: Option<Span>,
    /// What it says of the performance of its memory, when the recipe says it.
    pub cdat: Option<Spanned<Cdat>>,
    /// Where it was declared.
    pub span: Span,
}

/// `cdat = file "..."`: a Coherent Device Attribute Table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cdat {
    /// As the guest reads them.
    pub bytes: Vec<u8>,
    /// What they say.
    pub table: CdatTable,
}

/// Dynamic capacity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dynamic {
    /// All of it.
    pub memory: Spanned<Memory>,
    /// Regions it is divided into, 1 to 8.
    pub regions: Spanned<u32>,
}

/// `window NAME { targets = [...] size = ... granularity = ... }`: a fixed memory window (QEMU: `cxl-fmw.N`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Its name.
    pub name: Spanned<String>,
    /// Names of host bridges, in interleave order.
    pub targets: Vec<Spanned<String>>,
    /// Bytes of host physical address space.
    pub size: Spanned<u64>,
    /// Bytes that go to one target before the next one's turn.
    pub granularity: Spanned<u64>,
    /// Where it was declared.
    pub span: Span,
}

impl Cxl {
    /// Every expander with the bridge it is below, in order.
    pub fn expanders(&self) -> impl Iterator<Item = (&Bridge, &Expander)> {
        self.bridges.iter().flat_map(|bridge| {
            bridge.ports.iter().flat_map(|port| &port.below).flat_map(move |below| {
                let found: Vec<&Expander> = match below {
                    PortTarget::Expander(expander) => vec![expander],
                    PortTarget::Switch(switch) => switch.expanders().collect(),
                };
                found.into_iter().map(move |expander| (bridge, expander))
            })
        })
    }
}

impl Switch {
    /// Every expander below it, however deep the recipe nests switches.
    pub fn expanders(&self) -> Box<dyn Iterator<Item = &Expander> + '_> {
        Box::new(self.ports.iter().flat_map(|port| &port.below).flat_map(
            |below| -> Box<dyn Iterator<Item = &Expander> + '_> {
                match below {
                    PortTarget::Expander(expander) => Box::new(std::iter::once(expander.as_ref())),
                    PortTarget::Switch(switch) => switch.expanders(),
                }
            },
        ))
    }
}

impl Expander {
    /// Every kind of memory it has, in the order volatile, persistent, dynamic.
    pub fn memories(&self) -> impl Iterator<Item = &Spanned<Memory>> {
        let dynamic = self.dynamic.as_ref().map(|dynamic| &dynamic.memory);
        [self.volatile.as_ref(), self.persistent.as_ref(), dynamic].into_iter().flatten()
    }

    /// The memory shared with other machines that it shows, if any.
    pub fn shared(&self) -> Option<&SharedMemory> {
        self.memories().find_map(|memory| memory.value.shared.as_ref())
    }

    /// Bytes of all its kinds of memory; saturating, since sizes are only judged later.
    pub fn size(&self) -> u64 {
        self.memories().fold(0, |sum: u64, memory| sum.saturating_add(memory.value.size))
    }
}
