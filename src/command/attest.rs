//! `kiln attest` and `kiln verify --require N`: what was built here, and whether enough others have built the same.

use super::failure::Failure;
use super::output;
use crate::base::{Foreign, Timestamp, counted};
use crate::cli;
use crate::ops::attest::{self, AttestRequest, Attested, Attester, Older, QuorumReport, QuorumRequest};
use crate::ops::sign::KeyFile;
use crate::ops::{ErrorClass, ExistingFile, Session};
use crate::world::outlet::Standing;

/// Carries `kiln attest` out.
pub fn run(session: &Session<'_>, args: &cli::AttestArgs) -> Result<(), Failure> {
    let request = AttestRequest {
        recipe: args.recipe.options(),
        build: args.realize.options(),
        key: KeyFile::new(args.key.clone(), args.passphrase_file.clone()),
        days: args.expires,
        output: args.output.clone(),
        existing: ExistingFile::of(args.force),
    };
    if args.json && args.output.as_deref().is_some_and(|path| Standing::of(path) == Standing::StandardOutput) {
        return Err(Failure::usage(
            "--json and the attestation are both for standard output: name a file with --output",
        ));
    }
    let attested = attest::attest(session, &request)?;
    if let Some(text) = &attested.handed {
        return output::json_text(text);
    }
    if args.json {
        return output::json(&attested);
    }
    let Attested { recipe, artifacts, key, expires, file, .. } = &attested;
    let until = until(*expires);
    let (recipe, artifacts) = (Foreign(recipe), counted(artifacts, "file"));
    let wrote: String = file.iter().map(|file| format!("wrote {}\n", Foreign(file.display()))).collect();
    output::print(&format!("{recipe}: {artifacts} that were built here, attested by {key}{until}\n{wrote}"))
}

/// Carries `kiln verify --require` out.
pub fn verify(session: &Session<'_>, args: &cli::VerifyArgs, required: usize) -> Result<(), Failure> {
    let request = QuorumRequest {
        recipe: args.target.options(),
        required,
        from: args.from.clone(),
        recipe_name: args.recipe_name.clone(),
        trusted: args.trusted_keys.clone(),
        plain_http: args.plain_http,
        older: Older::Refused,
    };
    let report = attest::verify(session, &request)?;
    if args.json {
        output::json(&report)?;
    }
    let QuorumReport { recipe, agreed, .. } = &report;
    let builders = if required == 1 { "builder" } else { "builders" };
    if !report.accepted {
        let enough = if *agreed < required { "" } else { ", but so many others agree on something else" };
        let text = format!("{}: {agreed} of {required} required {builders} agree{enough}", Foreign(recipe));
        let attesters: String = report.attesters.iter().map(|one| format!("\n{}", attester(one))).collect();
        let text = format!("{text}{attesters}{}", against(&report));
        // Nobody disagrees; those who may agree were not heard.
        let class = if report.is_undecided() { ErrorClass::Host } else { ErrorClass::Mismatch };
        return Err(Failure::Stated { class, text });
    }
    // What speaks against a build that is accepted is not left out.
    if !report.others.is_empty()
        || !report.manifests.is_empty()
        || !report.unreachable.is_empty()
        || !report.problems.is_empty()
    {
        crate::tell!("warning: {}: not all attestations agree or count{}", Foreign(recipe), against(&report));
    }
    if args.json {
        return Ok(());
    }
    let files = report.artifacts.len();
    let attesters: String = report.attesters.iter().map(|one| format!("{}\n", attester(one))).collect();
    let (files, builders) = (counted(files, "file"), counted(agreed, "builder"));
    let first = format!("{}: {files} that {builders} agree on\n", Foreign(recipe));
    output::print(&format!("{first}{attesters}"))
}

fn attester(one: &Attester) -> String {
    let Attester { name, key, attested, expires, place, .. } = one;
    let until = until(*expires);
    format!("  built by {} ({key}), attested at {attested}{until} in {}", Foreign(name), Foreign(place))
}

fn until(expires: Option<Timestamp>) -> String {
    expires.map(|expires| format!(", until {expires}")).unwrap_or_default()
}

/// Other results, and what does not count.
fn against(report: &QuorumReport) -> String {
    let mut lines = Vec::new();
    for other in &report.others {
        lines.push(format!("{}, with another result:", attester(&other.attester)));
        lines.extend(other.differences.iter().map(|difference| format!("    {difference}")));
    }
    lines.extend(report.manifests.iter().map(|other| format!("  the same files, but another manifest: {other}")));
    lines.extend(report.unreachable.iter().map(|place| format!("  not reached: {place}")));
    lines.extend(report.problems.iter().map(|problem| format!("  not counted: {problem}")));
    lines.iter().map(|line| format!("\n{line}")).collect()
}
