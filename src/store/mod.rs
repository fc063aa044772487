//! Content-addressed bytes on disk: `cas/<sha256>` blobs, `ac/<sha256>` results, `tree/<sha256>` materialised trees.
//!
//! Input: bytes with a digest. Output: the same bytes, checked. It must not know what any blob means.
//!
//! What holds, whatever is interrupted at whatever moment:
//!
//! * a name appears below `cas`, `ac` or `tree` only when its content is complete, synced and equal to its name;
//! * a blob is checked when it comes in and when it goes out. The second check is skipped for a file whose device,
//!   inode, size and times of modification and change are those of a file that was checked before: writing to it
//!   through the kernel cannot go unnoticed (a change within the same clock tick as the check, and a disk that forgets,
//!   can; `kiln gc --check` reads everything anew);
//! * several kilns share a store: whoever does a piece of work holds its lock, the others wait and find the result;
//!   everything unfinished is below `tmp` in a directory whose lock its maker holds, so that it is known as left over
//!   the moment the maker is gone.
//!
//! Stores below this one may have what is missing here (`below/`): content is taken from them wherever it is named by its digest,
//! and results only by those who ask for them as such. Everything is written here.
//!
//! Others may read blobs and trees, as far as they may reach the store at all, but for those that were made from private
//! files of a recipe, and results where the store is shared (`share.rs`); everything else is closed to them, locks above all. What sandboxes leave is foreign until it is an
//! object (`take.rs`).
//!
//! Equal files of trees may share blocks (`alike.rs`): each is a file of its own all the same, and is checked as one.
//!
//! Build directories that are kept for the next run of a step (`incremental/<sha256>`) are no content: nothing refers to them.
//!
//! After a loss of power, files whose directory entry was not yet written are missing, which means done again.

mod alike;
mod beginning;
mod below;
mod blob;
mod error;
pub mod gc;
mod incremental;
mod layout;
mod lock;
mod owner;
mod pack;
mod piped;
mod plain;
mod result;
mod root;
mod session;
mod share;
mod stamp;
mod stored;
mod take;
mod tree;
mod walk;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use crate::world::dir::Dir;
use crate::world::{World, fs};

pub use below::{Below, BelowResult, BelowTrust, BelowUsage};
pub use blob::{BlobWriter, Presence, Visibility, is_private};
pub use error::{BelowProblem, StoreError, TreeRefusal};
pub use incremental::KeptState;
pub use lock::StoreLock;
pub use pack::TreeWriter;
pub use piped::{Arrived, PipeError, PipedFile};
pub use plain::Owner;
pub use result::{Output, ResultOutputs};
pub use root::{RootName, StoreRoot};
pub use stamp::Stamp;
pub use stored::{StoredTree, TreeItem};
pub use take::{Taking, TransientFile};

use below::Layers;
use session::Session;
use stamp::Stamps;

/// A store that this process has open.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    /// Temporary files of this process.
    session: Session,
    /// Files that are known to be what their digests say.
    stamps: Mutex<Stamps>,
    /// Held as long as the store is open, so that garbage collection waits.
    shared: StoreLock,
    /// Whose blobs and trees are, when not this process's own.
    owner: Option<Owner>,
    /// Whose new files are here: on some file systems not this process's.
    native: Owner,
    /// Where what is missing here is looked for.
    layers: Layers,
    /// Whether files can share blocks, once that was asked.
    shares_blocks: OnceLock<bool>,
}

impl Store {
    /// Where the user's store is: `$KILN_STORE`, else `$XDG_CACHE_HOME/kiln`, else `~/.cache/kiln`.
    pub fn default_root(world: &dyn World) -> Option<PathBuf> {
        let below = |name: &str, rest: &str| world.env(name).map(|value| Path::new(&value).join(rest));
        let root = below("KILN_STORE", "").or_else(|| below("XDG_CACHE_HOME", "kiln"));
        root.or_else(|| below("HOME", ".cache/kiln"))
    }

