//! Trees of the recipe: whole directories that it brings along, put over what the packages left.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::Permissions;
use std::io::{self, BufReader, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, fchown};
use std::path::Path;

use crate::exec::failure::StepFailure;
use crate::exec::interrupt;
use crate::exec::tree::{Cursor, Place, RootError, Stat, Tree, TreeError, layout};
use crate::format::tar::{TarEntry, TarEntryKind, TarReader};
use crate::plan::Statement;
use crate::plan::root::RootFile;
use crate::world::fs;

/// One tree on its way into the image.
pub(super) struct Placing<'a> {
    pub(super) tree: &'a Tree,
    /// What the recipe says of it.
    pub(super) file: &'a RootFile,
    pub(super) owner: (u32, u32),
    /// What it put there, by inode.
    pub(super) placed: BTreeSet<(u64, u64)>,
}

type Archive = TarReader<BufReader<std::fs::File>>;

impl Placing<'_> {
    /// Writes everything in the archive below a place of the tree. Directories that are there stay as they are; files and
    /// links replace files and links.
    pub(super) fn all(&mut self, archive: &Path, below: &Path) -> Result<(), RootError> {
        let mut reader = TarReader::new(BufReader::with_capacity(1 << 20, fs::open(archive)?));
        let mut cursor = Cursor::new(self.tree);
        while let Some(entry) = reader.next_entry()? {
            let path = below.join(OsStr::from_bytes(entry.path.as_bytes()));
            let failed = |error| TreeError::file("write", &path, error);
            if interrupt::stopped() {
                return Err(failed(ErrorKind::Interrupted.into()).into());
            }
            let place = cursor.at(&path).map_err(failed)?;
            let there = match place.stat() {
                Ok(stat) => Some(stat),
                Err(error) if error.kind() == ErrorKind::NotFound => None,
                Err(error) => return Err(failed(error).into()),
            };
            self.fits(&entry, &path, there)?;
            self.one(&place, (&entry, there), &mut reader).map_err(failed)?;
        }
        Ok(())
    }

    /// Refuses to put a file in the place of a directory and the other way round, and to write through links of the image.
    fn fits(&self, entry: &TarEntry, path: &Path, there: Option<Stat>) -> Result<(), RootError> {
        let Some(there) = there else { return Ok(()) };
        let problem = match (entry.is_directory(), there.directory()) {
            (true, true) | (false, false) => return Ok(()),
            (false, true) => "is a directory in the image, but none in the tree",
            (true, false) if there.link() && self.is_merged(path)? => return Ok(()),
            (true, false) if there.link() => "is a symbolic link in the image, but a directory in the tree",
            (true, false) => "is a file in the image, but a directory in the tree",
        };
        let (path, file) = (Path::new("/").join(path), &self.file.path);
        let text = format!("{} {problem}", path.display());
        Err(StepFailure::recipe(Statement::File(file.clone()), text).into())
    }

    /// Merged /usr is the one link that everybody writes through.
    fn is_merged(&self, path: &Path) -> Result<bool, RootError> {
        let Some(merged) = path.to_str().filter(|path| !path.contains('/')).and_then(layout::merged) else {
            return Ok(false);
        };
        Ok(self.tree.stat(merged)?.is_some_and(|stat| stat.directory()))
    }

    fn one(
        &mut self,
        place: &Place,
        (entry, there): (&TarEntry, Option<Stat>),
        content: &mut Archive,
    ) -> io::Result<()> {
        let (uid, gid) = self.owner;
        match &entry.kind {
            TarEntryKind::Directory if there.is_some() => return Ok(()),
            TarEntryKind::Directory => {
                place.make_directory()?;
                place.own(Some(uid), Some(gid))?;
                place.permit(entry.mode)?;
            }
            TarEntryKind::Symlink(target) => {
                replace(place, there)?;
                place.make_link(OsStr::from_bytes(target))?;
                place.own(Some(uid), Some(gid))?;
            }
            TarEntryKind::File => {
                replace(place, there)?;
                let mut file = place.create()?;
                io::copy(content, &mut file)?;
                // The owner first: changing it clears set-user-id bits.
                fchown(&file, Some(uid), Some(gid))?;
                file.set_permissions(Permissions::from_mode(entry.mode))?;
            }
            _ => return Err(io::Error::other("a tree has files, directories and links only")),
        }
        self.placed.insert(place.stat()?.inode);
        Ok(())
    }
}

