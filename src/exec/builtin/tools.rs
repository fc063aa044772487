//! [`crate::plan::Builtin::Tools`]: packages unpacked side by side into a tree that sandboxes use as their root.
//!
//! Nothing is configured: no script of a package runs. What programs need of that, kiln does itself: merged `/usr`,
//! the links that `update-alternatives` would make, and a `passwd` with root in it.

mod alternatives;
mod built;

pub use built::qemu;

use std::path::{Path, PathBuf};

use super::BuiltinContext;
use crate::base::Arch;
use crate::debian::deb::Control;
use crate::exec::debian::Deb;
use crate::exec::tree::{HostPath, RootError, Tree, UnpackMode, Unpacked, Verdict, unpack};

/// The time of every file: the earliest that all archive formats can hold (1980-01-01, zip's).
const MTIME: i64 = 315_532_800;

/// Mount points and directories that programs expect.
const DIRECTORIES: [&str; 9] = ["dev", "etc", "proc", "run", "sys", "tmp", "var", "build", "root"];

const PASSWD: &[u8] = b"root:x:0:0:root:/nonexistent:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n";
const GROUP: &[u8] = b"root:x:0:\nnogroup:x:65534:\n";

/// Carries the step out: inputs `*.deb` become the output `tree`.
pub fn run(context: &BuiltinContext<'_>) -> Result<(), RootError> {
    merge_into(context, &HostPath::new(context.out.join("tree")).open()?)
}

/// Fills a tree with the step's packages.
fn merge_into(context: &BuiltinContext<'_>, tree: &Tree) -> Result<(), RootError> {
    let debs = context.inputs.iter().filter(|(name, _)| name.ends_with(".deb"));
    let packages: Vec<(String, PathBuf)> = debs.map(|(name, path)| (name.clone(), path.clone())).collect();
    fill(&packages, tree)
}

/// Unpacks `packages` (name for messages, file) into the new directory `root`. Where two ship one file, the later in
/// the list wins.
pub fn merge(packages: &[(String, PathBuf)], root: &Path) -> Result<(), RootError> {
    fill(packages, &HostPath::new(root.to_owned()).open()?)
}

/// The same in a tree that is there.
pub(crate) fn fill(packages: &[(String, PathBuf)], tree: &Tree) -> Result<(), RootError> {
    let manner = UnpackMode { arch: Arch::BUILD, faithful: false, mtime: Some(MTIME) };
    let deb = |(name, file): &(String, PathBuf)| Deb { name: name.clone(), file: file.clone(), filter: None };
    let debs: Vec<Deb> = packages.iter().map(deb).collect();
    let unpacked = unpack(tree, &debs, manner, &|_, _| Verdict::Second)?;
    for directory in DIRECTORIES {
        // A package's link there would lead what is written below elsewhere; as in packages, a directory wins.
        if tree.stat(directory)?.is_some_and(|stat| stat.link()) {
            tree.remove(directory)?;
        }
        tree.directory(directory)?;
    }
    for (name, bytes) in [("passwd", PASSWD), ("group", GROUP)] {
        tree.put(format!("etc/{name}"), bytes, 0o644)?;
    }
    let script = |package: &Unpacked<Control>| {
        let bytes = package.head.files.get("postinst").map(|file| file.bytes.as_slice()).unwrap_or_default();
        String::from_utf8_lossy(bytes).into_owned()
    };
    let scripts: Vec<String> = unpacked.iter().map(script).collect();
    for (link, target) in alternatives::choose(&scripts, tree) {
        if let Some(parent) = Path::new(&link).parent() {
            tree.directory(parent)?;
        }
        tree.link(&link, &target)?;
    }
    Ok(tree.set_times(MTIME)?)
}
