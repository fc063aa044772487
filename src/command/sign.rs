//! `kiln sign DIR` and `kiln verify --signed DIR`: who vouches for a result directory.

use super::failure::Failure;
use super::output;
use crate::base::{Foreign, counted};
use crate::cli;
use crate::ops::sign::{self, KeyFile, SignRequest, SignedReport, SignedRequest, Signer};
use crate::ops::{ErrorClass, OpsError, Session};

/// Carries `kiln sign` out.
pub fn run(session: &Session<'_>, args: &cli::SignArgs) -> Result<(), Failure> {
    if args.directory.is_file() {
        let file = Foreign(args.directory.display());
        let help = "a recipe is built first: `kiln build`, then `kiln sign result/NAME`";
        return Err(Failure::usage(format!("{file} is a file; what is signed is a result directory\n  help: {help}")));
    }
    let key = KeyFile::new(args.key.clone(), args.passphrase_file.clone());
    let directory = args.directory.clone();
    let signature = sign::sign(session, &SignRequest { directory, key, days: args.expires })?;
    output::print(&format!("wrote {}\n", signature.display()))
}

/// Carries `kiln verify --signed` out.
pub fn verify(session: &Session<'_>, args: &cli::VerifyArgs) -> Result<(), Failure> {
    let request = SignedRequest {
        directory: args.target.options().directory().map_err(OpsError::from)?.to_owned(),
        recipe: args.recipe_name.clone(),
        trusted: args.trusted_keys.clone(),
    };
    let report = match sign::verify(session, &request) {
        Err(error) if args.json && error.class() == ErrorClass::Mismatch => {
            output::json(&Refusal { refused: error.to_string() })?;
            return Err(error.into());
        }
        report => report?,
    };
    if args.json { output::json(&report) } else { output::print(&summary(&report)) }
}

/// What is printed instead of a report with `--json`.
#[derive(serde::Serialize)]
struct Refusal {
    /// Why.
    refused: String,
}

fn summary(report: &SignedReport) -> String {
    let SignedReport { checked, recipe, signers, signed, expires } = report;
    let until = expires.map(|expires| format!(", until {expires}")).unwrap_or_default();
    let line = |signer: &Signer| format!("{recipe}: signed by {} ({}) at {signed}{until}\n", signer.name, signer.key);
    let lines: String = signers.iter().map(line).collect();
    format!("{} verified\n{lines}", counted(checked, "file"))
}
