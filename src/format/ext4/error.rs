//! Why a file system was not read.

use std::io;

use crate::base::Foreign;
use crate::format::tar::TarError;

/// Why a file system was not read.
#[derive(Debug, thiserror::Error)]
pub enum Ext4Error {
    #[error("cannot read the file system: {0}")]
    Io(#[from] io::Error),
    /// Something that kiln's file systems do not have.
    #[error("the file system has something that kiln does not read: {}", Foreign(.0))]
    Unsupported(String),
    #[error("the file system is damaged: inode {inode}: {what}")]
    Damaged { inode: u64, what: &'static str },
    /// Its parts say what they should be.
    #[error("the file system is damaged: {0} does not have its checksum")]
    Checksum(String),
    /// A name that no archive can have.
    #[error("the file system is damaged: {0}")]
    Name(#[from] TarError),
}

impl Ext4Error {
    pub(super) fn damaged(inode: u64, what: &'static str) -> Ext4Error {
        Ext4Error::Damaged { inode, what }
    }
}
