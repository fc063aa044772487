//! `kiln push` and `kiln pull`: result directories through registries and image layouts.

use std::path::Path;

use super::failure::Failure;
use super::output;
use crate::base::{ByteSize, Foreign, counted};
use crate::cli;
use crate::machine::argv::quote;
use crate::ops::Session;
use crate::ops::oci::{self, PullRequest, Pulled, PushRequest, Pushed, SignatureNeed, TakenTag};

/// Carries `kiln push` out.
pub fn push(session: &Session<'_>, args: &cli::PushArgs) -> Result<(), Failure> {
    let Some(reference) = &args.reference else { return super::push::run(session, args) };
    let request = PushRequest {
        recipe: args.recipe.options(),
        build: args.realize.options(),
        reference: reference.clone(),
        plain_http: args.plain_http,
        mount_from: args.mount_from.clone(),
        attached: args.attach.clone(),
        taken: if args.force { TakenTag::Replace } else { TakenTag::Refuse },
    };
    let pushed = oci::push(session, &request)?;
    if args.json {
        return output::json(&pushed);
    }
    let Pushed { reference, digest, files, bytes, signed, attached, deltas: _ } = &pushed;
    let size = ByteSize(*bytes).rounded();
    let signature = if *signed { ", with its signature" } else { "" };
    let files = counted(files, "file");
    let files_that_refer = match attached {
        0 => String::new(),
        1 => ", with 1 file that refers to it".to_owned(),
        count => format!(", with {count} files that refer to it"),
    };
    output::print(&format!("pushed {reference}: {files}, {size}{signature}{files_that_refer}\ndigest {digest}\n"))
}

/// Carries `kiln pull` out.
pub fn pull(session: &Session<'_>, args: &cli::PullArgs) -> Result<(), Failure> {
    let request = PullRequest {
        reference: args.reference.clone(),
        directory: args.output.clone(),
        signatures: if args.signed { SignatureNeed::Trusted } else { SignatureNeed::None },
        trusted: args.trusted_keys.clone(),
        plain_http: args.plain_http,
    };
    let pulled = oci::pull(session, &request)?;
    if args.json { output::json(&pulled) } else { output::print(&summary(&pulled)) }
}

fn summary(pulled: &Pulled) -> String {
    let size = ByteSize(pulled.bytes).rounded();
    let mut text =
        format!("pulled {}: {}, {size}\ndigest {}\n", pulled.reference, counted(pulled.files, "file"), pulled.digest);
    for disk in &pulled.rebuilt {
        let (fetched, bytes) = (ByteSize(disk.fetched).rounded(), ByteSize(disk.bytes).rounded());
        text.push_str(&format!(
            "{}: {fetched} of {bytes} fetched, the rest is of earlier disks\n",
            Foreign(&disk.file)
        ));
    }
    let signers: Vec<&str> = pulled.signers.iter().map(|signer| signer.name.as_str()).collect();
    match (pulled.signed, signers.is_empty()) {
        (true, false) => text.push_str(&format!("signed by {}\n", signers.join(", "))),
        (true, true) => text.push_str("signed by a key that is not trusted: kiln verify --signed says more\n"),
        (false, _) => text.push_str("not signed\n"),
    }
    let shown = |path: &Path| quote(&path.display().to_string());
    if pulled.attestations > 0 {
        let (count, directory) = (pulled.attestations, shown(&pulled.directory));
        let attestations = counted(count, "attestation");
        let verify = format!("kiln verify {directory} --require N --from {directory}");
        text.push_str(&format!("with {attestations}: {verify} counts those that are trusted\n"));
    }
    for path in [Some(&pulled.directory), pulled.lock.as_ref()].into_iter().flatten() {
        text.push_str(&format!("wrote {}\n", path.display()));
    }
    let verb = if pulled.machines.is_empty() { "verify" } else { "run" };
    text.push_str(&format!("next: kiln {verb} {}\n", shown(&pulled.directory)));
    text
}
