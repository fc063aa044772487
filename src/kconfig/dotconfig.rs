//! Reads `.config` files as the kernel's configuration programs write them.

use std::collections::BTreeMap;

use super::value::Tri;

/// Larger than any real one (Debian's has 280 KB), small enough to be harmless.
pub const LIMIT: u64 = 4 << 20;

/// A configuration: options and their values.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DotConfig {
    /// Values in their spelling: `y`, `m`, `"text"`, `0x10`; `n` for `# CONFIG_X is not set`. Options without a line
    /// are not here; for Kconfig they are off too.
    pub values: BTreeMap<String, String>,
}

/// A line that is neither an assignment nor a comment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the kernel configuration is neither CONFIG_NAME=VALUE nor a comment: {text}")]
pub struct NotAConfig {
    /// Counted from one.
    pub line: usize,
    /// Its first 80 characters.
    pub text: String,
}

/// Reads a configuration. As for Kconfig, of two values for one option the later one counts.
pub fn read(bytes: &[u8]) -> Result<DotConfig, NotAConfig> {
    let mut values = BTreeMap::new();
    for (at, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end();
        match assignment(line) {
            Some((name, value)) => _ = values.insert(name.to_owned(), value.to_owned()),
            None if line.is_empty() || line.starts_with('#') => {}
            None => return Err(NotAConfig { line: at + 1, text: line.chars().take(80).collect() }),
        }
    }
    Ok(DotConfig { values })
}

fn assignment(line: &str) -> Option<(&str, &str)> {
    if let Some(rest) = line.strip_prefix("# CONFIG_") {
        let name = rest.strip_suffix(" is not set")?;
        return is_name(name).then_some((name, "n"));
    }
    let (name, value) = line.strip_prefix("CONFIG_")?.split_once('=')?;
    is_name(name).then_some((name, value))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl DotConfig {
    /// The value of an option in its spelling; `n` when there is none.
    pub fn value(&self, name: &str) -> &str {
        self.values.get(name).map_or("n", String::as_str)
    }

    /// The value of an option that is off, a module or on; text and numbers are off, as they are in expressions.
    pub fn tri(&self, name: &str) -> Tri {
        Tri::parse(self.value(name)).unwrap_or(Tri::N)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_every_kind() {
        let config =
            read(b"#\n# comment\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_S=\"a=b\"\n\nCONFIG_A=m\n").unwrap();
        assert_eq!(config.value("A"), "m");
        assert_eq!(config.value("B"), "n");
        assert_eq!(config.value("S"), "\"a=b\"");
        assert_eq!(config.value("C"), "n");
        assert!(!config.values.contains_key("C"));
    }

    #[test]
    fn what_is_no_configuration_is_named() {
        for text in ["<html>", "CONFIG_A", "CONFIG_=y", "CONFIG_A B=y", "CONFIG A=y", "A=y"] {
            let error = read(format!("CONFIG_X=y\n{text}\n").as_bytes()).unwrap_err();
            assert_eq!((error.line, error.text.as_str()), (2, text));
        }
    }
}
