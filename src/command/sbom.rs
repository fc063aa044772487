//! `kiln sbom RECIPE|DIR`: a software bill of materials, to a file or standard output.

use super::failure::Failure;
use super::output;
use crate::cli::{self, SbomFormatArg};
use crate::ops::sbom::{self, Sbom, SbomFormat, SbomRequest};
use crate::ops::{ExistingFile, Session, TextTarget, WrittenText};

/// Carries the verb out.
pub fn run(session: &Session<'_>, args: &cli::SbomArgs) -> Result<(), Failure> {
    let format = match args.format {
        SbomFormatArg::Spdx => SbomFormat::Spdx,
        SbomFormatArg::CycloneDx => SbomFormat::CycloneDx,
    };
    let request = SbomRequest { recipe: args.recipe.options(), format, offline: args.offline };
    let target = match &args.output {
        Some(path) => TextTarget::open(path, ExistingFile::of(args.force))?,
        None => TextTarget::StandardOutput,
    };
    let sbom = sbom::sbom(session, &request)?;
    if sbom.unread > 0 {
        crate::tell!(
            "warning: {} of {} packages could not be read, so that the document has no licence of them",
            sbom.unread,
            sbom.packages
        );
    }
    match (&args.output, target.write(&sbom.text)?) {
        (Some(path), WrittenText::There) => output::print(&summary(&path.display().to_string(), &sbom)),
        _ => output::json_text(&sbom.text),
    }
}

fn summary(path: &str, sbom: &Sbom) -> String {
    let Sbom { packages, licensed, .. } = sbom;
    format!(
        "wrote {path}: {packages} packages, {licensed} with a licence that their copyright file states in machine-readable form\n"
    )
}
