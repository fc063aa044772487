//! Host name, locale, time zone, file systems: the small files of `/etc`.

use crate::exec::debian::machine;
use crate::exec::tree::RootError;
use crate::exec::tree::parts::Addition;
use crate::plan::root::fstab;

/// Writes them.
pub(super) fn apply(Addition { spec, tree, .. }: &Addition<'_>) -> Result<(), RootError> {
    machine::names(tree, &spec.hostname)?;
    if let Some(device) = &spec.root_device {
        let fstab = fstab(device, spec.swap_file.as_deref());
        tree.put("etc/fstab", fstab.as_bytes(), 0o644)?;
    }
    machine::locale(tree, &spec.locale)?;
    machine::timezone(tree, &spec.timezone)
}
