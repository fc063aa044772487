//! Host name, locale, time zone, file systems: the small files of `/etc`.

use super::growth;
use crate::exec::debian::machine;
use crate::exec::failure::StepFailure;
use crate::exec::tree::RootError;
use crate::exec::tree::parts::Addition;
use crate::plan::Statement;
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

/// Refuses a tree of the recipe that replaces what was written for a field which the recipe states.
pub(super) fn stated(addition: &Addition<'_>) -> Result<(), RootError> {
    for field in &addition.spec.stated {
        for path in field.files() {
            if addition.states(path)? {
                let text = format!("`{field}` would be without effect: a tree of the recipe replaces `{path}`");
                let failure = StepFailure::recipe(Statement::Field(*field), text);
                return Err(failure.help("leave the file out of the tree, or the field out of the image").into());
            }
        }
    }
    Ok(())
}

/// Refuses a tree of the recipe with another table of file systems, in which swap and growing would have no line; a file of
/// the recipe was refused when it was read.
pub(super) fn mounts(addition: &Addition<'_>) -> Result<(), RootError> {
    let spec = addition.spec;
    let field = match (&spec.grow, &spec.swap_file) {
        (Some(_), _) => "grow",
        (None, Some(_)) => "swap",
        (None, None) => return Ok(()),
    };
    if !addition.states("/etc/fstab")? {
        return Ok(());
    }
    let about = if field == "grow" { Statement::Grow } else { Statement::Block };
    let text = format!("`{field}` is a part of `/etc/fstab`, which a tree of the recipe replaces");
    Err(StepFailure::recipe(about, text).help("leave the file out of the tree, or the field out of the image").into())
}
