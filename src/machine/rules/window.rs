//! Rules about fixed memory windows.

use super::region::{WAYS, bridges, distinct, leads_to, takes_a_region};
use super::spare::QUANTUM;
use super::{Context, repeated, spare};
use crate::base::{Arch, ByteSize, Diagnostic, Spanned};
use crate::machine::address;
use crate::recipe::machine::cxl::{Cxl, Window};
use crate::recipe::nearest::nearest;

const GRANULARITIES: [u64; 7] = [256, 512, 1 << 10, 2 << 10, 4 << 10, 8 << 10, 16 << 10];

fn windows<'a>(context: &'a Context) -> impl Iterator<Item = &'a Window> {
    context.cxl().into_iter().flat_map(|cxl| &cxl.windows)
}

fn is_good_size(window: &Window) -> bool {
    window.size.value != 0 && window.size.value.is_multiple_of(QUANTUM)
}

/// Whether every window has a size that it may have.
pub(super) fn has_good_sizes(cxl: &Cxl) -> bool {
    cxl.windows.iter().all(is_good_size)
}

/// A size that is not a positive multiple of 256 MiB.
pub(super) fn size(context: &Context) -> Vec<Diagnostic> {
    let Some(cxl) = context.cxl() else { return Vec::new() };
    let report = |window: &Window| {
        let size = ByteSize(window.size.value);
        let message = match window.size.value {
            0 => format!("window `{}` has no size", window.name.value),
            _ => format!("window `{}` has {size}, which is not a multiple of 256MiB", window.name.value),
        };
        let mistake = Diagnostic::new(window.size.span, message).label("must be a multiple of 256MiB");
        mistake.hint(format!("write `size = {}`", ByteSize(needed(cxl, window))))
    };
    windows(context).filter(|window| !is_good_size(window)).map(report).collect()
}

/// The next legal size; a window that is the only one to its bridges gets room for all that is behind them.
fn needed(cxl: &Cxl, window: &Window) -> u64 {
    let others = |at: &str| {
        cxl.windows.iter().any(|other| !std::ptr::eq(other, window) && other.targets.iter().any(|t| t.value == at))
    };
    let shared = window.targets.iter().any(|target| others(&target.value)) || !takes_a_region(cxl, window);
    let behind = cxl.expanders().filter(|(bridge, _)| !shared && leads_to(window, bridge));
    let bytes = behind.fold(0u64, |sum, (_, expander)| {
        expander.memories().fold(sum, |sum, memory| sum.saturating_add(spare::whole(memory.value.size)))
    });
    spare::whole(window.size.value).max(bytes)
}

/// A granularity that decoders cannot express.
pub(super) fn granularity(context: &Context) -> Vec<Diagnostic> {
    let wrong = windows(context).filter(|window| !GRANULARITIES.contains(&window.granularity.value));
    let report = |window: &Window| {
        let wanted = window.granularity.value;
        let near = GRANULARITIES.into_iter().find(|legal| *legal >= wanted).unwrap_or(16 << 10);
        let message = format!("window `{}` cannot interleave by {}", window.name.value, ByteSize(wanted));
        let mistake = Diagnostic::new(window.granularity.span, message);
        let mistake = mistake.label("one of 256B, 512B, 1KiB, 2KiB, 4KiB, 8KiB, 16KiB");
        mistake.hint(format!("write `granularity = {}`", ByteSize(near)))
    };
    wrong.map(report).collect()
}

