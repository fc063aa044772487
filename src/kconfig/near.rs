//! Names that somebody may have meant.

use super::tree::KconfigTree;

/// How many names are proposed.
const MAX_NAMES: usize = 3;

/// Names that differ in a letter or two, or have a word more or less. Options are spelled with capitals.
pub(super) fn near(tree: &KconfigTree, option: &str) -> Vec<String> {
    let option = &option.to_ascii_uppercase();
    let defined = tree.symbols.iter().filter(|(_, symbol)| symbol.kind.is_some()).map(|(name, _)| name);
    let mut found: Vec<(usize, &String)> = defined.filter_map(|name| Some((likeness(name, option)?, name))).collect();
    found.sort();
    found.into_iter().take(MAX_NAMES).map(|(_, name)| name.clone()).collect()
}

/// How far two names are apart; `None` if nobody would take the one for the other.
fn likeness(name: &str, option: &str) -> Option<usize> {
    if name == option {
        return Some(0);
    }
    let spelling = || {
        // Half of a short name is another name.
        let most = match option.len() {
            0..=3 => return None,
            4..=6 => 1,
            _ => 2,
        };
        (name.len().abs_diff(option.len()) <= most)
            .then(|| distance(name.as_bytes(), option.as_bytes()))
            .filter(|distance| *distance <= most)
    };
    spelling().or_else(|| words(name, option))
}

/// Names are renamed by words: `RETPOLINE` became `MITIGATION_RETPOLINE`, `NETFILTER_XT_MATCH_OWNER` is called
/// `XT_MATCH_OWNER` by everybody.
fn words(name: &str, option: &str) -> Option<usize> {
    let (name, option): (Vec<&str>, Vec<&str>) = (name.split('_').collect(), option.split('_').collect());
    let (short, long) = if name.len() < option.len() { (&name, &option) } else { (&option, &name) };
    let more = long.len() - short.len();
    // One word of several is in many names; as their end it is the name of the thing.
    let enough = if short.len() == 1 { more == 1 && short[0].len() > 3 } else { more <= 2 };
    if more == 0 || !enough {
        return None;
    }
    let mut rest = long.iter();
    let inside = short.iter().all(|word| rest.any(|other| other == word));
    match () {
        () if long.ends_with(short) => Some(2 + more),
        () if inside && short.len() > 1 => Some(4 + more),
        () => None,
    }
}

/// Letters that were put in, left out, replaced or swapped with their neighbour.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = match (i, j) {
                (0, far) | (far, 0) => far,
                _ => {
                    let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                    let least = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                    let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                    if swapped { least.min(rows[i - 2][j - 2] + 1) } else { least }
                }
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_near_by_its_letters_or_its_words() {
        for (name, option) in [
            ("MITIGATION_RETPOLINE", "RETPOLINE"),
            ("RETPOLINE", "MITIGATION_RETPOLINE"),
            ("NETFILTER_XT_MATCH_OWNER", "XT_MATCH_OWNER"),
            ("MITIGATION_CALL_DEPTH_TRACKING", "CALL_DEPTH_TRACKING"),
            ("IO_DELAY_0X80", "IO_DELAY_TYPE_0X80"),
            ("DAX_CXL", "DAX_CLX"),
            ("PANIC_TIMEOUT", "PANIC_TIMEOUT_X"),
        ] {
            assert!(likeness(name, option).is_some(), "{name} {option}");
        }
        for (name, option) in [
            ("CRC64", "ARM64"),
            ("NFP", "NOPE"),
            ("ROSE", "NOPE"),
            ("NET_VENDOR_INTEL", "INTEL"),
            ("KVM_INTEL", "NET_INTEL"),
        ] {
            assert_eq!(likeness(name, option), None, "{name} {option}");
        }
    }
}
