//! What is known of a kernel before it is built.

use crate::lock::Lock;
use crate::machine::version::Version;
use crate::recipe::kernel::{Compiled, Kernel, KernelSource, OptionValue, Origin};

/// The facts that rules depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KernelFacts {
    /// Its version, as far as the recipe's words tell.
    pub version: Option<Version>,
    /// Whether it may commit a CXL region although it sees a hypervisor: `CONFIG_CXL_REGION_INVALIDATION_TEST`.
    /// `None` when only the finished configuration can tell.
    pub commits_in_guests: Option<bool>,
}

impl KernelFacts {
    /// From the recipe's kernel.
    pub fn of(kernel: &Kernel) -> KernelFacts {
        match &kernel.origin {
            // Debian's configuration leaves the option off (measured on 6.12).
            Origin::Stock { set, .. } => KernelFacts {
                version: set.requests.iter().find_map(|request| named_version(&request.name)),
                commits_in_guests: Some(false),
            },
            // Its configuration, if the build leaves it, is held against the machine once it is there.
            Origin::Built(_) => KernelFacts::default(),
            Origin::Compiled(compiled) => {
                KernelFacts { version: source_version(&compiled.source), commits_in_guests: commits(compiled) }
            }
        }
    }
}

impl KernelFacts {
    /// The same with the version that the lock has, which a name such as `linux-image-cloud-amd64` does not tell.
    pub fn locked(kernel: &Kernel, lock: &Lock) -> KernelFacts {
        let facts = KernelFacts::of(kernel);
        let packaged = |set: &str| lock.sets.get(set)?.iter().find_map(|package| kernel_version(&package.name));
        let version = match &kernel.origin {
            Origin::Stock { set, .. } => packaged(&set.name),
            Origin::Compiled(compiled) => match &compiled.source {
                KernelSource::Package(set) => packaged(&set.name),
                KernelSource::DebianSource(..) | KernelSource::Url { .. } => {
                    let source = lock.sources.get(&kernel.source_name());
                    source.and_then(|source| source.files.keys().find_map(|file| named_version(file)))
                }
                KernelSource::Output(_) | KernelSource::Directory(..) => None,
            },
            Origin::Built(_) => None,
        };
        KernelFacts { version: version.or(facts.version), ..facts }
    }
}

/// Of a package that has a kernel or its source; `linux-base` and `libc6` have none.
fn kernel_version(package: &str) -> Option<Version> {
    ["linux-image-", "linux-source-"].iter().find_map(|prefix| named_version(package.strip_prefix(prefix)?))
}

/// The last word on the option: the kernel's own, then fragments from the last to the first.
fn commits(compiled: &Compiled) -> Option<bool> {
    const OPTION: &str = "CXL_REGION_INVALIDATION_TEST";
    let fragments = compiled.configs.iter().rev().flat_map(|config| [&config.require, &config.options]);
    let mut places = [&compiled.require, &compiled.options].into_iter().chain(fragments);
    let value = places.find_map(|options| options.get(OPTION))?;
    Some(value.value == OptionValue::Yes)
}

fn source_version(source: &KernelSource) -> Option<Version> {
    match source {
        KernelSource::Package(set) => set.requests.iter().find_map(|request| named_version(&request.name)),
        KernelSource::DebianSource(source) => source.request.version.as_deref().and_then(Version::parse),
        KernelSource::Output(_) | KernelSource::Directory(..) => None,
        KernelSource::Url { url, .. } => named_version(url.rsplit('/').next().unwrap_or_default()),
    }
}

/// `6.12` of `linux-image-6.12.57+deb13-amd64`, `linux-source-6.12`, `linux-6.12.5.tar.xz`.
fn named_version(name: &str) -> Option<Version> {
    let digit = name.find(|c: char| c.is_ascii_digit())?;
    Version::parse(&name[digit..]).filter(|version| version.major >= 2 && version.major < 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_package_names() {
        assert_eq!(named_version("linux-image-6.12.57+deb13-cloud-amd64"), Some(Version::new(6, 12)));
        assert_eq!(named_version("linux-source-6.1"), Some(Version::new(6, 1)));
        assert_eq!(named_version("linux-7.0.2.tar.xz"), Some(Version::new(7, 0)));
        assert_eq!(named_version("linux-image-amd64"), None);
        assert_eq!(named_version("linux_6.12.57-1.dsc"), Some(Version::new(6, 12)));
        assert_eq!(kernel_version("linux-image-7.3.4+deb13-cloud-amd64"), Some(Version::new(7, 3)));
        assert_eq!(kernel_version("libelf1t64-6.12"), None);
    }
}
