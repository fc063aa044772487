//! Requests of one kernel that no configuration can fulfil together, found without its source.
//!
//! Input: a kernel with the options of its fragments and its own, which come last and win. Output: diagnostics at the
//! words that contradict others. What only Kconfig files tell is for the step `kernel-check`.

use std::collections::BTreeMap;

use super::{Compiled, OptionValue};
use crate::base::{Diagnostic, Span, Spanned};
use crate::recipe::report::Diagnostics;

/// Options of which exactly one is on (`choice` in init/Kconfig, kernel/Kconfig.hz, kernel/Kconfig.preempt,
/// kernel/time/Kconfig, lib/Kconfig.debug, mm/Kconfig, security/Kconfig.hardening, arch/Kconfig, arch/x86/Kconfig and
/// arch/x86/Kconfig.debug of Linux 5.10 to 6.12).
const CHOICES: &[&[&str]] = &[
    &["HZ_100", "HZ_250", "HZ_300", "HZ_1000"],
    &["HZ_PERIODIC", "NO_HZ_IDLE", "NO_HZ_FULL"],
    &["PREEMPT_NONE", "PREEMPT_VOLUNTARY", "PREEMPT", "PREEMPT_LAZY"],
    &["KERNEL_GZIP", "KERNEL_BZIP2", "KERNEL_LZMA", "KERNEL_XZ", "KERNEL_LZO", "KERNEL_LZ4", "KERNEL_ZSTD"],
    &["CC_OPTIMIZE_FOR_PERFORMANCE", "CC_OPTIMIZE_FOR_SIZE"],
    &["DEBUG_INFO_NONE", "DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT", "DEBUG_INFO_DWARF4", "DEBUG_INFO_DWARF5"],
    &["TRANSPARENT_HUGEPAGE_ALWAYS", "TRANSPARENT_HUGEPAGE_MADVISE", "TRANSPARENT_HUGEPAGE_NEVER"],
    &["UNWINDER_ORC", "UNWINDER_FRAME_POINTER", "UNWINDER_GUESS"],
    &["LTO_NONE", "LTO_CLANG_FULL", "LTO_CLANG_THIN"],
    &["INIT_STACK_NONE", "INIT_STACK_ALL_PATTERN", "INIT_STACK_ALL_ZERO"],
    &["LEGACY_VSYSCALL_XONLY", "LEGACY_VSYSCALL_NONE"],
];

/// Reports what a kernel asks for in vain.
pub(super) fn report(kernel: &Spanned<String>, compiled: &Compiled, report: &Diagnostics) {
    let asked = asked(compiled);
    if !compiled.modules {
        let modules = asked.iter().filter(|(_, (value, _))| **value == OptionValue::Module);
        modules.for_each(|(name, (_, span))| report.push(without_modules(kernel, name, *span)));
    }
    for choice in CHOICES {
        let on: Vec<(&str, Span)> = choice
            .iter()
            .filter_map(|name| Some((*name, asked.get(name)?)))
            .filter(|(_, (value, _))| **value == OptionValue::Yes)
            .map(|(name, (_, span))| (name, *span))
            .collect();
        if let [first, second, ..] = on[..] {
            report.push(both(kernel, first, second));
        }
    }
}

/// The last word on each option.
fn asked(compiled: &Compiled) -> BTreeMap<&str, (&OptionValue, Span)> {
    let blocks = compiled.configs.iter().flat_map(|block| [&block.options, &block.require]);
    let all = blocks.chain([&compiled.options, &compiled.require]).flatten();
    all.map(|(name, value)| (name.as_str(), (&value.value, value.span))).collect()
}

fn without_modules(kernel: &Spanned<String>, name: &str, span: Span) -> Diagnostic {
    let message = format!("kernel `{}` has no modules, so `{name}` cannot be one", kernel.value);
    let wrong = Diagnostic::new(span, message).label("a module").related(kernel.span, "without `modules = true`");
    wrong.hint(format!("write `option {name} = y`, or `modules = true` in the kernel"))
}

fn both(kernel: &Spanned<String>, first: (&str, Span), second: (&str, Span)) -> Diagnostic {
    let message =
        format!("kernel `{}` cannot have both `{}` and `{}`: one of them is chosen", kernel.value, first.0, second.0);
    let wrong = Diagnostic::new(second.1, message).label(format!("`{}` here", second.0));
    let wrong = wrong.related(first.1, format!("`{}` here", first.0));
    wrong.hint(format!("remove one of the two, or write `option {} = n` in the kernel", first.0))
}
