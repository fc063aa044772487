//! The messages of the Bazel Remote Execution API (v2) that step ids are digests of. Field numbers are those of
//! `build/bazel/remote/execution/v2/remote_execution.proto`; fields that kiln never sets are left out, which does not
//! change the encoding. Repeated fields that the protocol wants sorted are sorted by whoever fills them.

use prost::Message;

use crate::base::Digest;

/// Digest of a blob: hexadecimal SHA-256 and size.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct BlobDigest {
    /// Lower-case hexadecimal.
    #[prost(string, tag = "1")]
    pub hash: String,
    /// Bytes.
    #[prost(int64, tag = "2")]
    pub size_bytes: i64,
}

impl BlobDigest {
    /// Spelled as the protocol wants it.
    pub fn new(digest: &Digest, size: u64) -> BlobDigest {
        BlobDigest { hash: digest.hex(), size_bytes: i64::try_from(size).expect("no blob has 2^63 bytes") }
    }

    /// Digest and size; `None` when somebody wrote something else there.
    pub fn parts(&self) -> Option<(Digest, u64)> {
        Some((self.hash.parse().ok()?, u64::try_from(self.size_bytes).ok()?))
    }
}

/// What to run, on what.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Action {
    /// Digest of the [`Command`].
    #[prost(message, optional, tag = "1")]
    pub command_digest: Option<BlobDigest>,
    /// Digest of the root [`Directory`].
    #[prost(message, optional, tag = "2")]
    pub input_root_digest: Option<BlobDigest>,
    /// Keeps results of different rule sets apart: the output version.
    #[prost(bytes = "vec", tag = "9")]
    pub salt: Vec<u8>,
    /// What the worker must offer.
    #[prost(message, optional, tag = "10")]
    pub platform: Option<Platform>,
}

/// The process.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Command {
    /// `argv`.
    #[prost(string, repeated, tag = "1")]
    pub arguments: Vec<String>,
    /// Sorted by name.
    #[prost(message, repeated, tag = "2")]
    pub environment_variables: Vec<EnvironmentVariable>,
    /// Sorted; relative to the working directory.
    #[prost(string, repeated, tag = "7")]
    pub output_paths: Vec<String>,
    /// Where the command starts, relative to the input root.
    #[prost(string, tag = "6")]
    pub working_directory: String,
}

/// One variable.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct EnvironmentVariable {
    /// Name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Value.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// What the worker must offer.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Platform {
    /// Sorted by name, then value.
    #[prost(message, repeated, tag = "1")]
    pub properties: Vec<Property>,
}

/// One demand.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Property {
    /// Name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Value.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// One directory of a Merkle tree; entries sorted by name.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Directory {
    /// Files.
    #[prost(message, repeated, tag = "1")]
    pub files: Vec<FileNode>,
    /// Directories.
    #[prost(message, repeated, tag = "2")]
    pub directories: Vec<DirectoryNode>,
    /// Symbolic links.
    #[prost(message, repeated, tag = "3")]
    pub symlinks: Vec<SymlinkNode>,
}

/// A file in a directory.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct FileNode {
    /// Name without slashes.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its bytes.
    #[prost(message, optional, tag = "2")]
    pub digest: Option<BlobDigest>,
    /// Whether it may be run.
    #[prost(bool, tag = "4")]
    pub is_executable: bool,
}

/// A directory in a directory.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct DirectoryNode {
    /// Name without slashes.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Digest of its [`Directory`].
    #[prost(message, optional, tag = "2")]
    pub digest: Option<BlobDigest>,
}

/// A symbolic link in a directory.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SymlinkNode {
    /// Name without slashes.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Where it points.
    #[prost(string, tag = "2")]
    pub target: String,
}

/// A directory with all directories below it.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Tree {
    /// The root.
    #[prost(message, optional, tag = "1")]
    pub root: Option<Directory>,
    /// Every other directory.
    #[prost(message, repeated, tag = "2")]
    pub children: Vec<Directory>,
}

/// What came out.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ActionResult {
    /// Files, sorted by path.
    #[prost(message, repeated, tag = "2")]
    pub output_files: Vec<OutputFile>,
    /// Directories, sorted by path.
    #[prost(message, repeated, tag = "3")]
    pub output_directories: Vec<OutputDirectory>,
    /// The command's exit code.
    #[prost(int32, tag = "4")]
    pub exit_code: i32,
}

/// A file that came out.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct OutputFile {
    /// Relative to the working directory.
    #[prost(string, tag = "1")]
    pub path: String,
    /// Its bytes.
    #[prost(message, optional, tag = "2")]
    pub digest: Option<BlobDigest>,
    /// Whether it may be run.
    #[prost(bool, tag = "4")]
    pub is_executable: bool,
}

/// A directory that came out.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct OutputDirectory {
    /// Relative to the working directory.
    #[prost(string, tag = "1")]
    pub path: String,
    /// Digest of a `Tree` message.
    #[prost(message, optional, tag = "3")]
    pub tree_digest: Option<BlobDigest>,
    /// Digest of the root [`Directory`] itself.
    #[prost(message, optional, tag = "5")]
    pub root_directory_digest: Option<BlobDigest>,
}
