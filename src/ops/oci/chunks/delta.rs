//! A disk by the delta to one that the store has: an artifact that refers to the build, which anybody who may push can have added.
//!
//! The list of such artifacts says of each which disk it is to and from, so that what is of no use is not fetched.

use std::io;
use std::os::unix::fs::FileExt;

use super::NotRebuilt;
use super::rebuild::Rebuild;
use crate::base::Digest;
use crate::format::chunks::{DELTA_LIMIT, DiskDelta, WRITER};
use crate::format::qcow2::Qcow2Reader;
use crate::oci::{ArtifactManifest, Descriptor};
use crate::ops::error::OpsError;
use crate::ops::oci::referrer::MANIFEST_LIMIT;
use crate::ops::oci::{DELTA, DELTA_FROM as FROM, DELTA_TO as TO, stopped};
use crate::world::fs;

impl Rebuild<'_> {
    /// Has the disk be in the store, if there is a delta to it from one that is; gives the bytes of the delta.
    pub(super) fn by_delta(&self) -> Result<Option<u64>, NotRebuilt> {
        let listed = self.registry.referrers(self.subject.digest, DELTA)?.manifests;
        // The latest first.
        let Some((one, from)) = listed.iter().rev().find_map(|one| Some((one, self.usable(one)?))) else {
            return Ok(None);
        };
        let told = |problem: &str| NotRebuilt::Told(problem.to_owned());
        let text = self.registry.unproven("manifests", one, MANIFEST_LIMIT)?;
        let artifact = ArtifactManifest::read(&one.digest.to_string(), DELTA, &text)?;
        let is_of = artifact.subject.as_ref().is_some_and(|subject| subject.digest == self.subject.digest);
        let [layer] = artifact.layers.as_slice() else { return Err(told("it does not have exactly one file")) };
        if !is_of || layer.size > self.disk.image.size {
            return Err(told("it is of another build, or larger than the image"));
        }
        let bytes = self.registry.unproven("blobs", layer, DELTA_LIMIT)?;
        let delta = DiskDelta::read(&bytes, self.disk.image.size).map_err(|error| told(&error.to_string()))?;
        if delta.writer != WRITER() {
            return Err(told("the image was written by another version of kiln"));
        }
        self.apply(&delta, &from)?;
        Ok(Some(layer.size))
    }

    /// The disk that a delta is from, if the store has it and the delta is to this one.
    fn usable(&self, listed: &Descriptor) -> Option<Digest> {
        let digest = |name: &str| listed.annotations.get(name)?.parse::<Digest>().ok();
        let from = digest(FROM).filter(|from| self.store.has(from))?;
        digest(TO).filter(|to| *to == self.disk.image.digest.0).map(|_| from)
    }

    fn apply(&self, delta: &DiskDelta, from: &Digest) -> Result<(), NotRebuilt> {
        let path = self.store.path(from)?;
        let useless = |error: io::Error| NotRebuilt::Told(error.to_string());
        let mut old = Qcow2Reader::new(fs::open(&path)?).map_err(useless)?;
        let content = self.content("delta")?;
        // Nothing of an interrupted one is kept: what it takes is no download.
        content.done(content.file.set_len(0))?;
        content.done(content.file.set_len(delta.size))?;
        let mut full = None;
        let applied = delta.apply(&mut old, &mut |at, bytes| {
            if stopped() {
                return Err(io::Error::other("interrupted"));
            }
            let is_zero = bytes.iter().all(|byte| *byte == 0);
            let written = if is_zero { Ok(()) } else { content.file.write_all_at(bytes, at) };
            written.map_err(|error| {
                full = Some(error);
                io::Error::other("the content cannot be written")
            })
        });
        let done = match full {
            _ if stopped() => Err(OpsError::Interrupted.into()),
            Some(error) => content.done(Err(error)),
            None => applied.map_err(useless).and_then(|()| self.finish((delta.size, delta.cluster_bits), &content)),
        };
        content.remove()?;
        done
    }
}
