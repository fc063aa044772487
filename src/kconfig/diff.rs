//! What differs between two configurations.

use super::dotconfig::DotConfig;

/// One option with its two values in their spelling; `n` where a side says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionDifference {
    /// Without `CONFIG_`.
    pub name: String,
    /// In the first configuration.
    pub old: String,
    /// In the second one.
    pub new: String,
}

/// Every option whose value differs, sorted by name. "Not set" and no line at all are the same value.
pub fn diff(old: &DotConfig, new: &DotConfig) -> Vec<OptionDifference> {
    let mut names: Vec<&String> = old.values.keys().chain(new.values.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let both = names.into_iter().map(|name| (name, old.value(name), new.value(name)));
    both.filter(|(_, old, new)| old != new)
        .map(|(name, old, new)| OptionDifference { name: name.clone(), old: old.to_owned(), new: new.to_owned() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kconfig::dotconfig::read;

    #[test]
    fn silence_and_not_set_are_equal() {
        let old = read(b"CONFIG_A=y\nCONFIG_B=m\n# CONFIG_C is not set\nCONFIG_E=1\n").unwrap();
        let new = read(b"CONFIG_A=y\nCONFIG_B=y\nCONFIG_D=\"x\"\nCONFIG_E=1\n").unwrap();
        let found: Vec<String> = diff(&old, &new).iter().map(|d| format!("{} {} {}", d.name, d.old, d.new)).collect();
        assert_eq!(found, ["B m y", "D n \"x\""]);
    }
}
