//! A kernel that builds of the recipe leave: its image, perhaps its modules and its configuration.

use std::collections::BTreeMap;

use super::OptionValue;
use super::config::options;
use super::modules::initrd_modules;
use crate::base::{Diagnostic, Span, Spanned};
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
    /// What its configuration must have. What must be off is not needed by its machines either.
    pub require: BTreeMap<String, Spanned<OptionValue>>,
}

impl BuiltKernel {
    /// Where the recipe says that the kernel is to be without an option.
    pub fn without(&self, option: &str) -> Option<Span> {
        self.require.get(option).filter(|value| value.value == OptionValue::No).map(|value| value.span)
    }
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
    let require = options(reader, "require");
    if let Some(first) = require.values().next().filter(|_| config.is_none()) {
        let wrong = Diagnostic::new(first.span, "this kernel has no `config`, in which an option could be found");
        let hint = "write `config = output \"config\" from BUILD`, or remove this";
        reader.error(wrong.label("nothing to compare with").hint(hint));
    }
    // A field that is there and wrong was reported.
    let (image, modules, config) =
        (image??, modules.map_or(Some(None), |m| m.map(Some))?, config.map_or(Some(None), |c| c.map(Some))?);
    Some(BuiltKernel { image, modules, config, initrd_modules, require })
}

fn output(value: Spanned<Value>, example: &str, scope: &Scope) -> Option<Spanned<BuildOutput>> {
    let span = value.span;
    build::output_or_report(&value, example, scope).map(|output| Spanned::new(output, span))
}
