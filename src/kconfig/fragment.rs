//! Writes options as a fragment of a `.config`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::recipe::kernel::OptionValue;

/// The lines that ask Kconfig for these options, sorted by name.
pub fn render(options: &BTreeMap<String, OptionValue>) -> String {
    let mut text = String::new();
    for (name, value) in options {
        let line = match value {
            OptionValue::No => format!("# CONFIG_{name} is not set"),
            value => format!("CONFIG_{name}={}", spelled(value)),
        };
        writeln!(text, "{line}").expect("a string takes every line");
    }
    text
}

/// A value as a `.config` spells it.
pub fn spelled(value: &OptionValue) -> String {
    match value {
        OptionValue::Yes => "y".to_owned(),
        OptionValue::Module => "m".to_owned(),
        OptionValue::No => "n".to_owned(),
        OptionValue::Number(number) => number.clone(),
        OptionValue::Text(text) => quoted(text),
    }
}

/// Kconfig escapes these two characters and no other (`escape_string_value` in scripts/kconfig/confdata.c).
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_spelled_as_kconfig_reads_them() {
        let options = BTreeMap::from([
            ("B".to_owned(), OptionValue::No),
            ("A".to_owned(), OptionValue::Module),
            ("N".to_owned(), OptionValue::Number("0x10".to_owned())),
            ("T".to_owned(), OptionValue::Text("a \"b\" \\".to_owned())),
        ]);
        let text = render(&options);
        assert_eq!(text, "CONFIG_A=m\n# CONFIG_B is not set\nCONFIG_N=0x10\nCONFIG_T=\"a \\\"b\\\" \\\\\"\n");
        let read = crate::kconfig::dotconfig::read(text.as_bytes()).unwrap();
        assert!(options.iter().all(|(name, value)| read.value(name) == spelled(value)));
    }
}
