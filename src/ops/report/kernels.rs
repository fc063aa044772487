//! What a recipe asks of its kernels, beside what each starts from.

use super::html::{Cell, Html, Section, Table, details, paragraph, text};
use crate::kconfig::{OptionRequest, RequestKind};
use crate::lock::{Lock, LockedKernel};
use crate::plan::kernel::requested::Requested;
use crate::recipe::Recipe;
use crate::recipe::kernel::{Compiled, ConfigBase, Kernel, KernelSource, OptionValue, Origin};

pub(super) fn section(recipe: Option<&Recipe>, lock: &Lock) -> Section {
    let parts = match recipe {
        Some(recipe) => recipe.kernels.values().flat_map(|kernel| of_kernel(kernel, lock)).collect(),
        None => lock.kernels.iter().flat_map(|(name, kernel)| of_lock(name, kernel)).collect(),
    };
    Section { id: "kernels", heading: "Kernels", parts }
}

/// What a lock alone says of a kernel.
fn of_lock(name: &str, kernel: &LockedKernel) -> Vec<Html> {
    let release = kernel.release.as_ref().map(|release| format!("Its release is {release}. ")).unwrap_or_default();
    let words = format!("{release}Which options are asked for stands in the recipe, which was not there.");
    let config = kernel.config.map(|digest| paragraph(&format!("SHA-256 of its configuration: {digest}")));
    let heading = Html(format!("<h3>{}</h3>\n", text(name)));
    [heading, paragraph(&words)].into_iter().chain(config).collect()
}

fn of_kernel(kernel: &Kernel, lock: &Lock) -> Vec<Html> {
    let heading = Html(format!("<h3>{}</h3>\n", text(&kernel.name)));
    let locked = lock.kernels.get(&kernel.name);
    let release = locked.and_then(|kernel| kernel.release.clone()).map(|release| format!(" Its release is {release}."));
    let config = locked.and_then(|kernel| kernel.config);
    let config = config.map(|digest| paragraph(&format!("SHA-256 of its configuration: {digest}")));
    let mut parts = vec![heading];
    match &kernel.origin {
        Origin::Stock { set, .. } => {
            let words = format!(
                "Used as its package set {} has it: no option is changed.{}",
                set.name,
                release.unwrap_or_default()
            );
            parts.push(paragraph(&words));
        }
        Origin::Built(built) => {
            let image = &built.image.value;
            let words = format!(
                "The output {} of build {} is the kernel, as the build leaves it.{}",
                image.name,
                image.build,
                release.unwrap_or_default()
            );
            parts.push(paragraph(&words));
        }
        Origin::Compiled(compiled) => {
            let words = format!(
                "Compiled from {}; the configuration starts from {}.{}",
                source(compiled),
                base(compiled),
                release.unwrap_or_default()
            );
            parts.push(paragraph(&words));
            parts.push(options(kernel, compiled));
        }
    }
    parts.extend(config);
    parts
}

fn source(compiled: &Compiled) -> String {
    let source = match &compiled.source {
        KernelSource::Package(set) => format!("the packages of {}", set.name),
        KernelSource::DebianSource(source) => format!("Debian's source package {}", source.request.name),
        KernelSource::Url { url, .. } => super::address(url),
        KernelSource::Output(output) => format!("the output {} of build {}", output.value.name, output.value.build),
        KernelSource::Directory(..) => "a directory that no lock pins".to_owned(),
    };
    match compiled.patches.len() {
        0 => source,
        1 => format!("{source} with 1 patch"),
        count => format!("{source} with {count} patches"),
    }
}

fn base(compiled: &Compiled) -> String {
    match &compiled.base {
        ConfigBase::Target(target) => format!("make {target}"),
        ConfigBase::Debian(_) => "Debian's configuration".to_owned(),
        ConfigBase::File(file) => format!("the file {file}"),
    }
}

fn options(kernel: &Kernel, compiled: &Compiled) -> Html {
    let requested = Requested::new(kernel, compiled);
    let row = |request: &OptionRequest| {
        let kind = match request.kind {
            RequestKind::Option => "changed",
            RequestKind::Require => "required",
        };
        let words = [value(&request.value), kind.to_owned(), request.by.clone()].map(Cell::Text);
        std::iter::once(Cell::Text(request.name.clone())).chain(words).collect()
    };
    let caption = format!("Options of {} against {}", kernel.name, base(compiled));
    let columns = &["Option", "Value", "How", "Stated in"];
    let table = Table { caption: caption.clone(), columns, rows: requested.requests.iter().map(row).collect() };
    details(&format!("{caption}: {}", requested.requests.len()), &table.html())
}

fn value(value: &OptionValue) -> String {
    match value {
        OptionValue::Yes => "y".to_owned(),
        OptionValue::Module => "m".to_owned(),
        OptionValue::No => "n".to_owned(),
        OptionValue::Text(text) => format!("\"{text}\""),
        OptionValue::Number(number) => number.clone(),
    }
}
