//! A `.deb` as [`Package`]: the unpacker knows nothing of its format.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::PathBuf;

use crate::debian::deb::{self, Control, Data};
use crate::exec::tree::{Attributes, Entry, Files, Kind, Package, PathFilter, RootError};
use crate::world::fs;

/// Behind the name of a file that dpkg puts in its place when it configures the package.
const CONFFILE: &str = ".dpkg-new";

/// A package that has not been opened yet.
pub(crate) struct Deb<'a> {
    /// For messages.
    pub(crate) name: String,
    pub(crate) file: PathBuf,
    /// What of it is left out, if anything is.
    pub(crate) filter: Option<&'a PathFilter<'a>>,
}

impl Package for Deb<'_> {
    type Head = Control;

    fn name(&self) -> &str {
        &self.name
    }

    fn size(&self) -> Result<u64, RootError> {
        Ok(fs::context("read", &self.file, self.file.metadata())?.len())
    }

    fn leaves_out(&self, entry: &Entry) -> bool {
        self.filter.is_some_and(|filter| filter.leaves_out(entry))
    }

    fn open(&self) -> Result<(Control, Box<dyn Files>), RootError> {
        let (control, data) =
            deb::open(fs::open(&self.file)?).map_err(|error| RootError::package(&self.name, error))?;
        // `remove-on-upgrade /path` lines name files that are not in the package (deb-conffiles(5)).
        let conffiles = control.lines("conffiles").iter().map(|line| line.trim_start_matches('/').to_owned()).collect();
        Ok((control, Box::new(Content { package: self.name.clone(), data, conffiles })))
    }
}

/// The files of an open package.
struct Content {
    package: String,
    data: Data<'static>,
    conffiles: BTreeSet<String>,
}

impl Files for Content {
    fn next(&mut self) -> Result<Option<Entry>, RootError> {
        let entry = self.data.next().map_err(|error| RootError::package(&self.package, error))?;
        Ok(entry.map(|entry| {
            let deb::DebEntry { path, kind, mode, uid, gid, mtime } = entry;
            let suffix = if self.conffiles.contains(&path) { CONFFILE } else { "" };
            let kind = match kind {
                deb::DebEntryKind::File(_) => Kind::File,
                deb::DebEntryKind::Directory => Kind::Directory,
                deb::DebEntryKind::Link(target) => Kind::Link(target),
                deb::DebEntryKind::Hard(target) => Kind::Hard(target),
            };
            Entry { path, kind, attributes: Attributes { mode, uid, gid, mtime }, suffix }
        }))
    }
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.data.read(buffer)
    }
}
