//! Who built what: the attestations of one build, a builder counted once: whoever has several keys under one name is one.
//!
//! Input: attestations that are about the build, each by a trusted key. Output: groups with the same digest of every file, the largest
//! first.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::base::{Digest, Foreign, Timestamp};
use crate::deliver::attestation::{AttestedTime, BuildClaim};
use crate::ops::sign::envelope::Attestation;

/// Differences of one result that are told.
const MAX_DIFFERENCES: usize = 20;

/// Somebody who attested a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attester {
    /// As the list of trusted keys calls them.
    pub name: String,
    /// Their key, as `ssh-keygen -l` shows it.
    pub key: String,
    /// When.
    pub attested: Timestamp,
    /// From when on it no longer counts, if it says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// Digest of the `manifest.json` that they have, where they name it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Digest>,
    /// Where that was found.
    pub place: String,
}

/// Somebody who says that the build has other files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OtherResult {
    /// Who.
    #[serde(flatten)]
    pub attester: Attester,
    /// How their files differ, a sentence each.
    pub differences: Vec<String>,
}

/// The digest of every file.
pub(super) type Files = BTreeMap<String, Digest>;

/// What a builder says of a build.
pub(super) struct Said {
    pub(super) attester: Attester,
    pub(super) files: Files,
}

/// Those who say the same.
pub(super) struct Group {
    pub(super) files: Files,
    pub(super) attesters: Vec<Attester>,
}

impl Group {
    /// Builders: whoever has several keys is one.
    pub(super) fn builders(&self) -> usize {
        self.attesters.iter().map(|one| one.name.as_str()).collect::<BTreeSet<_>>().len()
    }
}

/// Attestations as they are found.
#[derive(Default)]
pub(super) struct Tally {
    /// By the name in the list of trusted keys.
    builders: BTreeMap<String, Vec<Said>>,
}

impl Tally {
    pub(super) fn add(&mut self, attestation: Attestation, place: &str) {
        let Attestation { signer, fingerprint, claim, .. } = attestation;
        let said = self.builders.entry(signer.clone()).or_default();
        let BuildClaim { time: AttestedTime { attested, expires }, manifest, .. } = claim;
        let place = place.to_owned();
        let attester = Attester { name: signer, key: fingerprint, attested, expires, manifest, place };
        // The same again, perhaps out of another place, is nothing new.
        let when = |one: &Attester| (one.attested, one.expires);
        let is_same = |one: &Said| one.attester.key == attester.key && when(&one.attester) == when(&attester);
        if !said.iter().any(|one| is_same(one) && one.files == claim.artifacts) {
            said.push(Said { attester, files: claim.artifacts });
        }
    }

    /// The newest word of each builder, with whichever of their keys, and what their other keys have said to the same effect. One who
    /// says two things at once says nothing, and one whose newest word has expired nothing any more.
    pub(super) fn newest(self, now: Timestamp, problem: &mut dyn FnMut(String)) -> Vec<Said> {
        let mut newest = Vec::new();
        for mut said in self.builders.into_values() {
            said.sort_by_key(|one| std::cmp::Reverse(one.attester.attested));
            let mut rest = said.into_iter();
            let Some(first) = rest.next() else { continue };
            let (same, others): (Vec<Said>, Vec<Said>) = rest.partition(|one| one.files == first.files);
            let attested = first.attester.attested;
            let has_expired = |one: &Said| one.attester.expires.is_some_and(|expires| now >= expires);
            if let Some(expires) = first.attester.expires.filter(|expires| now >= *expires) {
                let Attester { name, key, place, .. } = &first.attester;
                problem(format!("{place}: by {} ({key}), it expired at {expires}", Foreign(name)));
                continue;
            }
            if let Some(Attester { name, key, attested: at, .. }) = others.first().map(|one| &one.attester) {
                let who = format!("{} ({key})", Foreign(name));
                if *at == attested {
                    problem(format!("{who} attested two different results at {at}; neither counts"));
                    continue;
                }
                problem(format!("{who} attested another result at {at}; the one of {attested} counts"));
            }
            let mut keys = BTreeSet::new();
            newest.extend(
                [first]
                    .into_iter()
                    .chain(same)
                    .filter(|one| !has_expired(one) && keys.insert(one.attester.key.clone())),
            );
        }
        newest
    }
}

/// Those who say the same, the most first.
pub(super) fn groups(said: Vec<Said>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for Said { attester, files } in said {
        match groups.iter_mut().find(|group| group.files == files) {
            Some(group) => group.attesters.push(attester),
            None => groups.push(Group { files, attesters: vec![attester] }),
        }
    }
    groups.sort_by_key(|group| std::cmp::Reverse(group.builders()));
    for group in &mut groups {
        group.attesters.sort_by(|a, b| (&a.name, &a.key).cmp(&(&b.name, &b.key)));
    }
    groups
}

/// How files differ from others, a sentence each.
pub(super) fn differences(files: &Files, expected: &Files) -> Vec<String> {
    let mut all = Vec::new();
    for (name, digest) in expected {
        match files.get(name) {
            None => all.push(format!("there is no {}", Foreign(name))),
            Some(found) if found != digest => all.push(format!("{}: {found}, not {digest}", Foreign(name))),
            Some(_) => {}
        }
    }
    let more = files.keys().filter(|name| !expected.contains_key(*name));
    all.extend(more.map(|name| format!("there is {} as well", Foreign(name))));
    let left = all.len().saturating_sub(MAX_DIFFERENCES);
    all.truncate(MAX_DIFFERENCES);
    all.extend((left > 0).then(|| format!("and {left} more differences")));
    all
}
