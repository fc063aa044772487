//! What must not change: a directory of the host that no build has any business with.

use std::cell::RefCell;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A text that nobody else writes. Where it turns up, a file of the host was read.
pub(crate) const SECRET: &str = "canary-3f9c2b7e-of-the-host";

/// Names that the rules of root file systems look for, so that whoever is led here finds something to remove.
const FILES: [&str; 16] = [
    "thesis.txt",
    "id_ed25519",
    ".profile",
    "ssh_host_ed25519_key",
    "machine-id",
    "machine-info",
    "passwd",
    "passwd-",
    "shadow",
    "group",
    "hostname",
    "locale",
    "resolv.conf",
    "sources.list",
    "status",
    "status-old",
];

/// A directory with files, and how it looked when it was made.
pub(crate) struct Canary {
    path: PathBuf,
    before: RefCell<Vec<String>>,
}

impl Canary {
    pub(crate) fn new(path: PathBuf) -> Canary {
        let canary = Canary { path, before: RefCell::default() };
        canary.restore();
        canary
    }

    /// Makes it anew, for the next attack.
    pub(crate) fn restore(&self) {
        let _ = std::fs::remove_dir_all(&self.path);
        for directory in ["", "sub", "sub/deeper", "partial", "network", "__pycache__"] {
            let directory = self.path.join(directory);
            std::fs::create_dir_all(&directory).unwrap();
            for file in FILES {
                let file = directory.join(file);
                std::fs::write(&file, format!("{SECRET} {}\n", file.display())).unwrap();
            }
        }
        std::fs::set_permissions(self.path.join("id_ed25519"), std::fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink("thesis.txt", self.path.join("link")).unwrap();
        self.before.replace(listing(&self.path));
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What is not as it was, if anything is; it is made anew then.
    pub(crate) fn harm(&self) -> Option<String> {
        let (before, after) = (self.before.borrow().clone(), self.look());
        if after == before {
            return None;
        }
        let gone = before.iter().find(|line| !after.contains(line)).map(|line| format!("was: {line}"));
        let new = after.iter().find(|line| !before.contains(line)).map(|line| format!("is: {line}"));
        let words: Vec<String> = [gone, new].into_iter().flatten().collect();
        self.restore();
        Some(format!("the canary changed: {}", words.join("; ")))
    }

    fn look(&self) -> Vec<String> {
        if self.path.is_dir() { listing(&self.path) } else { vec!["it is gone".to_owned()] }
    }
}

/// Every path with kind, mode, owner, links, time and content. Named pipes are listed, never opened.
pub(crate) fn listing(root: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(path) = open.pop() {
        let data = path.symlink_metadata().unwrap();
        let content = if data.is_dir() {
            open.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            "directory".to_owned()
        } else if data.is_symlink() {
            format!("-> {}", std::fs::read_link(&path).unwrap().display())
        } else if data.is_file() {
            String::from_utf8_lossy(&std::fs::read(&path).unwrap()).trim_end().to_owned()
        } else {
            "special".to_owned()
        };
        let name = path.strip_prefix(root).unwrap().display().to_string();
        let (mode, owner, links) = (data.mode(), (data.uid(), data.gid()), data.nlink());
        lines.push(format!("/{name} {mode:o} {owner:?} {links} {}.{} {content}", data.mtime(), data.mtime_nsec()));
    }
    lines.sort();
    lines
}
