//! Host name, locale, time zone, file systems: the small files of `/etc`.

use super::growth;
use crate::exec::debian::machine;
use crate::exec::tree::RootError;
use crate::exec::tree::parts::Addition;
use crate::plan::root::Fstab;

/// Writes them.
pub(super) fn apply(Addition { spec, tree, .. }: &Addition<'_>) -> Result<(), RootError> {
    growth::possible(spec, tree)?;
    machine::names(tree, &spec.hostname)?;
    if let Some(device) = &spec.root_device {
        let fstab = Fstab { root: device, grow: spec.grow.is_some(), swap_file: spec.swap_file.as_deref() };
        tree.put("etc/fstab", fstab.text().as_bytes(), 0o644)?;
    }
    machine::locale(tree, &spec.locale)?;
    machine::timezone(tree, &spec.timezone)
}
