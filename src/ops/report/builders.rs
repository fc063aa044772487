//! Who vouches for a build: signatures over a result directory, attestations of others.
//!
//! Input: a lock; optionally a result directory, which must be a build of this lock, and places of attestations. Output: a section.
//! Where a directory is given, attestations are compared with its files, otherwise with each other.

use std::path::Path;

use super::ReportRequest;
use super::html::{Cell, Html, Section, Table, code, paragraph};
use super::subject::Subject;
use crate::base::counted;
use crate::deliver::manifest::Manifest;
use crate::ops::attest::{self, Attester, Older, QuorumReport, QuorumRequest};
use crate::ops::error::{OpsError, SbomError};
use crate::ops::locked;
use crate::ops::sign::{self, SignedReport, SignedRequest, Signer};

/// Checks what is to be checked. A signature that does not count is an error; attestations are listed with all that they say.
pub(super) fn section(request: &ReportRequest, of: &Subject<'_>) -> Result<Section, OpsError> {
    let built = request.result.as_deref().map(|directory| build_of(directory, of)).transpose()?;
    let signed = match &built {
        None if of.manifest.is_some() => {
            vec![paragraph("No signature was checked: --result with this directory does.")]
        }
        None => vec![paragraph("No result directory was named, so no signature was checked.")],
        Some(built) => signed(&built.signatures(request, of)?),
    };
    let attested = match request.from.is_empty() {
        true => vec![paragraph("No place of attestations was named, so none were looked for.")],
        false => {
            let is_directory = built.is_some() || of.manifest.is_some();
            let compared = if is_directory { Compared::WithDirectory } else { Compared::WithEachOther };
            attested(&attestations(request, of, built.as_ref())?, compared)
        }
    };
    let heading = |words: &str| Html(format!("<h3>{words}</h3>\n"));
    let signed = std::iter::once(heading("Who signed it")).chain(signed);
    let parts = signed.chain([heading("Who attests it")]).chain(attested).collect();
    Ok(Section { id: "builders", heading: "Signatures and attestations", parts })
}

/// A directory whose files are those of its manifest, and which was built from the lock.
struct Built<'a> {
    directory: &'a Path,
    manifest: Manifest,
    checked: usize,
}

fn build_of<'a>(directory: &'a Path, of: &Subject<'_>) -> Result<Built<'a>, OpsError> {
    let (manifest, checked) = sign::unchanged(&of.session, directory)?;
    locked::belongs(&of.lock, &manifest).map_err(|problem| {
        let (lock, directory) = (of.lock_path.clone(), directory.to_owned());
        SbomError::OtherLock { lock, directory, problem }
    })?;
    locked::pinned(directory, &manifest)?;
    Ok(Built { directory, manifest, checked })
}

impl Built<'_> {
    fn signatures(&self, request: &ReportRequest, of: &Subject<'_>) -> Result<SignedReport, OpsError> {
        let (directory, recipe) = (self.directory.to_owned(), Some(of.lock.recipe.name.clone()));
        let request = SignedRequest { directory, recipe, trusted: request.trusted.clone() };
        sign::verify_known(&of.session, &request, (&self.manifest, self.checked))
    }
}

fn attestations(
    request: &ReportRequest,
    of: &Subject<'_>,
    built: Option<&Built<'_>>,
) -> Result<QuorumReport, OpsError> {
    let ReportRequest { recipe, from, trusted, .. } = request.clone();
    let request = QuorumRequest {
        recipe,
        required: 1,
        from,
        recipe_name: None,
        trusted,
        plain_http: false,
        older: Older::Counts,
    };
    match built.map(|built| &built.manifest).or(of.manifest.as_ref()) {
        Some(manifest) => attest::verify_known(&of.session, &request, manifest),
        None => attest::verify(&of.session, &request),
    }
}

/// What attestations were compared with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Compared {
    WithDirectory,
    WithEachOther,
}

fn signed(report: &SignedReport) -> Vec<Html> {
    let SignedReport { checked, signers, signed, expires, .. } = report;
    let expires = expires.map_or("It does not expire.".to_owned(), |expires| format!("It expires on {expires}."));
    let files = counted(checked, "file");
    let words = format!(
        "The result directory was built from this lock, and what it has ({files}) is what was signed on {signed}. {expires}"
    );
    let row = |signer: &Signer| vec![Cell::text(&signer.name), Cell::Html(code(&signer.key))];
    let caption = "Trusted keys that signed the result directory".to_owned();
    let table = Table { caption, columns: &["Name", "Key"], rows: signers.iter().map(row).collect() };
    vec![paragraph(&words), table.html()]
}

fn attested(report: &QuorumReport, compared: Compared) -> Vec<Html> {
    let row = |attester: &Attester, says: String| {
        let (attested, key) = (attester.attested.to_string(), Cell::Html(code(&attester.key)));
        vec![Cell::text(&attester.name), key, Cell::Text(attested), Cell::text(&attester.place), Cell::Text(says)]
    };
    let same = match compared {
        Compared::WithDirectory => "the files of the result directory",
        Compared::WithEachOther => "the files listed below",
    };
    let agreeing = report.attesters.iter().map(|attester| row(attester, same.to_owned()));
    let others = report.others.iter().map(|other| row(&other.attester, other.differences.join("; ")));
    let rows: Vec<Vec<Cell>> = agreeing.chain(others).collect();
    let mut parts = vec![paragraph(verdict(report, compared))];
    if !rows.is_empty() {
        let caption = "Trusted keys that attest a build of this lock".to_owned();
        parts.push(Table { caption, columns: &["Name", "Key", "When", "Found in", "Attests"], rows }.html());
    }
    if !report.attesters.is_empty() {
        let rows = report.artifacts.iter().map(|(name, digest)| vec![Cell::text(name), Cell::Digest(*digest)]);
        let caption = format!("Files that are attested by {}", names(&report.attesters));
        parts.push(Table { caption, columns: &["File", "SHA-256"], rows: rows.collect() }.html());
    }
    if !report.problems.is_empty() || !report.unreachable.is_empty() {
        let rows = report.unreachable.iter().chain(&report.problems).map(|problem| vec![Cell::text(problem)]).collect();
        let caption = "Attestations that do not count".to_owned();
        parts.push(Table { caption, columns: &["Why"], rows }.html());
    }
    parts
}

/// What the attestations say together.
fn verdict(report: &QuorumReport, compared: Compared) -> &'static str {
    match (report.attesters.is_empty(), report.others.is_empty(), compared) {
        (true, true, _) => "No trusted key attests a build of this lock.",
        (true, false, Compared::WithDirectory) => {
            "No trusted key attests the files of the result directory; trusted keys attest other files as builds of this lock."
        }
        (true, false, Compared::WithEachOther) => {
            "Trusted keys attest builds of this lock, but none with the files that the lock records."
        }
        (false, false, _) => "Trusted keys disagree: as builds of the same lock, they attest different files.",
        (false, true, Compared::WithDirectory) => "All trusted keys below attest the files of the result directory.",
        (false, true, Compared::WithEachOther) => "All trusted keys below attest the same files.",
    }
}

fn names(attesters: &[Attester]) -> String {
    let names: std::collections::BTreeSet<&str> = attesters.iter().map(|attester| attester.name.as_str()).collect();
    names.into_iter().collect::<Vec<_>>().join(", ")
}
