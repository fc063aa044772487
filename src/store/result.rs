//! Results of actions: which blobs and trees came out, by action digest, as REAPI `ActionResult` messages.
//!
//! Unlike a blob, a result is not named by what it says, so a checksum of its name and its message stands before it: one
//! changed byte, or a file under another's name, is no result, and the step runs again.

use std::collections::BTreeMap;
use std::path::PathBuf;

use prost::Message;

use super::blob::{KnownSize, is_private};
use super::{Presence, Store, StoreError};
use crate::base::Digest;
use crate::plan::reapi::{ActionResult, BlobDigest, OutputDirectory, OutputFile};
use crate::world::fs;

/// No result is larger.
pub(super) const LIMIT: u64 = 16 << 20;

/// One thing that a step left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// A file.
    File {
        digest: Digest,
        size: u64,
        /// Whether it may be run.
        executable: bool,
    },
    /// A directory.
    Tree {
        /// Digest of its root `Directory` message: what actions name it by, and where it is in the store.
        root: Digest,
        /// Bytes of that message.
        root_size: u64,
        /// Blob with the `Tree` message: all its directories.
        messages: Digest,
        /// Bytes of that message.
        messages_size: u64,
    },
}

/// What a step left behind, by declared path.
pub type ResultOutputs = BTreeMap<String, Output>;

impl Store {
    fn result_path(&self, action: &Digest) -> PathBuf {
        self.root.join("ac").join(action.hex())
    }

    /// Keeps what came of an action.
    pub fn put_result(&self, action: &Digest, outputs: &BTreeMap<String, Output>) -> Result<(), StoreError> {
        let bytes = seal(action, &to_message(outputs).encode_to_vec());
        let mode = if self.are_public(outputs) { PUBLIC } else { PRIVATE };
        let written = fs::write_with_mode(&self.result_path(action), &bytes, mode);
        written.map_err(|error| StoreError::at(&self.root, error))
    }

    /// What came of an action, when that is known; whether the outputs are at hand is another question. A result that
    /// cannot be read is none.
    pub fn get_result(&self, action: &Digest) -> Option<BTreeMap<String, Output>> {
        let outputs = self.peek_result(action)?;
        // Garbage collection goes by last use; not to record it is no error.
        let _ = fs::touch(&self.result_path(action));
        Some(outputs)
    }

    /// [`Store::get_result`] that does not count as use.
    pub fn peek_result(&self, action: &Digest) -> Option<BTreeMap<String, Output>> {
        let bytes = fs::read(&self.result_path(action), LIMIT).ok()?;
        parse(action, &bytes)
    }

    /// Whether everybody may know of these outputs: all are here, and none is closed.
    pub(super) fn are_public(&self, outputs: &ResultOutputs) -> bool {
        let is_public = |part: &str, digest: &Digest| {
            let path = self.root.join(part).join(digest.hex());
            path.symlink_metadata().is_ok() && !is_private(&path)
        };
        outputs.values().all(|output| match output {
            Output::File { digest, .. } => is_public("cas", digest),
            Output::Tree { root, .. } => is_public("tree", root),
        })
    }

    /// Forgets what came of an action.
    pub fn forget_result(&self, action: &Digest) -> Result<(), StoreError> {
        fs::remove_file(&self.result_path(action)).map_err(|error| StoreError::at(&self.root, error))
    }

    /// Whether an output is in the store and sound.
    pub fn output(&self, output: &Output) -> Result<Presence, StoreError> {
        match output {
            Output::File { digest, size, .. } => self.check_sized(digest, KnownSize::Exactly(*size)),
            Output::Tree { root, .. } => self.check_tree(root),
        }
    }
}

/// Modes of results.
pub(super) const PUBLIC: u32 = 0o644;
pub(super) const PRIVATE: u32 = 0o600;

/// The outputs in the bytes of a result.
pub(super) fn parse(action: &Digest, bytes: &[u8]) -> Option<ResultOutputs> {
    from_message(ActionResult::decode(unseal(action, bytes)?).ok()?)
}

/// Checksum and message.
fn seal(action: &Digest, message: &[u8]) -> Vec<u8> {
    [checksum(action, message).as_bytes(), message].concat()
}

/// The message, when it is the one that was kept under this name.
fn unseal<'a>(action: &Digest, bytes: &'a [u8]) -> Option<&'a [u8]> {
    let (found, message) = bytes.split_at_checked(Digest::of(b"").as_bytes().len())?;
    (checksum(action, message).as_bytes() == found).then_some(message)
}

fn checksum(action: &Digest, message: &[u8]) -> Digest {
    Digest::of(&[action.as_bytes(), message].concat())
}

/// As the protocol spells it.
fn to_message(outputs: &BTreeMap<String, Output>) -> ActionResult {
    let mut message = ActionResult::default();
    for (path, output) in outputs {
        match output {
            Output::File { digest, size, executable } => message.output_files.push(OutputFile {
                path: path.clone(),
                digest: Some(BlobDigest::new(digest, *size)),
                is_executable: *executable,
            }),
            Output::Tree { root, root_size, messages, messages_size } => {
                message.output_directories.push(OutputDirectory {
                    path: path.clone(),
                    tree_digest: Some(BlobDigest::new(messages, *messages_size)),
                    root_directory_digest: Some(BlobDigest::new(root, *root_size)),
                });
            }
        }
    }
    message
}

/// `None` when a digest is missing or none.
fn from_message(message: ActionResult) -> Option<BTreeMap<String, Output>> {
    let mut outputs = BTreeMap::new();
    for file in message.output_files {
        let (digest, size) = file.digest?.parts()?;
        outputs.insert(file.path, Output::File { digest, size, executable: file.is_executable });
    }
    for directory in message.output_directories {
        let (messages, messages_size) = directory.tree_digest?.parts()?;
        let (root, root_size) = directory.root_directory_digest?.parts()?;
        outputs.insert(directory.path, Output::Tree { root, root_size, messages, messages_size });
    }
    Some(outputs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_changed_byte_and_another_name_make_it_no_result() {
        let (action, other) = (Digest::of(b"action"), Digest::of(b"other"));
        let sealed = seal(&action, b"message");
        assert_eq!(unseal(&action, &sealed), Some(b"message".as_slice()));
        assert_eq!(unseal(&other, &sealed), None);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(unseal(&action, &changed), None, "{at}");
            assert_eq!(unseal(&action, &sealed[..at]), None, "{at}");
        }
    }

    #[test]
    fn results_survive_their_message() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let outputs = BTreeMap::from([
            ("disk.qcow2".to_owned(), Output::File { digest: a, size: 1, executable: false }),
            ("tree".to_owned(), Output::Tree { root: a, root_size: 2, messages: b, messages_size: 3 }),
        ]);
        let bytes = to_message(&outputs).encode_to_vec();
        assert_eq!(from_message(ActionResult::decode(bytes.as_slice()).unwrap()), Some(outputs));
        let broken = OutputFile { path: "x".to_owned(), digest: None, is_executable: false };
        assert_eq!(from_message(ActionResult { output_files: vec![broken], ..Default::default() }), None);
    }
}
