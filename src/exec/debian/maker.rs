//! Which files packages ship, and whose script made one that none of them ships.
//!
//! Input: dpkg's database in a configured tree. Output: paths; the package that can make a file again when its `postinst`
//! runs once more.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::origin::Info;
use crate::exec::tree::{RootError, Tree};

/// What packages brought, and what their scripts say.
pub(super) struct Makers {
    shipped: BTreeSet<String>,
    /// Packages by the paths that no other package has.
    only: BTreeMap<String, Option<usize>>,
    packages: Vec<Maker>,
}

struct Maker {
    /// Stem of its files in dpkg's `info`.
    stem: String,
    /// Text of its `postinst`; none where it has none.
    script: Option<String>,
}

impl Makers {
    pub(super) fn read(tree: &Tree) -> Result<Makers, RootError> {
        let info = Info::read(tree)?;
        let mut makers = Makers { shipped: BTreeSet::new(), only: BTreeMap::new(), packages: Vec::new() };
        for (at, stem) in info.stems.iter().enumerate() {
            for path in info.text(stem, "list").lines().filter(|path| path.len() > 1) {
                let only = makers.shipped.insert(path.to_owned()).then_some(at);
                makers.only.insert(path.to_owned(), only);
            }
            let script = info.text(stem, "postinst");
            let script = (!script.is_empty()).then_some(script);
            makers.packages.push(Maker { stem: stem.to_string_lossy().into_owned(), script });
        }
        Ok(makers)
    }

    /// Whether a package ships this absolute path.
    pub(super) fn ships(&self, path: &str) -> bool {
        self.shipped.contains(path)
    }

    /// The one package that ships this absolute path.
    pub(super) fn owner(&self, path: &str) -> Option<&str> {
        let at = (*self.only.get(path)?)?;
        Some(package(&self.packages[at].stem))
    }

    /// The package whose `postinst` most probably made a file: the one that names it, else the one that names its
    /// directory, else the one whose directory it is, else the one whose name it bears. dpkg's stem of it.
    pub(super) fn of(&self, path: &str) -> Option<&str> {
        let rated = self.packages.iter().enumerate().filter_map(|(at, maker)| {
            let script = maker.script.as_ref()?;
            let rating = self.rate(path, at, script)?;
            Some((rating, maker.stem.as_str()))
        });
        // The first of the best, whatever the order of ratings.
        rated.min_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1))).map(|(_, stem)| stem)
    }

    fn rate(&self, path: &str, at: usize, script: &str) -> Option<u8> {
        let (parent, _) = path.rsplit_once('/')?;
        let package = package(&self.packages[at].stem);
        // Of `/etc` and `/var/lib` every other script speaks.
        let own = parent.matches('/').count() >= 2 && !matches!(parent, "/var/lib" | "/etc/ssl");
        let mut above = Path::new(parent).ancestors().filter_map(Path::to_str);
        if script.contains(path) {
            return Some(4);
        }
        if own && says_path(script, parent) {
            return Some(3);
        }
        if above.any(|directory| self.only.get(directory) == Some(&Some(at))) {
            return Some(2);
        }
        // `ssl-cert-snakeoil.key` and `slapd.d` bear the names of packages, `mysql` only the beginning of one.
        let named = path.split('/').any(|part| {
            let rest = part.strip_prefix('.').unwrap_or(part).strip_prefix(package);
            rest.is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_alphanumeric()))
        });
        named.then_some(1)
    }
}

/// Whether a script has this path, and not only the beginning of a longer name.
fn says_path(script: &str, path: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    script.match_indices(path).any(|(at, _)| !script[at + path.len()..].starts_with(part))
}

/// The package of one of dpkg's stems.
pub(super) fn package(stem: &str) -> &str {
    stem.split(':').next().unwrap_or(stem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::tree::tests::Scratch;

    #[test]
    fn the_package_that_can_make_a_file_is_found() {
        let scratch = Scratch::new("makers");
        let tree = scratch.tree();
        tree.directory("var/lib/dpkg/info").unwrap();
        for (name, text) in [
            ("bind9.list", "/etc\n/etc/bind\n"),
            ("bind9.postinst", "rndc-confgen -a -c /etc/bind/rndc.key\n"),
            ("bind9-utils.list", "/etc\n/etc/bind\n"),
            ("bind9-utils.postinst", "ls /etc/bind\n"),
            ("dropbear.list", "/etc\n/etc/dropbear\n"),
            ("dropbear.postinst", "key=/etc/dropbear/dropbear_${type}_host_key\n"),
            ("ejabberd.list", "/etc\n/etc/ejabberd\n"),
            ("ejabberd.postinst", "make_certificate\n"),
            ("libc6:amd64.list", "/usr\n"),
            ("silent.list", "/etc\n/etc/silent\n"),
            ("slapd.list", "/etc\n/var/lib/other\n"),
            ("slapd.postinst", "slapadd\n"),
            ("ssl-cert.list", "/etc\n"),
            ("ssl-cert.postinst", "make-ssl-cert\n"),
        ] {
            tree.put(format!("var/lib/dpkg/info/{name}"), text.as_bytes(), 0o644).unwrap();
        }
        let makers = Makers::read(&tree).unwrap();
        for (path, expected) in [
            ("/etc/bind/rndc.key", Some("bind9")),
            ("/etc/dropbear/dropbear_rsa_host_key", Some("dropbear")),
            ("/etc/ejabberd/certs/ejabberd.pem", Some("ejabberd")),
            ("/etc/ssl/private/ssl-cert-snakeoil.key", Some("ssl-cert")),
            ("/etc/ldap/slapd.d/cn=config.ldif", Some("slapd")),
            ("/etc/silent/server.pem", None),
            ("/srv/unknown.pem", None),
        ] {
            assert_eq!(makers.of(path), expected, "{path}");
        }
        assert!(makers.ships("/etc/bind") && !makers.ships("/etc/bind/rndc.key"));
        assert_eq!(package("libc6:amd64"), "libc6");
    }
}
