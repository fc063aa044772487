//! A container image that is listed in an OCI image layout, where `kiln push` and other programs list theirs.
//!
//! Input: a directory, which may hold a layout already, and a tag. Output: blobs, and an index that names the image. The index comes
//! last: an export that ends early leaves the layout with the images that it had.

use super::disk::DiskFile;
use super::image::{self, Image};
use super::target::{MODE, NewExport};
use super::{ExportFormat, TAG};
use crate::exec::interrupt;
use crate::oci::{Layout, LayoutReference, OciError, Reference, Upload, Which};
use crate::ops::error::{ExportError, OpsError, RemoteError};
use crate::ops::target::{ExistingFile, FileTarget};

/// A place for an image.
pub(super) struct LayoutTarget {
    reference: LayoutReference,
    layout: Layout,
    /// In the layout's directory: what the layer is until it is whole.
    scratch: FileTarget,
}

impl LayoutTarget {
    pub(super) fn open(reference: &LayoutReference, existing: ExistingFile) -> Result<LayoutTarget, OpsError> {
        if reference.which.digest.is_some() {
            return Err(RemoteError::write_by_digest(&Reference::Layout(reference.clone())).into());
        }
        let which = Which::tagged(reference.which.tag.as_deref().unwrap_or(TAG));
        let reference = LayoutReference { which, ..reference.clone() };
        let layout = Layout::new(&reference).with_mode(MODE);
        layout.check()?;
        let tag = reference.which.tag();
        match layout.tagged(tag) {
            _ if existing == ExistingFile::Replace => {}
            Ok(None) => {}
            Err(error) if !error.is_mismatch() => return Err(error.into()),
            _ => return Err(ExportError::Tagged(reference.directory.clone(), tag.to_owned()).into()),
        }
        let scratch = FileTarget::within(&reference.directory)?;
        Ok(LayoutTarget { reference, layout, scratch })
    }

    /// Writes the image of a disk, and lists it.
    pub(super) fn write(&self, disk: &DiskFile, format: ExportFormat) -> Result<Image, OpsError> {
        let layer = NewExport::begin(&self.scratch)?;
        let image = match format {
            ExportFormat::Oci => image::of_root(disk, &layer)?,
            _ => image::of_disk(disk, self.scratch.home(), &layer)?,
        };
        let blobs = image.blobs(Upload::File(layer.path()));
        let ask_to_stop = |_| if interrupt::stopped() { Err(OciError::Interrupted) } else { Ok(()) };
        self.layout.put(&mut blobs.iter().map(|(blob, upload)| (*blob, upload)), &ask_to_stop)?;
        let (manifest, text) = image.manifest();
        self.layout.list((manifest, text), Some(self.reference.which.tag()), &interrupt::stopped)?;
        Ok(image)
    }
}
