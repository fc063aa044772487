//! Package URLs (`pkg:deb/debian/bash@5.2.37-2%2Bb10?arch=amd64&distro=trixie`) of locked packages.
//!
//! Input: a package of a lock, and the archive that it is from. Output: its one spelling, which names no mirror.

use super::{LockedArchive, LockedPackage};
use crate::base::purl::Purl;

/// The package URL of a package of an archive.
pub fn package_url(package: &LockedPackage, archive: &LockedArchive) -> Purl {
    let vendor: Vec<&str> = match archive.repository.as_str() {
        "debian-security" | "debian-debug" | "debian-ports" => vec!["debian"],
        repository => repository.split('/').filter(|part| !part.is_empty()).collect(),
    };
    let release = archive.suite.split(['-', '/']).next().unwrap_or_default().trim_matches('.');
    let purl = Purl::new("deb", &vendor, &package.name).version(&package.version);
    purl.with("arch", &package.architecture).with("distro", release)
}

#[cfg(test)]
mod tests {
    use super::super::tests::example;
    use super::*;

    #[test]
    fn a_package_is_named_by_its_vendor_and_release_whichever_archive_has_it() {
        let lock = example();
        let mut package = lock.sets.values().flatten().next().unwrap().clone();
        (package.name, package.version) = ("g++".to_owned(), "4:14.2.0-1+b1~x".to_owned());
        package.architecture = "amd64".to_owned();
        let mut archive = lock.archives.values().next().unwrap().clone();
        for (repository, suite, vendor) in [
            ("debian", "trixie", "debian"),
            ("debian-security", "trixie-security", "debian"),
            ("docker/linux", "trixie", "docker/linux"),
        ] {
            (archive.repository, archive.suite) = (repository.to_owned(), suite.to_owned());
            let expected = format!("pkg:deb/{vendor}/g%2B%2B@4:14.2.0-1%2Bb1~x?arch=amd64&distro=trixie");
            assert_eq!(package_url(&package, &archive).write(), expected);
        }
    }
}
