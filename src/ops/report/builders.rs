//! Who built a recipe: signatures over a result directory, attestations of others.

use super::ReportRequest;
use super::html::{Cell, Html, Section, Table, code, paragraph};
use crate::lock::Lock;
use crate::ops::attest::{self, Attester, QuorumReport, QuorumRequest};
use crate::ops::error::OpsError;
use crate::ops::session::Session;
use crate::ops::sign::{self, SignedReport, SignedRequest, Signer};

/// Checks what is to be checked. A signature that does not count is an error; attestations are listed with all that they say.
pub(super) fn section(session: &Session<'_>, request: &ReportRequest, lock: &Lock) -> Result<Section, OpsError> {
    let ReportRequest { recipe, result, from, trusted } = request;
    let trusted = || trusted.clone();
    let signed = match result {
        None => vec![paragraph("No result directory was named, so no signature was checked.")],
        Some(directory) => {
            let (directory, recipe) = (directory.clone(), Some(lock.recipe.name.clone()));
            signed(&sign::verify(session, &SignedRequest { directory, recipe, trusted: trusted() })?)
        }
    };
    let attested = match from.is_empty() {
        true => vec![paragraph("No place of attestations was named, so none were looked for.")],
        false => {
            let (recipe, from) = (recipe.clone(), from.clone());
            let request =
                QuorumRequest { recipe, required: 1, from, recipe_name: None, trusted: trusted(), plain_http: false };
            attested(&attest::verify(session, &request)?)
        }
    };
    let parts = signed.into_iter().chain(attested).collect();
    Ok(Section { id: "builders", heading: "Who built it", parts })
}

fn signed(report: &SignedReport) -> Vec<Html> {
    let SignedReport { checked, signers, signed, expires, .. } = report;
    let expires = expires.map_or("It does not expire.".to_owned(), |expires| format!("It expires on {expires}."));
    let words =
        format!("All {checked} files of the result directory are those that were signed on {signed}. {expires}");
    let row = |signer: &Signer| vec![Cell::text(&signer.name), Cell::Html(code(&signer.key))];
    let caption = "Trusted keys that signed the build".to_owned();
    let table = Table { caption, columns: &["Name", "Key"], rows: signers.iter().map(row).collect() };
    vec![paragraph(&words), table.html()]
}

fn attested(report: &QuorumReport) -> Vec<Html> {
    let row = |attester: &Attester, says: String| {
        let (attested, key) = (attester.attested.to_string(), Cell::Html(code(&attester.key)));
        vec![Cell::text(&attester.name), key, Cell::Text(attested), Cell::text(&attester.place), Cell::Text(says)]
    };
    let same = report.attesters.iter().map(|attester| row(attester, "the same files".to_owned()));
    let others = report.others.iter().map(|other| row(&other.attester, other.differences.join("; ")));
    let rows: Vec<Vec<Cell>> = same.chain(others).collect();
    let mut parts = match rows.is_empty() {
        true => vec![paragraph("No trusted key attests a build of this lock.")],
        false => {
            let caption = "Trusted keys that attest a build of this lock".to_owned();
            vec![Table { caption, columns: &["Name", "Key", "When", "Found in", "Built"], rows }.html()]
        }
    };
    if !report.problems.is_empty() {
        let rows = report.problems.iter().map(|problem| vec![Cell::text(problem)]).collect();
        let caption = "Attestations that do not count".to_owned();
        parts.push(Table { caption, columns: &["Why"], rows }.html());
    }
    parts
}
