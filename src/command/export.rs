//! `kiln export`: what was written, and where.

use super::failure::Failure;
use super::output;
use crate::base::{ByteSize, Foreign};
use crate::cli;
use crate::ops::export::{self, ExportRequest};
use crate::ops::{ExistingFile, Session};

/// Carries `kiln export` out.
pub(super) fn run(session: &Session<'_>, args: &cli::ExportArgs) -> Result<(), Failure> {
    let request = ExportRequest {
        recipe: args.recipe.options(),
        build: args.realize.options(),
        format: args.format.format(),
        image: args.image.clone(),
        output: args.output.clone(),
        existing: ExistingFile::of(args.force),
    };
    let exported = export::export(session, &request)?;
    if args.json {
        return output::json(&exported);
    }
    let left_out: String =
        exported.left_out.iter().map(|one| format!("left out {}: {}\n", Foreign(&one.path), one.reason)).collect();
    let size = ByteSize(exported.bytes).rounded();
    let what = format!("wrote {}: {} of {}, {size}", args.output.display(), exported.format, Foreign(&exported.disk));
    let manifest = exported.manifest.map_or_else(String::new, |digest| format!("image sha256:{digest}\n"));
    output::print(&format!("{left_out}{what}\nsha256 {}\n{manifest}", exported.sha256))
}
