//! What somebody has who has another lock or bundle.

use std::io::{BufReader, Read};
use std::path::Path;

use super::{FILES, Sizes, inputs_of};
use crate::base::{ByteSize, Digest};
use crate::format::tar::TarReader;
use crate::lock::{self, Lock};
use crate::ops::error::{BundleError, LockError, OpsError};
use crate::ops::load::{self, LOCK_LIMIT};
use crate::ops::project;
use crate::world::{World, fs};

/// Where an archive says that it is one.
const MAGIC: std::ops::Range<usize> = 257..262;

/// The files of a bundle, or those that a lock names; of a recipe, its own lock.
pub(super) fn held(world: &dyn World, file: &Path) -> Result<Sizes, OpsError> {
    if file.extension().is_some_and(|extension| extension == "kiln") {
        let lock = project::lock_path(&world.canonical(file)?);
        let locked = load::read_lock(world, &lock)?.ok_or(LockError::Missing(lock))?;
        return Ok(of_locked(&locked));
    }
    let mut head = Vec::new();
    fs::context("read", file, fs::open(file)?.take(MAGIC.end as u64).read_to_end(&mut head))?;
    let known = if head.get(MAGIC) == Some(b"ustar") { of_bundle(file) } else { of_lock(file)? };
    known.map_err(|reason| BundleError::Since { file: file.to_owned(), reason }.into())
}

/// What is in it, by its names: a wrong one is found by whoever unpacks what leaves it out.
fn of_bundle(file: &Path) -> Result<Sizes, String> {
    let opened = fs::open(file).map_err(|error| error.to_string())?;
    let mut reader = TarReader::new(BufReader::with_capacity(1 << 20, opened));
    let mut found = Sizes::new();
    while let Some(entry) = reader.next_entry().map_err(|error| error.to_string())? {
        let name = String::from_utf8_lossy(entry.path.as_bytes()).into_owned();
        let name = name.strip_prefix(FILES).and_then(|name| name.strip_prefix('/'));
        if let Some(digest) = name.and_then(|name| name.parse::<Digest>().ok()) {
            found.insert(digest, entry.size);
        }
    }
    Ok(found)
}

fn of_lock(file: &Path) -> Result<Result<Sizes, String>, OpsError> {
    if !project::is_lock(file) && fs::open(file)?.metadata().is_ok_and(|found| found.len() > LOCK_LIMIT) {
        return Ok(Err(format!("it is no archive, and larger than a lock ({})", ByteSize(LOCK_LIMIT))));
    }
    let Ok(text) = String::from_utf8(fs::read(file, LOCK_LIMIT)?) else { return Ok(Err("not UTF-8".to_owned())) };
    Ok(lock::read(&text).map_err(|error| error.to_string()).map(|lock| of_locked(&lock)))
}

fn of_locked(lock: &Lock) -> Sizes {
    let outputs = lock.outputs.values().map(|output| (output.file.sha256, output.file.size));
    inputs_of(lock).into_iter().chain(outputs).collect()
}
