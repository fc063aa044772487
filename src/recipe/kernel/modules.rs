//! Modules that the recipe names for the initramfs of a kernel, wherever the kernel comes from.

use crate::base::{Diagnostic, Spanned};
use crate::recipe::reader::Reader;

/// Names of modules that the initramfs loads besides those that mount the root.
pub(super) fn initrd_modules(reader: &mut Reader<'_>) -> Vec<Spanned<String>> {
    let modules = reader.list::<String>("initrd-modules");
    for module in &modules {
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if module.value.is_empty() || !module.value.chars().all(legal) {
            let wrong = Diagnostic::new(module.span, format!("`{}` cannot be the name of a module", module.value));
            reader.error(wrong.label("letters, digits, `_` and `-` only").hint("a module is named without `.ko`"));
        }
    }
    modules
}
