//! `kiln run REFERENCE`: what is pulled before it is run.

use std::path::PathBuf;

use super::failure::Failure;
use crate::cli;
use crate::oci::Reference;
use crate::ops::oci::{self, PullRequest, SignatureNeed};
use crate::ops::sign::RequiredSignature;
use crate::ops::{BuildOptions, Session};

/// The directory that a reference was pulled to, where the word is no path but a reference.
pub(super) fn pulled(
    session: &Session<'_>,
    args: &cli::RunArgs,
    (options, signature): (&BuildOptions, Option<&RequiredSignature>),
) -> Result<Option<PathBuf>, Failure> {
    let path = &args.recipe.recipe;
    let reference = path.to_str().filter(|text| path.symlink_metadata().is_err() && Reference::is_meant(text));
    let Some(reference) = reference else {
        return match args.plain_http {
            true => Err(Failure::usage("--plain-http is for a reference to a registry")),
            false => Ok(None),
        };
    };
    if args.realize.offline && !reference.starts_with("oci:") {
        return Err(Failure::usage(
            "--offline: a registry is asked over the network; pull first, then run the directory",
        ));
    }
    // What a result directory takes no option of is refused before one is replaced.
    args.recipe.options().directory()?;
    options.without_build(path)?;
    if args.relock_gone {
        return Err(Failure::usage("--relock-gone builds a recipe; a result directory is not built again"));
    }
    let reference = reference.to_owned();
    let request = PullRequest {
        reference,
        directory: None,
        signatures: if signature.is_some() { SignatureNeed::Trusted } else { SignatureNeed::None },
        trusted: signature.map(|required| required.trusted.clone()).unwrap_or_default(),
        plain_http: args.plain_http,
    };
    let pulled = oci::pull(session, &request)?;
    Ok(Some(pulled.directory))
}
