//! Where a base depends on the name of the machine: the files that hold the name under which it was configured.
//!
//! Input: the archive of a base that was configured under [`crate::plan::root::PLACEHOLDER`]. Output: paths, in the
//! archive's order.

use std::io::BufReader;
use std::path::Path;

use aho_corasick::AhoCorasick;

use crate::exec::failure::StepFailure;
use crate::exec::tree::RootError;
use crate::format::tar::{TarEntryKind, TarReader};
use crate::plan::root::PLACEHOLDER_LABELS;
use crate::world::fs;

/// So many are kept: they are for people, and one is enough to say that the base depends on the name.
const MOST: usize = 1000;

/// Looks into contents, at names and at the targets of links. Scripts may have changed the case of what they derived.
pub(super) fn find(archive: &Path) -> Result<Vec<String>, RootError> {
    let labels = AhoCorasick::builder().ascii_case_insensitive(true).build(PLACEHOLDER_LABELS);
    let labels = labels.map_err(|error| StepFailure::bug(error.to_string()))?;
    let mut reader = TarReader::new(BufReader::with_capacity(1 << 20, fs::open(archive)?));
    let mut found = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        let target: &[u8] = if let TarEntryKind::Symlink(target) = &entry.kind { target } else { &[] };
        let named = labels.is_match(entry.path.as_bytes()) || labels.is_match(target);
        let holds =
            named || entry.size > 0 && labels.stream_find_iter(&mut reader).next().transpose().map_err(read)?.is_some();
        if holds && found.len() < MOST {
            found.push(entry.path.to_string());
        }
    }
    Ok(found)
}

fn read(error: std::io::Error) -> RootError {
    crate::format::tar::TarError::Io(error).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::tree::tests::Scratch;
    use crate::format::tar::{TarEntry, TarPath, TarWriter};

    #[test]
    fn contents_names_and_targets_are_searched() {
        let scratch = Scratch::new("traces");
        let mut writer = TarWriter::new(Vec::new());
        let path = |name: &str| TarPath::new(name).unwrap();
        // The last one is across whatever is read at once.
        for (name, text) in [
            ("etc/a-plain", "kiln.example.org\n".to_owned()),
            ("etc/b-upper", format!("WORKGROUP={}\n", PLACEHOLDER_LABELS[0].to_uppercase())),
            ("etc/c-domain", format!("dc={},dc=invalid\n", PLACEHOLDER_LABELS[1])),
            ("etc/d-part", "kilnhost3\n".to_owned()),
            ("etc/e-kilnhost3kq9x.conf", String::new()),
            ("etc/f-far", format!("{}{}", "x".repeat((1 << 20) - 4), PLACEHOLDER_LABELS[0])),
        ] {
            let entry = TarEntry::file(path(name), 0o644, 0, text.len() as u64);
            writer.append(&entry, text.as_bytes()).unwrap();
        }
        writer.append(&TarEntry::symlink(path("etc/g-link"), PLACEHOLDER_LABELS[0], 0), &b""[..]).unwrap();
        let archive = scratch.outside().join("base.tar");
        fs::write_atomically(&archive, &writer.finish().unwrap()).unwrap();
        let found = find(&archive).unwrap();
        assert_eq!(found, ["/etc/b-upper", "/etc/c-domain", "/etc/e-kilnhost3kq9x.conf", "/etc/f-far", "/etc/g-link"]);
    }
}
