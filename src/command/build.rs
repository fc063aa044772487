//! `kiln build RECIPE`: what was built, a line or a JSON entry each.

use std::path::Path;

use super::failure::Failure;
use super::output;
use crate::cli;
use crate::deliver::manifest::Manifest;
use crate::ops::{self, QemuDelivery, Session, project, roots};

/// Carries the verb out.
pub fn run(session: &Session<'_>, args: &cli::BuildArgs) -> Result<(), Failure> {
    let out = args.out.clone().unwrap_or_else(|| project::result_path(&args.recipe.recipe));
    let root = args.root.as_deref().map(roots::name).transpose()?;
    let ready = match args.relock_gone {
        true => ops::gone::ready(session, &args.recipe.options(), &ops::gone::beside(&out))?,
        false => ops::ready(session, &args.recipe.options())?,
    };
    let qemu = if args.with_qemu { QemuDelivery::Packed } else { QemuDelivery::None };
    let manifest = ops::build_with(&ready, &args.realize.options(), (&out, qemu))?.manifest;
    if let Some(root) = &root {
        roots::keep(&ready.store, root, &manifest)?;
    }
    if args.json { output::json_text(&manifest.write()) } else { summary(&out, &manifest) }
}

fn summary(out: &Path, manifest: &Manifest) -> Result<(), Failure> {
    let lines: Vec<String> = manifest
        .artifacts
        .iter()
        .map(|(name, artifact)| format!("{}  {:>12}  {}\n", artifact.sha256, artifact.size, out.join(name).display()))
        .collect();
    output::print(&lines.concat())
}
