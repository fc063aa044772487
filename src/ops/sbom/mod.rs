//! Software bills of materials: what a recipe's images, kernels and QEMU consist of, for the tools of others.
//!
//! Input: a recipe with its lock, or a result directory; the packages in it, which are fetched if the store lacks them. Output:
//! a document that follows from these alone, so that two people who make it get the same bytes: no clock, no random
//! number, no address of a mirror.

mod collect;
mod cyclonedx;
mod facts;
mod license;
mod model;
mod outline;
mod spdx;
mod subject;

use std::collections::BTreeMap;

use serde_json::Value;

use self::collect::Material;
use self::facts::Facts;
use self::model::{Bill, ComponentKind};
use self::subject::Subject;
use super::error::OpsError;
use super::event::OpsEvent;
use super::options::RecipeOptions;
use super::session::Session;
use super::{load, realize};
use crate::base::{Digest, tell};
use crate::exec::interrupt::{Interruptible, RunningWork};
use crate::plan::Fetch;

/// The words that a document is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SbomFormat {
    /// SPDX 2.3.
    Spdx,
    /// CycloneDX 1.6.
    CycloneDx,
}

/// What a document is made of.
#[derive(Debug, Clone)]
pub struct SbomRequest {
    /// A recipe, or a result directory; the lock may be named for either.
    pub recipe: RecipeOptions,
    /// The format.
    pub format: SbomFormat,
    /// Whether packages that the store lacks are left unread instead of fetched.
    pub offline: bool,
}

/// A document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sbom {
    /// JSON with a line feed at its end.
    pub text: String,
    /// Packages that are delivered or run what is delivered.
    pub packages: usize,
    /// Those of them whose licence a machine-readable copyright file says.
    pub licensed: usize,
    /// Those of them that the store lacks, so that nothing is known of them but what the lock says.
    pub unread: usize,
}

/// Makes a document.
pub fn sbom(session: &Session<'_>, request: &SbomRequest) -> Result<Sbom, OpsError> {
    let subject = Subject::of(session, &request.recipe)?;
    let store = load::open_store(session.world)?;
    let bare = collect::bill(&subject.material(&Facts::new()));
    let contents = packages(&bare);
    let fetches: Vec<&Fetch> = contents.iter().filter_map(|digest| subject.plan.fetches.get(digest)).collect();
    if !request.offline {
        realize::files(session, &store, &fetches, false)?;
    }
    // From here on an interrupt ends the reading.
    let _running = Interruptible::start(RunningWork::Steps);
    let wanted = subject.lock.sets.values().flatten().filter(|package| contents.contains(&package.file.sha256));
    let told = |done, total| session.on(OpsEvent::PackagesRead { done, total });
    let facts = facts::of(&store, wanted, &told)?;
    let material: Material<'_> = subject.material(&facts);
    let mut bill = collect::bill(&material);
    collect::licenses(&mut bill, &facts);
    let document = match request.format {
        SbomFormat::Spdx => spdx::write(&bill),
        SbomFormat::CycloneDx => cyclonedx::write(&bill),
    };
    let licensed = bill.components.values().filter(|component| component.license.is_some()).count();
    let unread = contents.iter().filter(|digest| !facts.contains_key(*digest)).count();
    Ok(Sbom { text: tell::json(&format!("{document:#}\n")), packages: contents.len(), licensed, unread })
}

/// Digests of the packages that are delivered or run what is.
fn packages(bill: &Bill) -> Vec<Digest> {
    let contents = bill.contents().into_iter().map(|id| &bill.components[id]);
    let packages = contents.filter(|component| component.kind == ComponentKind::Package);
    packages.filter_map(|component| Some((component.sha256?, ()))).collect::<BTreeMap<_, _>>().into_keys().collect()
}

/// A name for a document that no other document has: a UUID of version 8 (RFC 9562) made of the digest of its text.
fn serial(document: &Value) -> String {
    let digest = Digest::of(document.to_string().as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.as_bytes()[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("urn:uuid:{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
