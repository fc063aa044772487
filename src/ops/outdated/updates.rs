//! What is newer than a lock, as it is told.

use serde::Serialize;

/// What is newer than the lock.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct OutdatedReport {
    /// Packages that get another version.
    pub packages: Vec<PackageUpdate>,
    /// Packages that come into a set.
    pub added: Vec<PackageMove>,
    /// Packages that leave a set.
    pub removed: Vec<PackageMove>,
    /// Security updates that the recipe does not let in.
    pub held: Vec<HeldUpdate>,
    /// Kernels out of packages.
    pub kernels: Vec<NamedUpdate>,
    /// Debian sources and tarballs.
    pub sources: Vec<NamedUpdate>,
    /// The QEMU of machines.
    pub machines: Vec<NamedUpdate>,
    /// Archives of security updates that the recipe uses. Without any, nothing is known to be for security.
    pub security_archives: Vec<String>,
}

/// A package with a newer version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackageUpdate {
    /// Its name.
    pub package: String,
    /// The locked version.
    pub from: String,
    /// The newer one.
    pub to: String,
    /// The archive that it would be taken from.
    pub archive: String,
    /// Whether it is, or includes, a security update.
    pub security: bool,
    /// The package sets that have it.
    pub sets: Vec<String>,
}

/// A package that comes or goes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct PackageMove {
    /// The set.
    pub set: String,
    /// Its name.
    pub package: String,
    /// Its version.
    pub version: String,
}

/// A security update that an update of the lock would not take.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct HeldUpdate {
    /// Its name.
    pub package: String,
    /// The version that would be locked.
    pub version: String,
    /// The version of the security archive.
    pub offered: String,
    /// That archive.
    pub archive: String,
}

/// A kernel, source or machine whose version moves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NamedUpdate {
    /// Its name.
    pub name: String,
    /// The locked version.
    pub from: String,
    /// The newer one.
    pub to: String,
    /// Whether it is, or includes, a security update.
    pub security: bool,
}

impl OutdatedReport {
    /// Whether the lock has the newest of everything.
    pub fn is_empty(&self) -> bool {
        *self == OutdatedReport { security_archives: self.security_archives.clone(), ..OutdatedReport::default() }
    }

    /// Only what is of importance for security.
    pub fn security(self) -> OutdatedReport {
        let named = |updates: Vec<NamedUpdate>| updates.into_iter().filter(|update| update.security).collect();
        OutdatedReport {
            packages: self.packages.into_iter().filter(|update| update.security).collect(),
            added: Vec::new(),
            removed: Vec::new(),
            held: self.held,
            kernels: named(self.kernels),
            sources: named(self.sources),
            machines: named(self.machines),
            security_archives: self.security_archives,
        }
    }
}
