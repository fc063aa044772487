//! NUMA nodes of ordinary memory, distances, and memory that several machines share.

use crate::base::span::{Span, Spanned};

/// `node NAME { cpus = [...] memory = ... }`: a NUMA node, whose number is its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// CPUs by number; none makes it memory only.
    pub cpus: Vec<Spanned<u32>>,
    /// Its memory; none makes it CPUs only.
    pub memory: Option<Spanned<Memory>>,
    /// Caches in front of its memory; the first has level 1, the farthest from the CPUs.
    pub caches: Vec<MemoryCache>,
    /// Where it was declared.
    pub span: Span,
}

/// `cache { size = ... associativity = ... policy = ... line = ... }`: a memory side cache in ACPI's HMAT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryCache {
    /// Bytes.
    pub size: Spanned<u64>,
    /// Where a line may lie.
    pub associativity: Associativity,
    /// When a write reaches the memory.
    pub policy: WritePolicy,
    /// Bytes of a line.
    pub line: Spanned<u64>,
    /// Where it was declared.
    pub span: Span,
}

/// Where a line of memory may lie in a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Associativity {
    /// In one place.
    #[default]
    Direct,
    /// In one of several.
    Complex,
}

impl Associativity {
    /// Every one.
    pub const ALL: [Associativity; 2] = [Associativity::Direct, Associativity::Complex];

    /// The word of the recipe and of QEMU.
    pub fn name(self) -> &'static str {
        match self {
            Associativity::Direct => "direct",
            Associativity::Complex => "complex",
        }
    }
}

/// When a write to a cache reaches the memory behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WritePolicy {
    /// Once the line is evicted.
    #[default]
    WriteBack,
    /// At once.
    WriteThrough,
}

impl WritePolicy {
    /// Every one.
    pub const ALL: [WritePolicy; 2] = [WritePolicy::WriteBack, WritePolicy::WriteThrough];

    /// The word of the recipe and of QEMU.
    pub fn name(self) -> &'static str {
        match self {
            WritePolicy::WriteBack => "write-back",
            WritePolicy::WriteThrough => "write-through",
        }
    }
}

/// `distance A B = 21`: how far two nodes are from each other, both ways, in the units of ACPI's SLIT (10 is local).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distance {
    /// Name of a node.
    pub from: Spanned<String>,
    /// Name of another.
    pub to: Spanned<String>,
    /// 10 to 254.
    pub value: Spanned<u32>,
}

/// `latency A B = 100` or `bandwidth A B = 10GiB`: what a CPU of one node sees of the memory of another, or of a CXL host
/// bridge, in ACPI's HMAT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// What is said.
    pub kind: AttributeKind,
    /// Name of a node with CPUs.
    pub from: Spanned<String>,
    /// Name of a node with memory, which may be the same, or of a CXL host bridge.
    pub to: Spanned<String>,
    /// Nanoseconds, or bytes a second.
    pub value: Spanned<u64>,
}

/// What an [`Attribute`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AttributeKind {
    /// Nanoseconds until the first byte.
    Latency,
    /// Bytes a second.
    Bandwidth,
}

impl AttributeKind {
    /// Every one.
    pub const ALL: [AttributeKind; 2] = [AttributeKind::Latency, AttributeKind::Bandwidth];

    /// The word of the recipe.
    pub fn keyword(self) -> &'static str {
        match self {
            AttributeKind::Latency => "latency",
            AttributeKind::Bandwidth => "bandwidth",
        }
    }
}

/// `nvdimm NAME { size = ... lsa = ... node = ... }`: a persistent memory module in a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nvdimm {
    /// Its name, and its id in QEMU.
    pub name: Spanned<String>,
    /// Bytes that the guest can use; the label area comes on top.
    pub size: Spanned<u64>,
    /// Bytes of the label area.
    pub labels: Spanned<u64>,
    /// The node that it belongs to; the first when absent.
    pub node: Option<Spanned<String>>,
    /// Where it was declared.
    pub span: Span,
}

impl Nvdimm {
    /// Bytes of the file behind it: QEMU takes the label area off its end.
    pub fn file_size(&self) -> u64 {
        self.size.value.saturating_add(self.labels.value)
    }
}

/// Where memory can be plugged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemorySlots {
    /// How many modules fit, those of the recipe included.
    pub slots: u32,
    /// Bytes of all memory once every slot is full.
    pub total: u64,
}

/// Bytes, private to the machine or shared between machines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// Bytes.
    pub size: u64,
    /// The memory it is a view of, when it is shared.
    pub shared: Option<SharedMemory>,
}

/// `memory NAME { size = ... }`: one file that backs devices in several machines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedMemory {
    /// Its name.
    pub name: String,
    /// Where it was declared.
    pub span: Span,
}
