//! `kiln verify`: these files are what the manifest says; every input still exists; building again gives the same bits.

use std::path::Path;

use serde::Serialize;

use super::failure::Failure;
use super::{output, rebuild};
use crate::base::{Digest, Hasher};
use crate::cli;
use crate::share::manifest::{self, Artifact, Manifest};
use crate::world::fs;

/// What was checked, and what was wrong.
#[derive(Debug, Serialize)]
pub struct Report {
    /// How many files were compared.
    pub checked: usize,
    /// One sentence each.
    pub wrong: Vec<String>,
}

/// Carries the verb out.
pub fn run(args: &cli::Verify) -> Result<(), Failure> {
    let target = &args.target;
    let report = match (args.rebuild, args.inputs) {
        (true, _) => rebuild::run(target)?,
        (_, true) => rebuild::inputs(target)?,
        _ if target.recipe.is_dir() => directory(&target.recipe)?,
        _ => {
            let message = "kiln verify takes a directory that kiln built; for a recipe say --rebuild or --inputs";
            return Err(Failure::Usage(message.to_owned()));
        }
    };
    if args.json {
        output::json(&report)?;
    }
    if report.wrong.is_empty() {
        return if args.json { Ok(()) } else { output::print(&format!("{} files: all good\n", report.checked)) };
    }
    let wrong = report.wrong.len();
    Err(Failure::Differs(format!("{wrong} of {} differ\n  {}", report.checked, report.wrong.join("\n  "))))
}

/// Compares a result directory with its manifest.
pub fn directory(directory: &Path) -> Result<Report, Failure> {
    let path = directory.join(manifest::FILE);
    let text = fs::read(&path, manifest::LIMIT).map_err(Failure::world)?;
    let manifest = Manifest::read(&text).map_err(|error| Failure::Differs(format!("{}: {error}", path.display())))?;
    for step in &manifest.warm {
        crate::tell!("{step} went on from an earlier run; `kiln verify --rebuild RECIPE` proves its bits");
    }
    let wrong: Vec<String> =
        manifest.artifacts.iter().filter_map(|(name, artifact)| compare(directory, name, artifact)).collect();
    Ok(Report { checked: manifest.artifacts.len(), wrong })
}

fn compare(directory: &Path, name: &str, artifact: &Artifact) -> Option<String> {
    let path = directory.join(name);
    match digest_of(&path) {
        Ok((_, size)) if size != artifact.size => {
            Some(format!("{name}: {size} bytes, the manifest says {}", artifact.size))
        }
        Ok((digest, _)) if digest != artifact.sha256 => {
            Some(format!("{name}: its digest is {digest}, the manifest says {}", artifact.sha256))
        }
        Ok(_) => None,
        Err(error) => Some(format!("{name}: {error}")),
    }
}

/// Digest and size of a file, streamed.
pub fn digest_of(path: &Path) -> Result<(Digest, u64), crate::world::WorldError> {
    let mut file = fs::open(path)?;
    let mut hasher = Hasher::new(std::io::sink());
    fs::context("read", path, std::io::copy(&mut file, &mut hasher))?;
    let (_, digest, size) = hasher.finish();
    Ok((digest, size))
}