    /// The user's store; `owner` as for [`Store::open_for`].
    pub fn open_default(world: &dyn World, owner: Option<Owner>) -> Result<Store, StoreError> {
        Store::open_for(&Store::default_root(world).ok_or(StoreError::Nowhere)?, owner)
    }

    /// Whether there is a store at `root`.
    pub fn is_at(root: &Path) -> bool {
        root.join("cas").is_dir()
    }

    /// Opens, and makes where there is none, the store at `root`.
    pub fn open(root: &Path) -> Result<Store, StoreError> {
        Store::open_for(root, None)
    }

    /// The same with blobs and trees that belong to somebody else than this process, which must be root then: to whom
    /// the programs of its sandboxes are outside.
    pub fn open_for(root: &Path, owner: Option<Owner>) -> Result<Store, StoreError> {
        layout::prepare(root)?;
        // Mount points of sandboxes and keys of the lock table are absolute.
        let root = fs::context("resolve", root, root.canonicalize())?;
        // Until builds listen, a signal ends the process: it need not be asked for.
        let shared = StoreLock::shared(&root.join("lock/store"), &|| false).map_err(|error| error.of(&root))?;
        let session = Session::open(&root.join("tmp")).map_err(|error| error.of(&root))?;
        let native = Owner::of(&Dir::open(session.place())?.stat()?);
        let stamps = Mutex::new(Stamps::read(&root.join("stamps"))?);
        let store = Store {
            root,
            session,
            stamps,
            shared,
            owner,
            native,
            layers: Layers::default(),
            shares_blocks: OnceLock::new(),
        };
        store.settle_owner()?;
        Ok(store)
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Bytes that can still be written to its disk, if that is known.
    pub fn free(&self) -> Option<u64> {
        let found = rustix::fs::statvfs(&self.root).ok()?;
        Some(found.f_bavail.saturating_mul(found.f_frsize))
    }

    /// A fresh empty directory on the store's file system; it is removed with its content when the process ends, or
    /// by the next process when this one is killed.
    pub fn scratch(&self, purpose: &str) -> Result<PathBuf, StoreError> {
        self.session.directory(purpose).map_err(|error| error.of(&self.root))
    }

    /// Directories that earlier processes left behind and that this user may not remove: they hold files of
    /// subordinate ids. Whoever can make a user namespace removes them.
    pub fn leftovers(&self) -> &[PathBuf] {
        self.session.leftovers()
    }

    /// Waits until no other process or thread does the work named `key`, then keeps them out. `stop` is asked now and
    /// then; when it says so, the wait ends with [`StoreError::Interrupted`].
    pub fn lock(&self, key: &crate::base::Digest, stop: &dyn Fn() -> bool) -> Result<StoreLock, StoreError> {
        StoreLock::exclusive(&self.root.join("lock").join(key.hex()), stop).map_err(|error| error.of(&self.root))
    }

    /// Where the log of a failed step is kept.
    pub fn log_path(&self, key: &crate::base::Digest) -> PathBuf {
        self.root.join("log").join(key.hex())
    }

    /// Keeps all others out, if there are none now; they wait while this store is open.
    fn alone(&self) -> Result<Option<&StoreLock>, StoreError> {
        self.shared.upgrade(&self.root.join("lock/store"))
    }

    /// A note taken under this name; they speed things up, or say what this store has carried out, and may go at any time.
    pub fn recall(&self, name: &crate::base::Digest) -> Option<Vec<u8>> {
        fs::read(&self.root.join("note").join(name.hex()), NOTE).ok()
    }

    /// Takes a note.
    pub fn note(&self, name: &crate::base::Digest, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.root.join("note").join(name.hex());
        fs::write_atomically(&path, bytes).map_err(|error| StoreError::at(&self.root, error))
    }
}

/// No note is larger.
const NOTE: u64 = 256 << 20;
