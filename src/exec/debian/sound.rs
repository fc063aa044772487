//! Packages whose files are known to be what dpkg expects, so that it need not read them all once more.
//!
//! Input: dpkg's database, and what is known of the files in the archive. Output: whether dpkg would have nothing to say about a
//! package. Whatever is in doubt, dpkg is asked about: a file that is missing or another one, a configuration file without a
//! checksum, a diversion.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;

use md5::{Digest as _, Md5};

use super::checksums::{Archived, Checksum, checksum, listed};
use super::origin::Info;
use crate::debian::control::{Stanzas, field};
use crate::exec::tree::{PathFilter, RootError, Tree};
use crate::plan::root::RootPackage;

/// Bytes of a configuration file: larger ones are dpkg's.
const CONFFILE_LIMIT: u64 = 4 << 20;

/// What is compared.
pub(super) struct Sound<'a> {
    tree: &'a Tree,
    filter: &'a PathFilter<'a>,
    archived: &'a Archived,
    info: Info,
    /// Lines of the database by package and architecture; nothing for those that cannot be read.
    conffiles: BTreeMap<(String, String), Vec<String>>,
    /// Paths that were moved, and where they were moved to.
    diverted: BTreeSet<String>,
}

impl<'a> Sound<'a> {
    pub(super) fn read(
        tree: &'a Tree,
        filter: &'a PathFilter<'a>,
        archived: &'a Archived,
    ) -> Result<Sound<'a>, RootError> {
        let status = tree.text("var/lib/dpkg/status")?.unwrap_or_default();
        let diversions = tree.text("var/lib/dpkg/diversions")?.unwrap_or_default();
        let diverted = diversions.lines().filter(|line| line.starts_with('/')).map(str::to_owned).collect();
        let (info, conffiles) = (Info::read(tree)?, conffiles(&status));
        Ok(Sound { tree, filter, archived, info, conffiles, diverted })
    }

    /// Whether dpkg could read a package's list of checksums.
    pub(super) fn is_readable(&self, package: &RootPackage) -> bool {
        let sums = |stem| self.info.list(stem, "md5sums");
        self.stem(package).is_none_or(|stem| sums(stem).is_none_or(|sums| well_formed(&sums)))
    }

    /// Whether every file of a package is known to be what dpkg expects.
    pub(super) fn is(&self, package: &RootPackage) -> bool {
        let Some(stem) = self.stem(package) else { return false };
        let key = (package.name.clone(), package.architecture.clone());
        let Some(conffiles) = self.conffiles.get(&key) else { return false };
        let (list, sums) = (self.info.list(stem, "list"), self.info.list(stem, "md5sums"));
        let (Some(list), Some(sums)) = (list, sums) else { return false };
        let mut paths = list.lines().filter(|path| !matches!(*path, "/." | "/"));
        let is_there =
            |path: &str| !self.diverted.contains(path) && (self.archived.has(path) || self.is_left_out(path));
        well_formed(&sums)
            && paths.all(is_there)
            // Below `/`, which they leave out.
            && listed(&sums).all(|(path, sum)| self.archived.is(path, &sum) || self.is_left_out(&format!("/{path}")))
            && conffiles.iter().all(|line| self.is_as_shipped(line))
    }

    /// Whether the recipe has no file at an absolute path, and no script has made one.
    fn is_left_out(&self, path: &str) -> bool {
        self.filter.is_excluded(path) && matches!(self.tree.stat(path), Ok(None))
    }

    fn is_as_shipped(&self, line: &str) -> bool {
        let Some((path, sum)) = line.rsplit_once(' ') else { return false };
        if self.is_left_out(path) {
            return true;
        }
        let found = self.tree.bytes(path, CONFFILE_LIMIT).ok().flatten();
        let found: Option<Checksum> = found.map(|bytes| Md5::digest(bytes).into());
        found.is_some() && found == checksum(sum)
    }

    fn stem(&self, package: &RootPackage) -> Option<&OsStr> {
        let names = [package.name.clone(), format!("{}:{}", package.name, package.architecture)];
        let stem = self.info.stems.iter().find(|stem| names.iter().any(|name| *stem == OsStr::new(name)));
        stem.map(|stem| stem.as_os_str())
    }
}

/// Configuration files of all packages of dpkg's status.
fn conffiles(status: &str) -> BTreeMap<(String, String), Vec<String>> {
    let mut found = BTreeMap::new();
    let mut stanzas = Stanzas::new(status.as_bytes());
    while let Ok(Some(stanza)) = stanzas.advance() {
        if let (Some(package), Some(architecture)) = (field(stanza, "Package"), field(stanza, "Architecture")) {
            let lines = field(stanza, "Conffiles").unwrap_or_default().lines().map(str::trim);
            let lines = lines.filter(|line| !line.is_empty()).map(str::to_owned).collect();
            found.insert((package.to_owned(), architecture.to_owned()), lines);
        }
    }
    found
}

/// Lines as dpkg reads them (`lib/dpkg/db-fsys-digest.c`): 32 hexadecimal digits, two blanks, a name, and a final newline.
pub(super) fn well_formed(text: &str) -> bool {
    let line = |line: &str| {
        let digest = line.get(..32).is_some_and(|digest| digest.bytes().all(|byte| byte.is_ascii_hexdigit()));
        digest && line.get(32..34) == Some("  ") && line.len() > 34
    };
    text.is_empty() || (text.ends_with('\n') && text.lines().all(line))
}

