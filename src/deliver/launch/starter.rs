//! The script that starts a delivered QEMU: POSIX sh, in the archive beside the tree that it starts.

use std::collections::BTreeSet;

use crate::base::Digest;

/// The file of a result directory that has a QEMU in it. No machine and no image has such a name.
pub const DELIVERED_QEMU: &str = "qemu.tree.tar";
/// In that archive: the loader that starts QEMU.
pub const QEMU_LOADER: &str = "usr/bin/kiln-loader";

/// A QEMU that is delivered with a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveredQemu {
    /// Its archive, as a path from the directory of `launch.sh`.
    pub file: String,
    /// The archive's digest.
    pub sha256: Digest,
}

/// The text of the script; `libraries` are the directories of libraries in the tree of a QEMU that needs a loader.
pub fn starter(program: &str, libraries: Option<&BTreeSet<String>>) -> String {
    let own = match libraries {
        None => String::new(),
        Some(libraries) => {
            let path: Vec<String> = libraries.iter().map(|directory| format!("$here/{directory}")).collect();
            format!("\"$here/{QEMU_LOADER}\" --inhibit-cache --library-path \"{}\" \\\n    ", path.join(":"))
        }
    };
    format!(
        "#!/bin/sh\n# Starts the QEMU of this directory with its own loader and libraries: of the host it needs the kernel only.\n\
         # Written by kiln.\nhere=$(CDPATH='' cd -- \"$(dirname -- \"$0\")\" && pwd) || exit 4\n\
         exec {own}\"$here/usr/bin/{program}\" \"$@\"\n"
    )
}
