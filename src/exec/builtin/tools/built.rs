//! [`crate::plan::Builtin::QemuTree`]: packages unpacked side by side, and over them what a build of the recipe installed.
//!
//! The build's directory is foreign: it goes through an archive into the tree, where every path is resolved within the tree.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::BufReader;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::{BuiltinContext, MTIME, merge_into};
use crate::exec::failure::StepFailure;
use crate::exec::interrupt;
use crate::exec::tree::{HostPath, RootError, Tree, TreeError};
use crate::format::tar::{TarEntryKind, TarReader};
use crate::plan::Statement;
use crate::plan::qemu::{BUILT, PROGRAMS};
use crate::recipe::directory::{Directory, Modes};
use crate::world::dir::Dir;
use crate::world::fs;

/// Where the QEMUs of Debian's packages are, and where a build's must be.
const DIRECTORY: &str = "usr/bin/";

/// Bytes of a list of programs.
const LIMIT: u64 = 1 << 16;

/// Inputs `*.deb`, `built` and `programs`; output `tree`.
pub fn qemu(context: &BuiltinContext<'_>) -> Result<(), RootError> {
    let input = |name: &str| {
        let missing = || StepFailure::bug(format!("the step `{}` has no input `{name}`", context.step));
        context.inputs.get(name).ok_or_else(missing)
    };
    let archive = archive(input(BUILT)?, context.scratch)?;
    let programs = fs::read(input(PROGRAMS)?, LIMIT)?;
    let tree = HostPath::new(context.out.join("tree")).open()?;
    merge_into(context, &tree)?;
    let left = lay_over(&archive, &tree)?;
    // Those of the packages beside it would run in its place.
    if let Some(missing) = String::from_utf8_lossy(&programs).lines().find(|program| !left.contains(*program)) {
        let failure = StepFailure::recipe(Statement::Block, format!("the build left no `{DIRECTORY}{missing}`"));
        let help = "configure it with `--prefix=/usr`, and install it with `make install DESTDIR=...` into the output; \
                    the program has to be a file, and no link";
        return Err(failure.help(help).into());
    }
    Ok(tree.set_times(MTIME)?)
}

/// What the build left, as an archive.
fn archive(built: &Path, scratch: &Path) -> Result<PathBuf, RootError> {
    if fs::open_unless_directory(built)?.is_some() {
        let failure = StepFailure::recipe(Statement::Block, "the build left a file, and a QEMU is a directory");
        return Err(failure.help("leave a directory with `usr/bin/qemu-system-...` in it").into());
    }
    let path = scratch.join("built.tar");
    let packed = Directory::of(&Dir::open(built)?, Modes::Executable)
        .and_then(|directory| directory.pack(&mut fs::create_new(&path)?));
    packed.map_err(StepFailure::input)?;
    Ok(path)
}

/// Files and links replace those of packages. The files that may be programs now, by name.
fn lay_over(archive: &Path, tree: &Tree) -> Result<BTreeSet<String>, RootError> {
    let mut reader = TarReader::new(BufReader::with_capacity(1 << 20, fs::open(archive)?));
    let mut programs = BTreeSet::new();
    while let Some(entry) = reader.next_entry()? {
        let path = Path::new(OsStr::from_bytes(entry.path.as_bytes()));
        if interrupt::stopped() {
            return Err(TreeError::file("write", path, std::io::ErrorKind::Interrupted.into()).into());
        }
        let program = entry.path.as_bytes().strip_prefix(DIRECTORY.as_bytes()).map(String::from_utf8_lossy);
        match &entry.kind {
            TarEntryKind::Directory => tree.directory(path)?,
            TarEntryKind::Symlink(target) if replaceable(tree, path)? => tree.link(path, OsStr::from_bytes(target))?,
            TarEntryKind::File if replaceable(tree, path)? => {
                tree.copy(&mut reader, path, entry.mode)?;
            }
            _ => {
                let text = format!("`/{}` is a directory in the packages, but none in the build", path.display());
                return Err(StepFailure::recipe(Statement::Block, text).into());
            }
        }
        // A link is followed by nobody who starts it.
        let is_file = entry.kind == TarEntryKind::File;
        programs.extend(program.filter(|_| is_file).map(std::borrow::Cow::into_owned));
    }
    Ok(programs)
}

/// Whether nothing is there, or something that may make room.
fn replaceable(tree: &Tree, path: &Path) -> Result<bool, RootError> {
    Ok(!tree.stat(path)?.is_some_and(|stat| stat.directory()))
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests write files as anybody does")]
mod tests {
    use std::fs as host;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::exec::tree::tests::Scratch;

    /// A tree with merged `/usr` and a file in it, and an archive of what a build left.
    fn laid(name: &str, fill: impl FnOnce(&Path)) -> (Scratch, Result<BTreeSet<String>, RootError>) {
        let scratch = Scratch::new(name);
        let (inside, built) = (scratch.inside(), scratch.outside().join("built"));
        host::create_dir_all(inside.join("usr/lib/module")).unwrap();
        symlink("usr/lib", inside.join("lib")).unwrap();
        host::write(inside.join("usr/lib/old"), "packaged").unwrap();
        host::create_dir_all(&built).unwrap();
        host::write(scratch.outside().join("secret"), "untouched").unwrap();
        fill(&built);
        let archive = archive(&built, &scratch.outside());
        let found = archive.and_then(|archive| lay_over(&archive, &scratch.tree()));
        (scratch, found)
    }

    #[test]
    fn a_build_replaces_files_of_packages_and_is_a_qemu_only_with_a_program() {
        let (scratch, found) = laid("over", |built| {
            host::create_dir_all(built.join("usr/bin")).unwrap();
            host::create_dir_all(built.join("lib")).unwrap();
            host::write(built.join("usr/bin/qemu-system-x86_64"), "\x7fELF").unwrap();
            host::write(built.join("lib/old"), "built").unwrap();
        });
        assert!(found.unwrap().contains("qemu-system-x86_64"));
        assert_eq!(host::read_to_string(scratch.inside().join("usr/lib/old")).unwrap(), "built");
        let (_, found) = laid("no-program", |built| host::write(built.join("README"), "").unwrap());
        assert!(found.unwrap().is_empty());
        // Whoever starts a QEMU follows no link.
        let (_, found) = laid("renamed", |built| {
            host::create_dir_all(built.join("usr/bin")).unwrap();
            symlink("../libexec/qemu", built.join("usr/bin/qemu-system-x86_64")).unwrap();
        });
        assert!(found.unwrap().is_empty());
    }

    #[test]
    fn links_of_a_build_lead_nowhere_outside_and_directories_stay_directories() {
        let (scratch, found) = laid("links", |built| {
            symlink("../../../outside/secret", built.join("escape")).unwrap();
            symlink("/etc", built.join("etc")).unwrap();
        });
        assert!(found.unwrap().is_empty());
        assert_eq!(host::read_to_string(scratch.outside().join("secret")).unwrap(), "untouched");
        let (_, found) = laid("kinds", |built| {
            host::create_dir_all(built.join("usr/lib")).unwrap();
            host::write(built.join("usr/lib/module"), "").unwrap();
        });
        let error = found.unwrap_err().to_string();
        assert!(error.contains("`/usr/lib/module` is a directory in the packages"), "{error}");
    }

    #[test]
    fn a_file_is_no_qemu() {
        let scratch = Scratch::new("file");
        let file = scratch.outside().join("qemu");
        host::write(&file, "").unwrap();
        let error = archive(&file, &scratch.outside()).unwrap_err().to_string();
        assert!(error.contains("the build left a file"), "{error}");
    }
}
