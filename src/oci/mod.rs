//! OCI: artifacts in registries and in image layouts, as the OCI distribution and image specifications 1.1 have them.
//!
//! Input: a reference, and descriptors with bytes. Output: the same bytes, compared with their descriptors, or an [`OciError`]
//! that names who sent what. It must not know what kiln's artifacts mean.
//!
//! A registry is believed nothing: every answer is bounded, every manifest is compared with its digest, and whatever a server
//! names next (a redirect, a place to upload to, a token service) is only told what that place may know.

mod challenge;
mod credentials;
mod error;
mod fetch;
mod layout;
mod manifest;
mod pieces;
mod reference;
mod referrers;
mod registry;
mod send;
mod upload;

pub use error::OciError;
pub use layout::{LAYOUT_MARKER, LAYOUT_VERSION, Layout};
pub use manifest::{
    ArtifactManifest, Descriptor, EMPTY, EMPTY_TYPE, ImageIndex, ImageManifest, MANIFEST_LIMIT, MANIFEST_TYPE,
    OciDigest, REF_NAME, TITLE,
};
pub use pieces::Upload;
pub use reference::{LayoutReference, Reference, RegistryReference, Which};
pub use referrers::{ListEnd, ReferrerList};
pub use registry::{Access, Connection, Login, Registry, Rights};
