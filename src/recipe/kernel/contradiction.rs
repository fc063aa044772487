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

/// Reports what a kernel asks for in vain. No message names the kernel: what one says for all that extend it is said once.
pub(super) fn report(kernel: &Spanned<String>, compiled: &Compiled, report: &Diagnostics) {
    let asked = asked(compiled);
    if !compiled.modules {
        let modules = asked.iter().filter(|(_, statement)| *statement.value == OptionValue::Module);
        modules.for_each(|(name, statement)| report.push(without_modules(kernel, name, *statement)));
    }
    for name in compiled.needs() {
        if let Some(statement) = asked.get(name).filter(|statement| *statement.value == OptionValue::No) {
            report.push(off(kernel, name, *statement));
        }
    }
    for choice in CHOICES {
        let on: Vec<(&str, Span)> = choice
            .iter()
            .filter_map(|name| Some((*name, asked.get(name)?)))
            .filter(|(_, statement)| *statement.value == OptionValue::Yes)
            .map(|(name, statement)| (name, statement.span))
            .collect();
        if let [first, second, ..] = on[..] {
            report.push(both(kernel, first, second));
        }
    }
}

/// What is said of an option.
#[derive(Clone, Copy)]
struct OptionStatement<'a> {
    /// `option` or `require`.
    keyword: &'static str,
    value: &'a OptionValue,
    span: Span,
}

/// The last word on each option.
fn asked(compiled: &Compiled) -> BTreeMap<&str, OptionStatement<'_>> {
    let blocks = compiled.configs.iter().map(|block| (&block.options, &block.require));
    let all = blocks.chain([(&compiled.options, &compiled.require)]);
    let all = all.flat_map(|(options, require)| [("option", options), ("require", require)]);
    let stated = all.flat_map(|(keyword, options)| {
        options.iter().map(move |(name, value)| {
            (name.as_str(), OptionStatement { keyword, value: &value.value, span: value.span })
        })
    });
    stated.collect()
}

fn without_modules(kernel: &Spanned<String>, name: &str, statement: OptionStatement<'_>) -> Diagnostic {
    let message = format!("`{name}` cannot be a module in a kernel without modules");
    let wrong = Diagnostic::new(statement.span, message).label("a module");
    let wrong = wrong.related(kernel.span, "without `modules = true`");
    wrong.hint(format!("write `{} {name} = y`, or `modules = true` in the kernel", statement.keyword))
}

fn off(kernel: &Spanned<String>, name: &str, statement: OptionStatement<'_>) -> Diagnostic {
    let (because, instead) = match name {
        "DEBUG_INFO_BTF" => ("btf = true", "btf = false"),
        _ => ("modules = true", "modules = false"),
    };
    let message = format!("`{name}` cannot be off in a kernel with `{because}`");
    let wrong = Diagnostic::new(statement.span, message).label("off");
    let wrong = wrong.related(kernel.span, format!("with `{because}`"));
    wrong.hint(format!("remove `{} {name} = n`, or write `{instead}` in the kernel", statement.keyword))
}

fn both(kernel: &Spanned<String>, first: (&str, Span), second: (&str, Span)) -> Diagnostic {
    let message = format!("`{}` and `{}` cannot both be on: one of them is chosen", first.0, second.0);
    let wrong = Diagnostic::new(second.1, message).label(format!("`{}` here", second.0));
    let wrong = wrong.related(first.1, format!("`{}` here", first.0)).related(kernel.span, "in this kernel");
    wrong.hint(format!("remove one of the two, or write `option {} = n` in the kernel", first.0))
}
