//! A rule about what scripts make at random: keys, seeds, names of machines, databases with identities in them.
//!
//! They would be the same in every machine of an image, and others in every build. Those that are known are known by their
//! places; others that no package ships by their names and their formats ([`super::kinds`]), whatever package they are
//! of. The package that made them makes them again at first boot ([`crate::exec::debian::parts`]).

use std::collections::BTreeSet;
use std::path::Path;

use super::{RuleInput, Stage, kinds};
use crate::exec::debian::maker::Makers;
use crate::exec::debian::remade::{self, Remade};
use crate::exec::tree::{RootError, Tree};

/// Made again by the system, or by a server whenever it starts without.
const BY_THEMSELVES: [&str; 5] = [
    "etc/hostid",
    "var/lib/rabbitmq/.erlang.cookie",
    "var/lib/systemd/credential.secret",
    "var/lib/systemd/random-seed",
    "var/lib/urandom/random-seed",
];

/// Made by the package's `postinst` where they are missing.
const BY_PACKAGES: [&str; 6] = [
    "etc/bind/rndc.key",
    "etc/iscsi/initiatorname.iscsi",
    "etc/munge/munge.key",
    "etc/nvme/hostid",
    "etc/nvme/hostnqn",
    "etc/ssl/private/ssl-cert-snakeoil.key",
];

/// What public keys and certificates are called.
const PUBLIC: [&str; 5] = ["pub", "crt", "pem", "cert", "csr"];

/// Directories of databases, and what is in each that was set up. The directories stay, with their owners.
const DATABASES: [(&str, &str); 3] = [
    ("etc/ldap/slapd.d", "cn=config.ldif"),
    ("var/lib/ldap", "data.mdb"),
    // MariaDB and MySQL.
    ("var/lib/mysql", "mysql"),
];
/// What stays in them: empty files that say which version is there.
const STAYS: &str = ".flag";

/// Removes them from a base. A tree that has what the recipe brings is not looked through: nothing else was added.
pub(super) fn remove(terms: &RuleInput<'_>, tree: &Tree) -> Result<(), RootError> {
    if terms.stage == Stage::Root {
        return Ok(());
    }
    let makers = Makers::read(tree)?;
    for path in BY_THEMSELVES {
        tree.remove(path)?;
    }
    let mut gone: Vec<String> = Vec::new();
    for path in BY_PACKAGES {
        if tree.stat(path)?.is_some() {
            gone.push(format!("/{path}"));
        }
    }
    for (directory, sign) in DATABASES {
        if empty(tree, directory)? {
            gone.push(format!("/{directory}/{sign}"));
        }
    }
    gone.extend(kinds::find(tree, &makers)?);
    gone.sort();
    gone.dedup();
    let mut list = Vec::new();
    for path in &gone {
        let public = companions(tree, &makers, path)?.into_iter().filter(|public| !gone.contains(public));
        for (lost, of) in [(path.clone(), None)].into_iter().chain(public.map(|public| (public, Some(path.clone())))) {
            tree.remove(&lost)?;
            // What the recipe states is still there.
            if tree.stat(&lost)?.is_none() {
                list.push(Remade { stem: makers.of(path).map(str::to_owned), path: lost, of });
            }
        }
    }
    links(tree)?;
    remade::write(tree, &list)
}

/// Public keys and certificates of a secret, which are as random as it is: of the same name, in the same directory or, as
/// `certs` is beside `private`, in one beside it.
fn companions(tree: &Tree, makers: &Makers, secret: &str) -> Result<Vec<String>, RootError> {
    let path = Path::new(secret);
    let (Some(directory), Some(stem)) = (path.parent(), path.file_stem()) else { return Ok(Vec::new()) };
    let mut names = vec![path.with_added_extension("pub")];
    let above = directory.parent().filter(|above| above.components().count() > 1);
    let certificates = above.map(|above| above.join("certs"));
    for place in [Some(directory), above, certificates.as_deref()].into_iter().flatten() {
        names.extend(PUBLIC.map(|extension| place.join(stem).with_added_extension(extension)));
    }
    let mut found = BTreeSet::new();
    for name in names.iter().filter_map(|name| name.to_str()).filter(|name| *name != secret && !makers.ships(name)) {
        if tree.stat(name)?.is_some_and(|stat| stat.file()) {
            found.insert(name.to_owned());
        }
    }
    Ok(found.into_iter().collect())
}

/// Says whether anything was there.
fn empty(tree: &Tree, directory: &str) -> Result<bool, RootError> {
    let mut found = false;
    for file in tree.list(directory)? {
        let flag = file.path().to_string_lossy().ends_with(STAYS);
        if !flag || file.stat().is_ok_and(|stat| stat.size > 0) {
            file.remove()?;
            found = true;
        }
    }
    Ok(found)
}

/// A link named after the certificate's hash points to it; it would dangle.
fn links(tree: &Tree) -> Result<(), RootError> {
    for link in tree.list("etc/ssl/certs")? {
        let target = link.target().unwrap_or_default();
        if Path::new(&target).ends_with("ssl-cert-snakeoil.pem") {
            link.remove()?;
        }
    }
    Ok(())
}