#[cfg(test)]
mod tests {
    use super::super::checksums::written;
    use super::*;
    use crate::exec::tree::tests::Scratch;
    use crate::plan::root::PathFilters;

    fn hex(text: &str) -> String {
        Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether dpkg need not be asked about a package with a file and a configuration file after something happened to it.
    fn is_sound(name: &str, exclude: &[&str], happens: impl FnOnce(&Tree)) -> bool {
        let scratch = Scratch::new(name);
        let tree = scratch.tree();
        for directory in ["etc", "usr/bin", "var/lib/dpkg/info"] {
            tree.directory(directory).unwrap();
        }
        let put = |path: &str, text: &str| tree.put(path, text.as_bytes(), 0o644).unwrap();
        put("usr/bin/p", "program");
        put("etc/p.conf", "settings");
        put("var/lib/dpkg/info/p:amd64.list", "/.\n/etc\n/etc/p.conf\n/usr\n/usr/bin\n/usr/bin/p\n");
        put("var/lib/dpkg/info/p:amd64.md5sums", &format!("{}  usr/bin/p\n", hex("program")));
        let conffile = format!("Conffiles:\n /etc/p.conf {}\n", hex("settings"));
        put("var/lib/dpkg/status", &format!("Package: p\nArchitecture: amd64\n{conffile}Version: 1\n\n"));
        put("var/lib/dpkg/diversions", "");
        let archived = written(&scratch, happens);
        let exclude = exclude.iter().map(|pattern| (*pattern).to_owned()).collect();
        let filters = PathFilters { exclude, include: Vec::new() };
        let filter = PathFilter::new(&filters);
        let package = RootPackage {
            input: "p.deb".to_owned(),
            name: "p".to_owned(),
            version: "1".to_owned(),
            architecture: "amd64".to_owned(),
        };
        Sound::read(&tree, &filter, &archived).unwrap().is(&package)
    }

    #[test]
    fn dpkg_is_asked_whenever_anything_is_in_doubt() {
        assert!(is_sound("sound", &[], |_| ()));
        type Change = (&'static str, fn(&Tree));
        let changes: [Change; 10] = [
            ("changed", |tree| tree.put("usr/bin/p", b"pr0gram", 0o644).unwrap()),
            ("removed", |tree| tree.remove("usr/bin/p").unwrap()),
            ("link", |tree| tree.link("usr/bin/p", "elsewhere").unwrap()),
            ("directory", |tree| {
                tree.remove("usr/bin/p").unwrap();
                tree.directory("usr/bin/p").unwrap();
            }),
            ("conffile", |tree| tree.put("etc/p.conf", b"other", 0o644).unwrap()),
            ("no-conffile", |tree| tree.remove("etc/p.conf").unwrap()),
            ("diverted", |tree| {
                tree.put("var/lib/dpkg/diversions", b"/usr/bin/p\n/usr/bin/p.other\nq\n", 0o644).unwrap();
            }),
            ("sums", |tree| {
                let sums = format!("{}  usr/bin/p\n", hex("another program"));
                tree.put("var/lib/dpkg/info/p:amd64.md5sums", sums.as_bytes(), 0o644).unwrap();
            }),
            ("bytes", |tree| {
                // No package has this file; dpkg, which reads bytes, would hear of the other one's change.
                let sums = format!("{}  usr/bin/p\n{}  ", hex("program"), hex("nothing"));
                let sums = [sums.as_bytes(), b"nam\xe9\n"].concat();
                tree.put("var/lib/dpkg/info/p:amd64.md5sums", &sums, 0o644).unwrap();
                tree.put("usr/bin/p", b"pr0gram", 0o644).unwrap();
            }),
            ("status", |tree| tree.put("var/lib/dpkg/status", b"Package: q\nArchitecture: amd64\n\n", 0o644).unwrap()),
        ];
        for (name, change) in changes {
            assert!(!is_sound(&format!("sound-{name}"), &[], change), "{name}");
        }
        // What the recipe leaves out is not missed.
        let left_out = ["/usr/bin/*", "/etc/p.conf"];
        let remove = |tree: &Tree| ["usr/bin/p", "etc/p.conf"].iter().for_each(|path| tree.remove(path).unwrap());
        assert!(is_sound("sound-left-out", &left_out, remove));
        // What a script puts there in spite of that is as any other file.
        assert!(is_sound("sound-same", &left_out, |_| ()));
        for path in ["usr/bin/p", "etc/p.conf"] {
            assert!(
                !is_sound("sound-made", &left_out, |tree| tree.put(path, b"of a script", 0o644).unwrap()),
                "{path}"
            );
        }
    }

    #[test]
    fn lists_of_checksums_are_read_as_dpkg_reads_them() {
        let digest = "0123456789abcdef0123456789abcdef";
        for (text, expected) in [
            (String::new(), true),
            (format!("{digest}  usr/bin/x\n{digest}  y z\n"), true),
            (format!("{digest} usr/bin/x\n"), false),
            (format!("{digest}{digest}  usr/bin/x\n"), false),
            (format!("{digest}  \n"), false),
            (format!("{digest}  usr/bin/x"), false),
            ("no digest\n".to_owned(), false),
        ] {
            assert_eq!(well_formed(&text), expected, "{text}");
        }
    }
}
