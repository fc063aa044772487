//! Package URLs (`pkg:deb/debian/bash@5.2.37-2%2Bb10?arch=amd64&distro=trixie`) of locked packages.
//!
//! Input: a package of a lock. Output: its one spelling, which names no mirror. Packages of archives that are not Debian's, and files
//! that a recipe brings along, have none: nobody could look them up by it.

use super::{Lock, LockedPackage};

/// Debian's own repositories, whose packages bear versions that mean one thing.
const DEBIAN: [&str; 3] = ["debian", "debian-security", "debian-debug"];

/// The package URL of a package, if it has one.
pub fn package_url(lock: &Lock, package: &LockedPackage) -> Option<String> {
    let archive = lock.archives.get(&package.archive).filter(|one| DEBIAN.contains(&one.repository.as_str()))?;
    let LockedPackage { name, version, architecture, .. } = package;
    let [name, version, suite] = [name.as_str(), version, &archive.suite].map(encoded);
    Some(format!("pkg:deb/debian/{name}@{version}?arch={architecture}&distro={suite}"))
}

/// All but letters, digits, `.`, `-`, `_`, `~` and `:` are percent-encoded, as the specification of package URLs has it.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' | b':' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::example;
    use super::*;

    #[test]
    fn a_package_of_debian_has_one_and_others_have_none() {
        let mut lock = example();
        let mut package = lock.sets.values().flatten().next().unwrap().clone();
        (package.name, package.version) = ("g++".to_owned(), "4:14.2.0-1+b1~x".to_owned());
        let archive = lock.archives.get_mut(&package.archive).unwrap();
        (archive.repository, archive.suite) = ("debian".to_owned(), "trixie".to_owned());
        let expected = format!("pkg:deb/debian/g%2B%2B@4:14.2.0-1%2Bb1~x?arch={}&distro=trixie", package.architecture);
        assert_eq!(package_url(&lock, &package), Some(expected));
        lock.archives.get_mut(&package.archive).unwrap().repository = "docker".to_owned();
        assert_eq!(package_url(&lock, &package), None);
        package.archive = crate::debian::archive::ArchiveRef::local();
        assert_eq!(package_url(&lock, &package), None);
    }
}
