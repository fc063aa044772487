//! The tar of Kconfig files that the step `kernel-kconfig` leaves behind.

use std::collections::BTreeMap;
use std::io::Read;

use super::tree::KconfigSource;

/// The kernel's Kconfig files have 6 MB together; a source that has more than this is not one.
const LIMIT: u64 = 64 << 20;

/// The Kconfig files of a source tree for `arch`, out of a tar; everything else in it is passed over.
pub fn read(tar: impl Read, arch: &str) -> std::io::Result<KconfigSource> {
    let mut files = BTreeMap::new();
    let mut left = LIMIT;
    for entry in tar::Archive::new(tar).entries()? {
        let entry = entry?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let path = path.strip_prefix("./").unwrap_or(&path);
        if !path.rsplit('/').next().is_some_and(|name| name.starts_with("Kconfig"))
            || !entry.header().entry_type().is_file()
        {
            continue;
        }
        let mut bytes = Vec::new();
        entry.take(left + 1).read_to_end(&mut bytes)?;
        left = left.checked_sub(bytes.len() as u64).ok_or_else(|| {
            std::io::Error::new(std::io::ErrorKind::FileTooLarge, format!("the Kconfig files exceed {LIMIT} bytes"))
        })?;
        files.insert(path.to_owned(), bytes);
    }
    let variables = [("SRCARCH", arch), ("srctree", ".")];
    Ok(KconfigSource { files, variables: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into() })
}
