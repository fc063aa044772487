//! Rules about fixed memory windows.

use super::{Context, repeated};
use crate::base::{Arch, ByteSize, Diagnostic};
use crate::machine::address;
use crate::recipe::machine::cxl::Window;
use crate::recipe::nearest::suggest;

/// What windows and capacities are multiples of.
pub(super) const QUANTUM: u64 = 256 << 20;
const GRANULARITIES: [u64; 7] = [256, 512, 1 << 10, 2 << 10, 4 << 10, 8 << 10, 16 << 10];
const WAYS: [usize; 8] = [1, 2, 3, 4, 6, 8, 12, 16];

fn windows<'a>(context: &'a Context) -> impl Iterator<Item = &'a Window> {
    context.cxl().into_iter().flat_map(|cxl| &cxl.windows)
}

/// A size that is not a positive multiple of 256 MiB.
pub(super) fn size(context: &Context) -> Vec<Diagnostic> {
    let wrong = windows(context).filter(|window| window.size.value == 0 || !window.size.value.is_multiple_of(QUANTUM));
    let report = |window: &Window| {
        let size = ByteSize(window.size.value);
        let message = format!("window `{}` has {size}, which is not a multiple of 256MiB", window.name.value);
        Diagnostic::new(window.size.span, message)
            .label("must be a multiple of 256MiB")
            .hint(rounded(window.size.value))
    };
    wrong.map(report).collect()
}

/// The next legal size.
pub(super) fn rounded(size: u64) -> String {
    let up = size.max(1).checked_next_multiple_of(QUANTUM).unwrap_or(QUANTUM);
    format!("write `{}`", ByteSize(up))
}

/// A granularity that decoders cannot express.
pub(super) fn granularity(context: &Context) -> Vec<Diagnostic> {
    let wrong = windows(context).filter(|window| !GRANULARITIES.contains(&window.granularity.value));
    let report = |window: &Window| {
        let granularity = ByteSize(window.granularity.value);
        let message = format!("window `{}` cannot interleave by {granularity}", window.name.value);
        Diagnostic::new(window.granularity.span, message).label("one of 256B, 512B, 1KiB, 2KiB, 4KiB, 8KiB, 16KiB")
    };
    wrong.map(report).collect()
}

/// A number of targets that decoders cannot express.
pub(super) fn ways(context: &Context) -> Vec<Diagnostic> {
    let wrong = windows(context).filter(|window| !WAYS.contains(&window.targets.len()));
    let report = |window: &Window| {
        let message = format!("window `{}` has {} targets", window.name.value, window.targets.len());
        let span = window.targets.last().map_or(window.span, |last| window.targets[0].span.to(last.span));
        Diagnostic::new(span, message).label("must be 1, 2, 3, 4, 6, 8, 12 or 16")
    };
    wrong.map(report).collect()
}

/// A target that is not a host bridge.
pub(super) fn target(context: &Context) -> Vec<Diagnostic> {
    let Some(cxl) = context.cxl() else { return Vec::new() };
    let bridges: Vec<&str> = cxl.bridges.iter().map(|bridge| bridge.name.value.as_str()).collect();
    let targets = cxl.windows.iter().flat_map(|window| &window.targets);
    let wrong = targets.filter(|target| !bridges.contains(&target.value.as_str()));
    let report = |target: &crate::base::Spanned<String>| {
        let message = format!("unknown host bridge `{}`", target.value);
        let mut mistake = Diagnostic::new(target.span, message).label("a window leads to host bridges");
        mistake.hint = suggest(&target.value, &bridges);
        mistake
    };
    wrong.map(report).collect()
}

/// A bridge that is a target of one window twice.
pub(super) fn twice(context: &Context) -> Vec<Diagnostic> {
    let report = |window: &Window| {
        let targets = window.targets.iter().map(|target| (target.value.clone(), target.span));
        repeated(targets, |target| format!("window `{}` leads to `{target}` twice", window.name.value))
    };
    windows(context).flat_map(report).collect()
}

/// Windows, memory and the PCI hole beyond the CPU's last address.
pub(super) fn address_space(context: &Context) -> Vec<Diagnostic> {
    let machine = context.machine;
    let bits = address::bits(machine);
    let end = address::end(machine);
    let limit = 1u64.checked_shl(bits).unwrap_or(u64::MAX);
    if end <= limit {
        return Vec::new();
    }
    let last = windows(context).last();
    let span = last.map_or(machine.memory.span, |window| window.size.span);
    let message = format!("the machine needs addresses up to {}, and its CPU has {bits} bits", ByteSize(end).rounded());
    let limit = ByteSize(limit);
    let label = match machine.arch() {
        Arch::Amd64 => {
            format!("memory, windows and 32GiB for PCI must fit into {limit}, less AMD's range from 1012GiB on")
        }
        Arch::Arm64 => format!("memory begins at 1GiB and must fit into {limit}"),
    };
    vec![Diagnostic::new(span, message).label(label).hint("make windows or memory smaller")]
}

/// An interleaved window is emulated as MMIO even where others are mapped.
pub(super) fn interleaved(context: &Context) -> Vec<Diagnostic> {
    if context.machine.bounce {
        return Vec::new();
    }
    let report = |window: &Window| {
        let message = format!("window `{}` interleaves, so QEMU emulates every access to it", window.name.value);
        let mistake = Diagnostic::new(window.span, message).label("slow; a program that runs there stops the disk");
        mistake.hint("keep its region as device-dax, or write `bounce = true` in the machine")
    };
    windows(context).filter(|window| window.targets.len() > 1).map(report).collect()
}
