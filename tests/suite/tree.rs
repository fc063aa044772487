//! A tar archive as a tree in memory. A hard link is the file that it names.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

/// A file of whatever kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) kind: tar::EntryType,
    pub(crate) content: Vec<u8>,
    pub(crate) mode: u32,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    /// Target of a symbolic link; major and minor number of a device.
    pub(crate) link: String,
    pub(crate) capability: Option<Vec<u8>>,
}

/// By path without a leading or trailing slash; the root is the empty path.
pub(crate) fn read(path: &Path) -> BTreeMap<String, Node> {
    let mut nodes: BTreeMap<String, Node> = BTreeMap::new();
    let mut archive = tar::Archive::new(std::io::BufReader::new(std::fs::File::open(path).unwrap()));
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = plain(&String::from_utf8_lossy(&entry.path_bytes()));
        let link =
            entry.link_name_bytes().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        let kind = entry.header().entry_type();
        if kind == tar::EntryType::Link {
            let target = nodes[&plain(&link)].clone();
            nodes.insert(name, target);
            continue;
        }
        let capability = entry.pax_extensions().unwrap().and_then(|extensions| {
            let mut extensions = extensions.map(Result::unwrap);
            let found = extensions.find(|extension| extension.key_bytes() == b"SCHILY.xattr.security.capability");
            found.map(|extension| extension.value_bytes().to_vec())
        });
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        let header = entry.header();
        let device = (header.device_major().ok().flatten(), header.device_minor().ok().flatten());
        let link = match kind {
            tar::EntryType::Symlink => link,
            tar::EntryType::Char | tar::EntryType::Block => format!("{device:?}"),
            _ => String::new(),
        };
        // Tar implementations do not agree about a link's own mode, which means nothing.
        let mode = if kind == tar::EntryType::Symlink { 0o777 } else { header.mode().unwrap() & 0o7777 };
        let (uid, gid) = (header.uid().unwrap(), header.gid().unwrap());
        nodes.insert(name, Node { kind, content, mode, uid, gid, link, capability });
    }
    nodes
}

fn plain(path: &str) -> String {
    path.trim_start_matches("./").trim_matches('/').trim_start_matches('.').to_owned()
}
