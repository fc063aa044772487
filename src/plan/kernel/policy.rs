//! What kiln itself asks of every kernel so that building it twice gives the same bits.

use std::collections::BTreeMap;

use crate::recipe::kernel::{Compiled, OptionValue};

/// Kiln's own fragment; the recipe's come after it and win, except where `requested` refuses the result.
pub(super) fn options(compiled: &Compiled) -> BTreeMap<String, OptionValue> {
    let yes_if = |on: bool| if on { OptionValue::Yes } else { OptionValue::No };
    let text = |value: &str| OptionValue::Text(value.to_owned());
    let mut options = BTreeMap::from([
        // Asks git about the directory that the tree happens to lie in.
        ("LOCALVERSION_AUTO".to_owned(), OptionValue::No),
        // A key made during the build would be different, and gone, every time.
        ("MODULE_SIG".to_owned(), OptionValue::No),
        // Debian's configuration names certificates of its own build tree.
        ("SYSTEM_TRUSTED_KEYS".to_owned(), text("")),
        ("SYSTEM_REVOCATION_KEYS".to_owned(), text("")),
        // Without a salt two kernels of equal code have equal build ids in their notes.
        ("BUILD_SALT".to_owned(), text("kiln")),
        ("MODULES".to_owned(), yes_if(compiled.modules)),
        ("DEBUG_INFO_BTF".to_owned(), yes_if(compiled.btf)),
    ]);
    // BTF is made from debug information; nothing else that kiln delivers has any.
    let debug = if compiled.btf { "DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT" } else { "DEBUG_INFO_NONE" };
    options.insert(debug.to_owned(), OptionValue::Yes);
    options
}

/// Options that make two builds differ, with the reason; none may be on in a final configuration.
pub(super) const UNREPEATABLE: [(&str, &str); 5] = [
    ("LOCALVERSION_AUTO", "it puts the state of a git checkout into the version"),
    ("MODULE_SIG", "it signs modules with a key made during the build"),
    ("RANDSTRUCT_FULL", "it shuffles structures by a random seed"),
    ("RANDSTRUCT_PERFORMANCE", "it shuffles structures by a random seed"),
    ("GCC_PLUGIN_LATENT_ENTROPY", "it compiles random numbers in"),
];
