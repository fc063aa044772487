//! What is worth telling although it stops nothing, in words on standard error.

use super::lock_notices;
use crate::base::{Foreign, counted};
use crate::ops::error::leaks;
use crate::ops::event::Notice;
use crate::ops::local;
use crate::recipe::local::LocalReader;
use crate::world::download::ServerAnswer;

/// Says it.
pub(super) fn tell(notice: Notice<'_>) {
    match notice {
        Notice::Relocked { .. }
        | Notice::LockIgnored { .. }
        | Notice::LockSalvaged { .. }
        | Notice::LockSettled { .. }
        | Notice::LockChanged { .. }
        | Notice::LockEdited { .. } => lock_notices::tell(notice),
        Notice::NotSearched { artifact } => {
            crate::tell!(
                "warning: {artifact} was not searched for traces of the host; build with `--no-cache` to search it"
            );
        }
        Notice::Leaks(hits) => crate::tell!("warning: {}", leaks(hits)),
        Notice::Doubtful { image, finding } => crate::tell!("warning: image {image}: {}", Foreign(finding)),
        Notice::NotRecorded => crate::tell!(
            "built with --incremental: outputs are not recorded in the lock; run `kiln verify --rebuild` to confirm them"
        ),
        Notice::BelowNotRecorded => crate::tell!(
            "results are from a store below: outputs are not recorded in the lock; build with `--without-caches` to record them"
        ),
        Notice::Incremental { step } => crate::tell!(
            "{} was built incrementally; run `kiln verify --rebuild RECIPE` to confirm its output",
            Foreign(step)
        ),
        Notice::Local { sources } => {
            for (reader, tree) in local::readers(sources) {
                let what = match &reader {
                    LocalReader::Kernel(kernel) => format!("kernel {kernel}: compiled from"),
                    LocalReader::Build { build, source } => format!("build {build}: source {source} read from"),
                };
                crate::tell!(
                    "{} {} ({}); what came out is not recorded in the lock",
                    Foreign(what),
                    Foreign(tree.root().display()),
                    tree.digest.short()
                );
            }
        }
        Notice::LocalResult { reader } => {
            crate::tell!("{} a directory that no lock pins; nobody else can build the same", Foreign(reader.past()))
        }
        Notice::Compared { step } => {
            crate::tell!("{step}: built incrementally; comparing with a full build");
        }
        Notice::AttestationsLeft { count } => crate::tell!(
            "{count} more attestations refer to it, and were not pulled: there are too many, they are too large, or no trusted key made them"
        ),
        Notice::SameHostName => {
            crate::tell!("second build: same host name (changing it needs root and unshare)");
        }
        Notice::Asking { files } => crate::tell!("asking for what the store lacks: {}", counted(files, "file")),
        Notice::Gone { label, asked } => {
            crate::tell!("gone: {}", Foreign(label));
            for ServerAnswer { url, why, .. } in asked {
                crate::tell!("  {}: {}", Foreign(url), Foreign(why));
            }
        }
        Notice::KeySkipped { path, reason } => {
            crate::tell!("warning: {} is not handed to the machines: {}", Foreign(path.display()), Foreign(reason));
        }
        Notice::SshAwaited { machine } => crate::tell!("waiting for the SSH server of {}", Foreign(machine)),
        Notice::TakenContradicts { step, origin } => crate::tell!(
            "warning: {}: not used, since the lock has other outputs than a build with the results of others: {}",
            Foreign(step),
            origin.words()
        ),
    }
}
