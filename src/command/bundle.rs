//! `kiln bundle` and `kiln unbundle`: one file with everything that a rebuild or a run needs, made and taken apart.

use std::path::Path;

use super::failure::Failure;
use super::output;
use crate::base::{ByteSize, counted};
use crate::cli;
use crate::machine::argv::quote;
use crate::ops::bundle::{self, BundleContents, BundleRequest, Unbundled};
use crate::ops::{ExistingFile, Session};

/// Carries `kiln bundle` out.
pub fn bundle(session: &Session<'_>, args: &cli::BundleArgs) -> Result<(), Failure> {
    let request = BundleRequest {
        recipe: args.recipe.options(),
        contents: if args.outputs { BundleContents::Outputs } else { BundleContents::Inputs },
        build: args.realize.options(),
        since: args.since.clone(),
        file: args.output.clone(),
        existing: ExistingFile::of(args.force),
    };
    let bundled = bundle::bundle(session, &request)?;
    if args.json {
        return output::json(&bundled);
    }
    let left_out = match (bundled.left_out, &args.since) {
        (0, _) | (_, None) => String::new(),
        (count, Some(other)) => format!("; {} left out, which {} has", counted(count, "file"), other.display()),
    };
    let size = ByteSize(bundled.bytes).rounded();
    output::print(&format!(
        "wrote {}: {}, {size}{left_out}\nsha256 {}\n",
        args.output.display(),
        counted(bundled.files, "file"),
        bundled.sha256
    ))
}

/// Carries `kiln unbundle` out.
pub fn unbundle(session: &Session<'_>, args: &cli::UnbundleArgs) -> Result<(), Failure> {
    let unbundled = bundle::unbundle(session, &args.file, args.directory.as_deref())?;
    if args.json { output::json(&unbundled) } else { output::print(&summary(&unbundled)) }
}

fn summary(unbundled: &Unbundled) -> String {
    let size = ByteSize(unbundled.bytes).rounded();
    let mut text = format!("{} checked, {size}\n", counted(unbundled.files, "file"));
    for path in [Some(&unbundled.recipe), Some(&unbundled.lock), unbundled.result.as_ref()].into_iter().flatten() {
        text.push_str(&format!("wrote {}\n", path.display()));
    }
    let set: String =
        unbundled.set.iter().map(|(name, value)| format!(" --set {}", quote(&format!("{name}={value}")))).collect();
    let shown = |path: &Path| quote(&path.display().to_string());
    match &unbundled.result {
        Some(result) if unbundled.machines.is_empty() => {
            text.push_str(&format!("next: kiln verify {}\n", shown(result)))
        }
        Some(result) => text.push_str(&format!("next: kiln run {}\n", shown(result))),
        None => text.push_str(&format!("next: kiln build {}{set} --offline\n", shown(&unbundled.recipe))),
    }
    text
}
