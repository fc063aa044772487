//! A kernel that builds of the recipe leave: its image, perhaps its modules and its configuration.

use super::modules::initrd_modules;
use crate::base::{Diagnostic, Spanned};
use crate::recipe::build::{self, BuildOutput};
use crate::recipe::reader::Reader;
use crate::recipe::scope::Scope;
use crate::recipe::value::Value;

/// A kernel that is ready. What these outputs hold is not known before the builds have run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltKernel {
    /// What boots.
    pub image: Spanned<BuildOutput>,
    /// Its modules below `lib/modules/RELEASE`, as an archive or a directory.
    pub modules: Option<Spanned<BuildOutput>>,
    /// Its configuration.
    pub config: Option<Spanned<BuildOutput>>,
    /// Modules, by name, that the initramfs loads besides those needed to mount the root.
    pub initrd_modules: Vec<Spanned<String>>,
}

/// Reads the fields of a kernel with `image`.
pub(super) fn built(reader: &mut Reader<'_>, scope: &Scope) -> Option<BuiltKernel> {
    let named = reader.node().children.iter().find(|child| child.keyword.value == "initrd-modules");
    let image = reader.required::<Value>("image").map(|image| output(image, "bzImage", scope));
    let modules = reader.optional::<Value>("modules").map(|modules| output(modules, "modules.tar", scope));
    let config = reader.optional::<Value>("config").map(|config| output(config, "config", scope));
    if let Some(named) = named.filter(|_| modules.is_none()) {
        let wrong = Diagnostic::new(named.keyword.span, "this kernel has no modules, and therefore no initramfs");
        let hint = "write `modules = output \"modules.tar\" from BUILD`, or remove this";
        reader.error(wrong.label("nothing to load").hint(hint));
    }
    let initrd_modules = initrd_modules(reader);
    // A field that is there and wrong was reported.
    let (image, modules, config) =
        (image??, modules.map_or(Some(None), |m| m.map(Some))?, config.map_or(Some(None), |c| c.map(Some))?);
    Some(BuiltKernel { image, modules, config, initrd_modules })
}

fn output(value: Spanned<Value>, example: &str, scope: &Scope) -> Option<Spanned<BuildOutput>> {
    let span = value.span;
    build::output_or_report(&value, example, scope).map(|output| Spanned::new(output, span))
}
