//! The disk that a step wrote the last time: what of the next one is the same need not be compressed again.
//!
//! Input: a step and the store. Output: a disk that this store remembers as one that the same step of this very writer left here,
//! and that is still, byte for byte, what it was. It is no input and in no id, for it changes no bit.

use std::path::PathBuf;

use crate::base::Digest;
use crate::format::qcow2::{self, Qcow2Options};
use crate::lock;
use crate::plan::{Builtin, Input, Step, Work};
use crate::recipe::image::DiskFormat;
use crate::store::{Output, Presence, ResultOutputs, Store};

/// The disk of an earlier run, if there is one.
pub(super) fn find(store: &Store, step: &Step) -> Option<PathBuf> {
    let (name, _) = remembered(step)?;
    let digest: Digest = String::from_utf8(store.recall(&name)?).ok()?.parse().ok()?;
    match store.check_own(&digest) {
        Ok(Presence::Good(path)) => Some(path),
        // A damaged one was set aside.
        _ => None,
    }
}

/// Remembers what a run left that took place here. Not to remember costs time alone.
pub(super) fn remember(store: &Store, step: &Step, outputs: &ResultOutputs) {
    if let Some((name, output)) = remembered(step)
        && let Some(Output::File { digest, .. }) = outputs.get(output)
    {
        let _ = store.note(&name, digest.hex().as_bytes());
    }
}

/// The name of the note about a step that compresses a disk, and the output that it is about.
fn remembered(step: &Step) -> Option<(Digest, &str)> {
    let compressed = DiskFormat::Qcow2.file_name();
    let compresses = match &step.work {
        Work::Builtin(Builtin::Disk) => true,
        Work::Builtin(Builtin::Convert { format }) => *format == DiskFormat::Qcow2,
        _ => false,
    };
    let output = step.outputs.iter().find(|output| *output == compressed).filter(|_| compresses)?;
    let writer = qcow2::writer(Qcow2Options::default());
    let mut text = format!("earlier disk, output {}, {writer}, {}", lock::OUTPUT, step.name());
    for input in step.inputs.values() {
        // Identities of the file systems and so of the image; contents are other steps'.
        if let Input::Inline(bytes) = input {
            text.push_str(&format!(", {}", Digest::of(bytes)));
        }
    }
    Some((Digest::of(text.as_bytes()), output))
}

#[cfg(test)]
#[path = "earlier_tests.rs"]
mod tests;