fn replace(place: &Place, there: Option<Stat>) -> io::Result<()> {
    if there.is_some() { place.unlink() } else { Ok(()) }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests write files as anybody does")]
mod tests {
    use std::fs as host;
    use std::os::unix::fs::{MetadataExt, symlink};
    use std::path::PathBuf;

    use super::*;
    use crate::exec::tree::tests::Scratch;
    use crate::plan::root::RootContent;
    use crate::recipe::directory::{Directory, Modes};
    use crate::world::dir::Dir;

    /// A tree of an image and the directory that is put over it.
    struct Bench {
        scratch: Scratch,
        app: PathBuf,
    }

    impl Bench {
        fn new(name: &str) -> Bench {
            let scratch = Scratch::new(name);
            let app = scratch.outside().join("app");
            for directory in [&scratch.inside(), &app] {
                host::create_dir_all(directory).unwrap();
            }
            Bench { scratch, app }
        }

        fn put(&self, name: impl AsRef<Path>, text: &str, mode: u32) {
            let path = self.app.join(name);
            host::create_dir_all(path.parent().unwrap()).unwrap();
            host::write(&path, text).unwrap();
            host::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        }

        /// How many things were put below `below`.
        fn place(&self, below: &str) -> Result<usize, RootError> {
            let archive = self.scratch.outside().join("tar");
            let directory = Directory::of(&Dir::open(&self.app).unwrap(), Modes::Exact).unwrap();
            directory.pack(&mut host::File::create(&archive).unwrap()).unwrap();
            let me = self.app.metadata().unwrap();
            let text = || me.uid().to_string();
            let path = format!("/{below}");
            let content = RootContent::Tree(String::new());
            let file = RootFile { path, content, mode: 0, owner: text(), group: text(), capabilities: None };
            let tree = self.scratch.tree();
            let owner = (me.uid(), me.gid());
            let mut placing = Placing { tree: &tree, file: &file, owner, placed: BTreeSet::new() };
            placing.all(&archive, Path::new(below))?;
            Ok(placing.placed.len())
        }

        fn mode(&self, path: &str) -> u32 {
            self.scratch.inside().join(path).symlink_metadata().unwrap().permissions().mode() & 0o7777
        }
    }

    #[test]
    fn files_links_and_directories_lie_over_what_was_there() {
        let bench = Bench::new("over");
        let inside = bench.scratch.inside();
        host::create_dir_all(inside.join("opt/etc")).unwrap();
        host::set_permissions(inside.join("opt/etc"), Permissions::from_mode(0o700)).unwrap();
        host::write(bench.scratch.outside().join("secret"), "untouched").unwrap();
        symlink(bench.scratch.outside().join("secret"), inside.join("opt/etc/conf")).unwrap();
        bench.put("etc/conf", "new", 0o640);
        bench.put("bin/tool", "#!", 0o4755);
        let odd = OsStr::from_bytes(b"a\nb\xff");
        bench.put(odd, "odd", 0o644);
        symlink("/nowhere/at/all", bench.app.join("dangling")).unwrap();
        symlink("loop", bench.app.join("loop")).unwrap();
        // bin, bin/tool, the odd one, two links and etc/conf; opt and opt/etc were there.
        assert_eq!(bench.place("opt").unwrap(), 6);
        assert_eq!(host::read_to_string(inside.join("opt/etc/conf")).unwrap(), "new");
        assert_eq!(host::read_to_string(inside.join("opt").join(odd)).unwrap(), "odd");
        assert_eq!(
            [bench.mode("opt/etc"), bench.mode("opt/etc/conf"), bench.mode("opt/bin/tool")],
            [0o700, 0o640, 0o4755]
        );
        assert_eq!(host::read_link(inside.join("opt/dangling")).unwrap(), Path::new("/nowhere/at/all"));
        assert_eq!(host::read_link(inside.join("opt/loop")).unwrap(), Path::new("loop"));
        assert_eq!(host::read_to_string(bench.scratch.outside().join("secret")).unwrap(), "untouched");
    }

    #[test]
    fn merged_usr_is_written_through_and_no_other_link() {
        let bench = Bench::new("merged");
        let inside = bench.scratch.inside();
        host::create_dir_all(inside.join("usr/bin")).unwrap();
        symlink("usr/bin", inside.join("bin")).unwrap();
        bench.put("bin/tool", "#!", 0o755);
        bench.place("").unwrap();
        assert_eq!(host::read_to_string(inside.join("usr/bin/tool")).unwrap(), "#!");
        symlink("usr", inside.join("other")).unwrap();
        bench.put("other/x", "x", 0o644);
        let error = bench.place("").unwrap_err().to_string();
        assert!(error.contains("/other is a symbolic link in the image, but a directory in the tree"), "{error}");
    }

    #[test]
    fn a_file_and_a_directory_do_not_take_each_others_place() {
        let bench = Bench::new("kinds");
        let inside = bench.scratch.inside();
        host::create_dir_all(inside.join("opt/a")).unwrap();
        bench.put("a", "file", 0o644);
        let error = bench.place("opt").unwrap_err().to_string();
        assert!(error.contains("/opt/a is a directory in the image, but none in the tree"), "{error}");
        host::remove_dir(inside.join("opt/a")).unwrap();
        host::write(inside.join("opt/b"), "file").unwrap();
        bench.put("b/c", "file", 0o644);
        let error = bench.place("opt").unwrap_err().to_string();
        assert!(error.contains("/opt/b is a file in the image, but a directory in the tree"), "{error}");
    }
}
