//! What kiln itself asks of every kernel so that building it twice gives the same bits.

use std::collections::BTreeMap;

use crate::recipe::kernel::OptionValue;

/// What of a kernel decides about the options.
pub(super) struct KernelTraits {
    /// Its base is Debian's own configuration.
    pub(super) debian: bool,
    pub(super) modules: bool,
    pub(super) btf: bool,
}

/// Kiln's own fragment; the recipe's come after it and win, except where `requested` refuses the result.
pub(super) fn options(nature: &KernelTraits) -> BTreeMap<String, OptionValue> {
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
        ("MODULES".to_owned(), yes_if(nature.modules)),
        ("DEBUG_INFO_BTF".to_owned(), yes_if(nature.btf)),
    ]);
    // Debian's configuration has lockdown, which insists on signed modules.
    if nature.debian {
        options.insert("SECURITY_LOCKDOWN_LSM".to_owned(), OptionValue::No);
    }
    // BTF is made from debug information; nothing else that kiln delivers has any.
    let debug = if nature.btf { "DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT" } else { "DEBUG_INFO_NONE" };
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_page_names_every_option_and_no_other() {
        let page = include_str!("../../../docs/reproducibility.md");
        let section = page.split("\n## ").find(|section| section.starts_with("Kernel")).unwrap();
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
        let cells: String = rows.map(|row| row.split(" | ").next().unwrap()).collect::<Vec<_>>().join(" ");
        let words = cells.split(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit() && c != '_');
        let named: BTreeSet<&str> = words.filter(|word| !word.is_empty()).collect();
        let of = |btf| options(&KernelTraits { debian: true, modules: true, btf }).into_keys().collect::<Vec<_>>();
        let (with, without) = (of(true), of(false));
        let options = with.iter().chain(&without).map(String::as_str);
        assert_eq!(named, options.chain(UNREPEATABLE.iter().map(|(name, _)| *name)).collect());
    }
}
