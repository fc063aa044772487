//! What a build will fetch and unpack, as data.

/// What a build will fetch and unpack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outlook {
    /// Files to download.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that are needed and in the store already.
    pub files_present: u64,
    /// Their bytes.
    pub bytes_present: u64,
    /// Packages to unpack; one that is unpacked into several trees counts for each.
    pub packages: u64,
    /// Their bytes, as they are: compressed.
    pub packages_bytes: u64,
    /// Others may have results that make some of it needless.
    pub at_most: bool,
}
