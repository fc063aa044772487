//! What Linux says about the memory of this host (`Documentation/filesystems/proc.rst`).

use std::path::Path;

use super::fs;

/// `/proc/meminfo` is no larger.
const MAX_BYTES: u64 = 1 << 16;

/// The bytes behind a key such as `MemAvailable`; `None` when this kernel does not say.
pub fn bytes(key: &str) -> Option<u64> {
    find(&String::from_utf8(fs::read(Path::new("/proc/meminfo"), MAX_BYTES).ok()?).ok()?, key)
}

/// `MemAvailable:   23017652 kB`
fn find(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1 << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_whole_word_and_its_number_is_in_kibibytes() {
        let text = "MemTotal:       24000000 kB\nMemAvailable:   23 kB\nHugePages_Total:       0\nMem:  18446744073709551615 kB\n";
        assert_eq!(find(text, "MemAvailable"), Some(23 << 10));
        for none in ["MemAvail", "HugePages_Total", "Mem", "Swap"] {
            assert_eq!(find(text, none), None, "{none}");
        }
        assert!(bytes("MemTotal").is_some_and(|bytes| bytes > 1 << 20));
    }
}
