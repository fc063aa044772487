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
    /// Where it was declared.
    pub span: Span,
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

/// `latency A B = 100` or `bandwidth A B = 10GiB`: what a CPU of one node sees of the memory of another, in ACPI's HMAT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// What is said.
    pub kind: AttributeKind,
    /// Name of a node with CPUs.
    pub from: Spanned<String>,
    /// Name of a node with memory; it may be the same.
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
