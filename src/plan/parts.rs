//! What steps leave behind for those that put a machine together.

use super::{ArtifactKind, Input};

/// What a kernel's steps leave behind.
#[derive(Debug, Clone)]
pub struct KernelParts {
    /// The bootable kernel.
    pub vmlinuz: Input,
    /// Its final configuration, unless a build left the kernel without it.
    pub config: Option<Input>,
    /// Its modules below `usr/lib/modules`, if it has any.
    pub modules: Option<Input>,
    /// Its initramfs, if it needs one to mount the root.
    pub initrd: Option<Input>,
    /// What gdb reads.
    pub debug: Vec<(ArtifactKind, Input)>,
}
