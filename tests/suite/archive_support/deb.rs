//! Binary packages, written from scratch: an `ar` of `debian-binary`, `control.tar.gz` and `data.tar.xz` (deb(5)).

use kiln::base::Digest;

use super::{gz, xz};

/// A package under construction.
#[derive(Clone, Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) architecture: String,
    fields: Vec<(String, String)>,
    files: Vec<(String, u32, Vec<u8>)>,
    links: Vec<(String, String)>,
    scripts: Vec<(String, String)>,
    /// Control files that it is built without.
    lacks: Vec<String>,
}

#[allow(dead_code, reason = "each topic takes what it needs")]
impl Package {
    /// A package with no files and no relations, for amd64.
    pub(crate) fn new(name: &str, version: &str) -> Self {
        Package {
            name: name.to_owned(),
            version: version.to_owned(),
            architecture: "amd64".to_owned(),
            fields: vec![
                ("Maintainer".to_owned(), "Test <test@mirror.example>".to_owned()),
                ("Priority".to_owned(), "optional".to_owned()),
            ],
            files: Vec::new(),
            links: Vec::new(),
            scripts: Vec::new(),
            lacks: Vec::new(),
        }
    }

    pub(crate) fn architecture(mut self, architecture: &str) -> Self {
        self.architecture = architecture.to_owned();
        self
    }

    /// Any other field; a second value replaces the first.
    pub(crate) fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.retain(|(known, _)| known != name);
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn depends(self, relation: &str) -> Self {
        self.field("Depends", relation)
    }

    pub(crate) fn essential(self) -> Self {
        self.field("Essential", "yes").field("Priority", "required")
    }

    /// A file at an absolute path.
    pub(crate) fn file(mut self, path: &str, mode: u32, bytes: &[u8]) -> Self {
        self.files.push((path.to_owned(), mode, bytes.to_vec()));
        self
    }

    /// A symbolic link at an absolute path.
    pub(crate) fn link(mut self, path: &str, target: &str) -> Self {
        self.links.push((path.to_owned(), target.to_owned()));
        self
    }

    /// A maintainer script or another control file: `postinst`, `triggers`, `conffiles`.
    pub(crate) fn script(mut self, name: &str, text: &str) -> Self {
        self.scripts.push((name.to_owned(), text.to_owned()));
        self
    }

    /// Whether it has this control file, or is to be built without it ([`Package::without`]).
    pub(crate) fn has(&self, name: &str) -> bool {
        self.scripts.iter().any(|(known, _)| known == name) || self.lacks.iter().any(|known| known == name)
    }

    /// Without a control file that packages are otherwise given.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.lacks.push(name.to_owned());
        self
    }

    fn control(&self) -> String {
        let mut text =
            format!("Package: {}\nVersion: {}\nArchitecture: {}\n", self.name, self.version, self.architecture);
        for (name, value) in &self.fields {
            text.push_str(&format!("{name}: {value}\n"));
        }
        text.push_str("Description: made by a test\n");
        text
    }

    /// Where it lies in the repository.
    pub(crate) fn path(&self) -> String {
        let version = self.version.split_once(':').map_or(self.version.as_str(), |(_, rest)| rest);
        let (name, architecture) = (&self.name, &self.architecture);
        format!("pool/main/{}/{name}/{name}_{version}_{architecture}.deb", &name[..1])
    }

    /// What the index says of it.
    pub(crate) fn stanza(&self, path: &str, bytes: &[u8]) -> String {
        format!("{}Filename: {path}\nSize: {}\nSHA256: {}\n", self.control(), bytes.len(), Digest::of(bytes))
    }

    /// The `.deb`.
    pub(crate) fn build(&self) -> Vec<u8> {
        let mut control = Tree::default();
        control.file("./control", 0o644, self.control().as_bytes());
        for (name, text) in &self.scripts {
            let mode = if text.starts_with("#!") { 0o755 } else { 0o644 };
            control.file(&format!("./{name}"), mode, text.as_bytes());
        }
        let mut data = Tree::default();
        for (path, mode, bytes) in &self.files {
            data.file(&format!(".{path}"), *mode, bytes);
        }
        for (path, target) in &self.links {
            data.link(&format!(".{path}"), target);
        }
        let mut deb = b"!<arch>\n".to_vec();
        member(&mut deb, "debian-binary", b"2.0\n");
        member(&mut deb, "control.tar.gz", &gz(&control.finish()));
        member(&mut deb, "data.tar.xz", &xz(&data.finish()));
        deb
    }
}

fn member(deb: &mut Vec<u8>, name: &str, bytes: &[u8]) {
    let header = format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, bytes.len());
    deb.extend_from_slice(header.as_bytes());
    deb.extend_from_slice(bytes);
    if bytes.len() % 2 == 1 {
        deb.push(b'\n');
    }
}

/// A tar with the directories that its entries need.
#[derive(Default)]
struct Tree {
    tar: Option<tar::Builder<Vec<u8>>>,
    directories: std::collections::BTreeSet<String>,
}

impl Tree {
    fn entry(&mut self, path: &str, kind: tar::EntryType, mode: u32, bytes: &[u8], link: Option<&str>) {
        for (at, _) in path.match_indices('/') {
            let directory = format!("{}/", &path[..at]);
            if self.directories.insert(directory.clone()) {
                self.append(&directory, tar::EntryType::Directory, 0o755, &[], None);
            }
        }
        self.append(path, kind, mode, bytes, link);
    }

    fn append(&mut self, path: &str, kind: tar::EntryType, mode: u32, bytes: &[u8], link: Option<&str>) {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(bytes.len() as u64);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_000_000_000);
        header.set_username("root").unwrap();
        header.set_groupname("root").unwrap();
        // set_path would drop the leading `./` that dpkg writes.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        if let Some(link) = link {
            header.set_link_name(link).unwrap();
        }
        header.set_cksum();
        self.tar.get_or_insert_with(|| tar::Builder::new(Vec::new())).append(&header, bytes).unwrap();
    }

    fn file(&mut self, path: &str, mode: u32, bytes: &[u8]) {
        self.entry(path, tar::EntryType::Regular, mode, bytes, None);
    }

    fn link(&mut self, path: &str, target: &str) {
        self.entry(path, tar::EntryType::Symlink, 0o777, &[], Some(target));
    }

    fn finish(self) -> Vec<u8> {
        self.tar.unwrap_or_else(|| tar::Builder::new(Vec::new())).into_inner().unwrap()
    }
}
