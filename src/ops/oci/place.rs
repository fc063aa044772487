//! A registry or an image layout: what push and pull need of either.

use std::sync::{Mutex, PoisonError};

use super::stopped;
use crate::base::Foreign;
use crate::exec::event::StepEvent;
use crate::oci::{
    Access, ArtifactManifest, Connection, Descriptor, Layout, ListEnd, OciDigest, OciError, Reference, ReferrerList,
    Registry, Rights, Upload,
};
use crate::ops::error::OpsError;
use crate::ops::event::OpsEvent;
use crate::ops::session::Session;
use crate::world::download::{ServerWait, Sink};

/// Where artifacts are.
pub(super) enum Place<'a> {
    Registry(Box<Registry<'a>>),
    Layout(Layout),
}

/// How it is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Reach {
    pub(super) plain_http: bool,
    pub(super) mount_from: Option<String>,
}

/// Hears of servers that want to be left alone.
pub(super) type Told<'a> = &'a (dyn Fn(ServerWait) + Sync);

/// Tells the session of them.
pub(super) fn telling<'s>(session: &'s Session<'_>) -> impl Fn(ServerWait) + Sync + use<'s> {
    |waiting| session.on(OpsEvent::Step(StepEvent::Waiting(waiting)))
}

impl<'a> Place<'a> {
    pub(super) fn open(
        session: &Session<'a>,
        (reference, rights): (&Reference, Rights),
        reach: &Reach,
        told: Told<'a>,
    ) -> Result<Place<'a>, OpsError> {
        match reference {
            Reference::Layout(reference) => Ok(Place::Layout(Layout::new(reference))),
            Reference::Registry(reference) => {
                let connection = Connection { world: session.world, stop: &stopped, told };
                let Reach { plain_http, mount_from } = reach.clone();
                let access = Access { rights, plain_http, mount_from };
                Ok(Place::Registry(Box::new(Registry::new(connection, reference, access)?)))
            }
        }
    }

    /// The manifest that a reference names.
    pub(super) fn manifest(&self, reference: &Reference) -> Result<(Descriptor, Vec<u8>), OciError> {
        match (self, reference) {
            (Place::Registry(registry), Reference::Registry(reference)) => registry.manifest(&reference.which),
            (Place::Layout(layout), Reference::Layout(reference)) => layout.manifest(reference),
            _ => unreachable!("a place is opened for its reference"),
        }
    }

    /// What the tag of a reference stands for now, whoever made that.
    pub(super) fn tagged(&self, reference: &Reference) -> Result<Option<Vec<u8>>, OciError> {
        let tag = reference.which().tag();
        match self {
            Place::Registry(registry) => registry.tagged(tag),
            Place::Layout(layout) => layout.tagged(tag),
        }
    }

    /// A manifest that anybody may have added, or (`kind`) a blob of one.
    pub(super) fn unproven(&self, kind: &str, descriptor: &Descriptor, limit: u64) -> Result<Vec<u8>, OciError> {
        match self {
            Place::Registry(registry) => registry.unproven(kind, descriptor, limit),
            Place::Layout(layout) => layout.read(descriptor, limit),
        }
    }

    /// A small blob, which is refused unread if it is said to be larger than `limit`.
    pub(super) fn small(&self, descriptor: &Descriptor, limit: u64) -> Result<Vec<u8>, OciError> {
        match self {
            Place::Registry(registry) => registry.small(descriptor, limit),
            Place::Layout(layout) => layout.read(descriptor, limit),
        }
    }

    /// Has a blob poured into a sink. Whether it is the right one is the caller's to judge.
    pub(super) fn blob<S: Sink<Error = OciError>>(
        &self,
        descriptor: &Descriptor,
        sink: &mut S,
    ) -> Result<(), OciError> {
        match self {
            Place::Registry(registry) => registry.blob(descriptor, sink),
            Place::Layout(layout) => {
                sink.restart()?;
                layout.copy(descriptor, &mut |piece| {
                    if stopped() { Err(OciError::Interrupted) } else { sink.take(piece) }
                })
            }
        }
    }

    /// Puts blobs there that are not there yet.
    pub(super) fn put(&self, blobs: &[(&Descriptor, &Upload)], sent: &(dyn Fn(u64) + Sync)) -> Result<(), OciError> {
        match self {
            Place::Registry(registry) => registry.put(blobs, sent),
            Place::Layout(layout) => layout.put(&mut blobs.iter().copied(), &|bytes| {
                sent(bytes);
                if stopped() { Err(OciError::Interrupted) } else { Ok(()) }
            }),
        }
    }

    /// Gives an artifact, whose blobs are there, its tag.
    pub(super) fn tag(&self, reference: &Reference, manifest: &ArtifactManifest) -> Result<Descriptor, OciError> {
        let text = manifest.write();
        let descriptor = Descriptor::of_artifact(&text, &manifest.artifact_type);
        match (self, reference) {
            (Place::Registry(registry), Reference::Registry(reference)) => {
                registry.tag(reference.which.tag(), &text)?
            }
            (Place::Layout(layout), Reference::Layout(reference)) => {
                layout.list((&descriptor, &text), Some(reference.which.tag()), &stopped)?;
            }
            _ => unreachable!("a place is opened for its reference"),
        }
        Ok(descriptor)
    }

    /// Adds an artifact, whose blobs are there, that says something of another.
    pub(super) fn refer(&self, subject: OciDigest, manifest: &ArtifactManifest) -> Result<(), OciError> {
        let text = manifest.write();
        match self {
            Place::Registry(registry) => registry.refer(subject, manifest),
            Place::Layout(layout) => {
                layout.list((&Descriptor::of_artifact(&text, &manifest.artifact_type), &text), None, &stopped)
            }
        }
    }

    /// Artifacts of a type that may say something of another.
    pub(super) fn referrers(&self, subject: OciDigest, artifact_type: &str) -> Result<ReferrerList, OciError> {
        match self {
            Place::Registry(registry) => registry.referrers(subject, artifact_type),
            Place::Layout(layout) => {
                Ok(ReferrerList { manifests: layout.referrers(artifact_type)?, end: ListEnd::Whole })
            }
        }
    }
}

/// Tells a session of bytes that are on their way, each tenth of them.
pub(super) struct Tenths<'a> {
    session: &'a Session<'a>,
    total: u64,
    /// Bytes that are there, and the tenths that were told.
    state: Mutex<(u64, u64)>,
}

impl<'a> Tenths<'a> {
    pub(super) fn new(session: &'a Session<'a>, total: u64) -> Tenths<'a> {
        Tenths { session, total, state: Mutex::default() }
    }

    pub(super) fn add(&self, bytes: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let done = state.0 + bytes;
        let tenth = done * 10 / self.total.max(1);
        if tenth > state.1 {
            self.session.on(OpsEvent::Pushing { done, total: self.total });
        }
        *state = (done, tenth.max(state.1));
    }
}

/// What a reference is called in errors.
pub(super) fn shown(reference: &Reference) -> String {
    Foreign(reference).to_string()
}