/// A number of targets that decoders cannot express. One that is there twice is told of by another rule.
pub(super) fn ways(context: &Context) -> Vec<Diagnostic> {
    let Some(cxl) = context.cxl() else { return Vec::new() };
    let wrong = windows(context).filter(|window| !WAYS.contains(&distinct(window).len()));
    let report = |window: &Window| {
        let targets = distinct(window);
        let message = match targets.len() {
            0 => format!("window `{}` has no targets", window.name.value),
            count => format!("window `{}` has {count} targets", window.name.value),
        };
        let span = window.targets.last().map_or(window.span, |last| window.targets[0].span.to(last.span));
        let most = WAYS.into_iter().rfind(|ways| *ways <= targets.len()).unwrap_or(0);
        let hint = match (bridges(cxl).first(), most) {
            (Some(bridge), 0) => format!("write `targets = [{bridge}]`"),
            (None, 0) => "add a `bridge`, and write its name in `targets`".to_owned(),
            _ => {
                let (fits, others) = targets.split_at(most);
                let (fits, list) = (spare::list(fits.iter().copied()), spare::list(others.iter().copied()));
                let taken = cxl.windows.iter().map(|window| window.name.value.as_str()).collect();
                let name = spare::name("w0", &taken);
                let behind = cxl.expanders().filter(|(bridge, _)| others.contains(&bridge.name.value.as_str()));
                let size = behind.fold(0u64, |sum, (_, expander)| sum.saturating_add(expander.size()));
                let size = ByteSize(spare::whole(size));
                format!("write `targets = {fits}`, and add `window {name} {{ targets = {list} size = {size} }}`")
            }
        };
        Diagnostic::new(span, message).label("must be 1, 2, 3, 4, 6, 8, 12 or 16").hint(hint)
    };
    wrong.map(report).collect()
}

/// A target that is not a host bridge.
pub(super) fn target(context: &Context) -> Vec<Diagnostic> {
    let Some(cxl) = context.cxl() else { return Vec::new() };
    let bridges = bridges(cxl);
    let report = |window: &Window, target: &Spanned<String>| {
        let message = format!("unknown host bridge `{}`", target.value);
        let taken = distinct(window);
        let free: Vec<&str> = bridges.iter().copied().filter(|bridge| !taken.contains(bridge)).collect();
        let hint = match (nearest(&target.value, free.iter().copied()), &free[..]) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, []) if taken.len() > 1 => format!("remove it, or add `bridge {} {{ ... }}`", target.value),
            (None, []) => format!("add `bridge {} {{ ... }}`", target.value),
            (None, free) => format!("write one of: {}", spare::named(free)),
        };
        Diagnostic::new(target.span, message).label("a window leads to host bridges").hint(hint)
    };
    let unknown = |window: &'_ Window| {
        let wrong = window.targets.iter().filter(|target| !bridges.contains(&target.value.as_str()));
        wrong.map(|target| report(window, target)).collect::<Vec<_>>()
    };
    cxl.windows.iter().flat_map(unknown).collect()
}

/// A bridge that is a target of one window twice.
pub(super) fn twice(context: &Context) -> Vec<Diagnostic> {
    let report = |window: &Window| {
        let targets = window.targets.iter().map(|target| (target.value.clone(), target.span));
        let hint = format!("write `targets = {}`", spare::list(distinct(window)));
        repeated(targets, |target| (format!("window `{}` leads to `{target}` twice", window.name.value), hint.clone()))
    };
    windows(context).flat_map(report).collect()
}

/// Windows, memory and the PCI hole beyond the CPU's last address.
pub(super) fn address_space(context: &Context) -> Vec<Diagnostic> {
    let machine = context.machine;
    let bits = address::bits(machine);
    let end = address::end(machine);
    let limit = address::limit(machine);
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
    let smaller = ByteSize(address::excess(machine).next_multiple_of(QUANTUM));
    let what = if last.is_some() { "windows or memory" } else { "the memory" };
    vec![Diagnostic::new(span, message).label(label).hint(format!("make {what} smaller by {smaller}"))]
}

/// An interleaved window is emulated as MMIO even where others are mapped.
pub(super) fn interleaved(context: &Context) -> Vec<Diagnostic> {
    if context.machine.bounce {
        return Vec::new();
    }
    let report = |window: &Window| {
        let message = format!("window `{}` interleaves, so QEMU emulates every access to it", window.name.value);
        let mistake = Diagnostic::new(window.span, message).label("slow; a program that runs there stops the disk");
        mistake.hint("write `bounce = true` in the machine, or keep its region as device-dax")
    };
    windows(context).filter(|window| window.targets.len() > 1).map(report).collect()
}
