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

/// Where a tree has what its QEMU looks for, as paths in the tree whose characters mean nothing to a shell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QemuPlaces {
    /// Directories of libraries; none if QEMU needs no loader.
    pub libraries: BTreeSet<String>,
    /// Directories of firmware. A packaged QEMU looks for them where its package puts them, which is the host's directory.
    pub firmware: Vec<String>,
    /// The directory of QEMU's modules.
    pub modules: Option<String>,
}

/// The text of the script.
pub fn starter(program: &str, places: &QemuPlaces) -> String {
    let here = |directory: &String| format!("$here/{directory}");
    let mut start = String::new();
    if let Some(modules) = &places.modules {
        start.push_str(&format!("QEMU_MODULE_DIR=\"{}\"\nexport QEMU_MODULE_DIR\n", here(modules)));
    }
    start.push_str("exec ");
    if !places.libraries.is_empty() {
        let path: Vec<String> = places.libraries.iter().map(here).collect();
        let loader = format!("\"$here/{QEMU_LOADER}\" --inhibit-cache");
        start.push_str(&format!("{loader} --library-path \"{}\" \\\n    ", path.join(":")));
    }
    let firmware: String = places.firmware.iter().map(|directory| format!(" -L \"{}\"", here(directory))).collect();
    format!(
        "#!/bin/sh\n# Starts the QEMU of this directory with its own loader and libraries: of the host it needs the kernel only.\n\
         # Written by kiln.\nhere=$(CDPATH='' cd -- \"$(dirname -- \"$0\")\" && pwd) || exit 4\n\
         {start}\"$here/usr/bin/{program}\"{firmware} \"$@\"\n"
    )
}
