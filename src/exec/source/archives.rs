//! Archives of local sources for one run of a step, and where they are.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Changes, LocalInputs, SourceEntry, SourceTree, UnusableSource, changes};
use crate::base::Digest;
use crate::exec::executor::{Provided, Request};
use crate::plan::id;
use crate::world::dir::Dir;
use crate::world::{WorldError, fs};

/// What an archive's name ends with, and what is there instead in the name of the list of paths that are gone.
const ENDING: (&str, &str) = (".tar", ".removed");

/// A directory that no sandbox has.
pub(in crate::exec) struct Archives<'a> {
    place: PathBuf,
    /// Whether to give up.
    stop: &'a dyn Fn() -> bool,
}

impl<'a> Archives<'a> {
    pub(in crate::exec) fn make(scratch: &Path, stop: &'a dyn Fn() -> bool) -> Result<Archives<'a>, WorldError> {
        let place = scratch.join("sources");
        Dir::make(&place, 0o755)?;
        Ok(Archives { place, stop })
    }

    /// Gives the step everything that is in its local sources.
    pub(in crate::exec) fn whole(&self, local: &LocalInputs, request: &mut Request) -> Result<(), UnusableSource> {
        for (input, tree) in local {
            let path = self.archive(input, tree, &|_| true)?;
            request.inputs.entry(input.clone()).and_modify(|provided| provided.path = path);
        }
        Ok(())
    }

    /// Gives the step what is new in one, and the paths that are gone.
    pub(in crate::exec) fn changes(
        &self,
        (input, tree): (&str, &Arc<SourceTree>),
        kept: &[SourceEntry],
        request: &mut Request,
    ) -> Result<(), UnusableSource> {
        let Changes { written, removed } = changes(kept, tree);
        let path = self.archive(input, tree, &|entry| written.contains(&entry.path))?;
        request.inputs.entry(input.to_owned()).and_modify(|provided| provided.path = path);
        let list: Vec<u8> = removed.iter().flat_map(|path| [path.as_bytes(), b"\0"].concat()).collect();
        let name = input.replace(ENDING.0, ENDING.1);
        let path = self.place.join(Digest::of(name.as_bytes()).hex());
        fs::write_atomically(&path, &list).map_err(|error| UnusableSource::new(&tree.root, error))?;
        request.inputs.insert(name, Provided { value: id::inline(&list), path });
        Ok(())
    }

    fn archive(
        &self,
        input: &str,
        tree: &SourceTree,
        wanted: &dyn Fn(&SourceEntry) -> bool,
    ) -> Result<PathBuf, UnusableSource> {
        let path = self.place.join(Digest::of(input.as_bytes()).hex());
        let mut file = fs::create_anew(&path).map_err(|error| UnusableSource::new(&tree.root, error))?;
        tree.pack(&mut file, wanted, self.stop).map_err(|error| UnusableSource::new(&tree.root, error))?;
        fs::protect(&path, 0o644, None).map_err(|error| UnusableSource::new(&tree.root, error))?;
        Ok(path)
    }
}
