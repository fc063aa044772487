//! Reads `kernel NAME { ... }`.

use std::path::PathBuf;

use super::built::built;
use super::config::options;
use super::modules::initrd_modules;
use super::{Compiled, ConfigBase, ConfigBlock, Kernel, KernelSource, Origin};
use crate::base::{Arch, Diagnostic, Spanned};
use crate::recipe::address::{self, Address};
use crate::recipe::architecture;
use crate::recipe::build;
use crate::recipe::kinds::{FileKey, Name};
use crate::recipe::local::{LocalOrigin, LocalPlace};
use crate::recipe::packages::source::{DebianPart, DebianSource};
use crate::recipe::packages::{PackageRequest, PackageSet, request};
use crate::recipe::reader::Reader;
use crate::recipe::scope::{Scope, Wanted};
use crate::recipe::value::{EvaluatedNode, Value};

/// Reads one `kernel` block: stock with `package`, compiled with `source`, left by builds with `image`.
pub fn check(node: &EvaluatedNode, scope: &Scope) -> Option<Kernel> {
    let mut reader = Reader::new(node, &scope.report);
    let name = reader.name();
    let own = name.as_ref().map_or("", |name| name.value.as_str()).to_owned();
    let has = |field: &str| node.children.iter().find(|child| child.keyword.value == field);
    let arch = architecture::read(&mut reader);
    let own = Own { name: &own, arch: &arch };
    let ways: Vec<&EvaluatedNode> = ["package", "source", "image"].into_iter().filter_map(has).collect();
    let origin = match ways[..] {
        [] => {
            let message = format!("{} has neither `package` nor `source` nor `image`", node.title());
            let wrong = Diagnostic::new(node.head(), message);
            let stock = arch.value.facts().kernel.package;
            let hint = format!(
                "add `package = package \"{stock}\"`, `source = package \"linux-source-6.12\"` or `image = output \"bzImage\" from BUILD`"
            );
            scope.report.push_absence(wrong.label("comes from nowhere").hint(hint));
            return None;
        }
        [way] => match way.keyword.value.as_str() {
            "package" => stock(&mut reader, scope, own),
            "source" => compiled(&mut reader, scope, own).map(|compiled| Origin::Compiled(Box::new(compiled))),
            _ => built(&mut reader, scope).map(|built| Origin::Built(Box::new(built))),
        },
        [first, second, ..] => {
            let (one, other) = (&first.keyword, &second.keyword);
            let message = format!("{} has both `{}` and `{}`", node.title(), one.value, other.value);
            let wrong = Diagnostic::new(other.span, message).label(meaning(&other.value));
            let wrong = wrong.related(one.span, meaning(&one.value));
            scope.report.push(wrong.hint("keep one of the two"));
            return None;
        }
    };
    reader.finish();
    if let (Some(name), Some(Origin::Compiled(compiled))) = (&name, &origin) {
        super::contradiction::report(name, compiled, &scope.report);
    }
    Some(Kernel { name: name?.value, architecture: arch, origin: origin?, span: node.head() })
}

/// What a field says of the kernel that has it.
fn meaning(field: &str) -> &'static str {
    match field {
        "package" => "this kernel is used as Debian built it",
        "source" => "compiled from source",
        _ => "this kernel is ready when a build leaves it",
    }
}

/// What the sets of a kernel are called after, and what it runs on.
#[derive(Clone, Copy)]
struct Own<'a> {
    name: &'a str,
    arch: &'a Spanned<Arch>,
}

impl Own<'_> {
    fn name(self, part: &str) -> String {
        format!("{}.{part}", self.name)
    }
}

fn stock(reader: &mut Reader<'_>, scope: &Scope, own: Own<'_>) -> Option<Origin> {
    let value = reader.required::<Value>("package");
    let initrd_modules = initrd_modules(reader);
    let value = value?;
    let request = request(&value, scope)?;
    let set = scope.own_set(&own.name("package"), vec![request], Spanned::new(own.arch.value, value.span));
    Some(Origin::Stock { set, initrd_modules })
}

fn compiled(reader: &mut Reader<'_>, scope: &Scope, own: Own<'_>) -> Option<Compiled> {
    let stated = reader.required::<Value>("source");
    let source = stated.as_ref().and_then(|value| source(value, scope, own));
    let base = reader.required::<Value>("base").and_then(|value| base(&value, scope, own, source.as_ref()));
    let patches = reader.list::<FileKey>("patches").into_iter().map(|patch| patch.map(|key| key.0)).collect();
    let configs = configs(reader, scope);
    let (options, require) = (options(reader, "option"), options(reader, "require"));
    let wanted = Wanted { field: "build", own_name: &own.name("build"), arch: Arch::BUILD };
    let build = scope.required_set(reader, wanted);
    let (modules, btf) = (reader.or("modules", false), reader.or("btf", false));
    let named = reader.node().children.iter().find(|child| child.keyword.value == "initrd-modules");
    if let Some(named) = named.filter(|_| !modules) {
        let wrong = Diagnostic::new(named.keyword.span, "this kernel has no modules, and therefore no initramfs");
        reader.error(wrong.label("nothing to load").hint("write `modules = true`, or remove this"));
    }
    let initrd_modules = initrd_modules(reader);
    let source = match scope.local_sources.get(own.name) {
        Some(path) => Some(instead(source.as_ref(), path.clone())),
        None => source,
    };
    let (source, source_span, base, build) = (source?, stated?.span, base?, build?);
    Some(Compiled {
        source,
        source_span,
        patches,
        base,
        configs,
        options,
        require,
        build,
        modules,
        initrd_modules,
        btf,
    })
}

/// The directory that the command line names, in the place of what the recipe says.
fn instead(source: Option<&KernelSource>, path: PathBuf) -> KernelSource {
    let origin = match source {
        Some(KernelSource::Directory(..)) => LocalOrigin::Recipe,
        _ => LocalOrigin::CommandLine,
    };
    KernelSource::Directory(LocalPlace::At(path), origin)
}

fn configs(reader: &mut Reader<'_>, scope: &Scope) -> Vec<ConfigBlock> {
    let mut configs: Vec<ConfigBlock> = Vec::new();
    for name in reader.list::<Name>("configs") {
        let name = name.map(|name| name.0);
        if configs.iter().any(|config| config.name == name.value) {
            reader.error(Diagnostic::new(name.span, format!("`{}` is listed twice", name.value)).label("again here"));
        } else if scope.resolves("config", &name) {
            configs.extend(scope.configs.get(&name.value).cloned());
        }
    }
    configs
}

/// What a report proposes as the source of a kernel.
const SOURCES: &str = "write `package \"linux-source-6.12\"`, `source-package \"linux\"`, `source-tarball \"linux\"`, `url \"https://...\" sha256:...`, `output \"linux.tar\" from BUILD` or, \
                       for a tree of your own, `directory \"linux\"`";

/// `package "linux-source-6.12"`, `source-package "linux" from trixie`, `source-tarball "linux"`, `url "https://..." sha256:...`, `output "linux.tar" from BUILD`,
/// or `directory "linux"`.
fn source(value: &Spanned<Value>, scope: &Scope, own: Own<'_>) -> Option<KernelSource> {
    match &value.value {
        Value::Call(word, arguments) if word.value == "url" => {
            let Address { url, digest } = address::read(value, arguments, &scope.report)?;
            Some(KernelSource::Url { url, digest })
        }
        Value::Call(word, arguments) if DebianPart::named(&word.value).is_some() => {
            DebianSource::read(word, arguments, scope).map(KernelSource::DebianSource)
        }
        Value::Call(word, _) if word.value == "output" => {
            build::output(value, scope).map(|output| KernelSource::Output(Spanned::new(output, value.span)))
        }
        Value::Local(local) => Some(KernelSource::Directory(local.place.clone(), LocalOrigin::Recipe)),
        Value::Text(path) if path.contains('/') => {
            let wrong = Diagnostic::new(value.span, format!("`{path}` cannot be the name of a Debian package"));
            let hint = format!("a tree of your own is written `directory \"{path}\"`");
            scope.report.push(wrong.label("a path").hint(hint));
            None
        }
        Value::Text(_) | Value::Call(..) => {
            let request = request(value, scope)?;
            let arch = Spanned::new(Arch::BUILD, value.span);
            Some(KernelSource::Package(scope.own_set(&own.name("source"), vec![request], arch)))
        }
        Value::Wrong => None,
        other => {
            let message = format!("expected the source of a kernel, found {}", other.describe());
            let wrong = Diagnostic::new(value.span, message).label(format!("this is {}", other.kind()));
            scope.report.push(wrong.hint(SOURCES));
            None
        }
    }
}

/// A target such as `"tinyconfig"`, `debian`, `package "linux-config-6.12"` or `file "my.config"`.
fn base(value: &Spanned<Value>, scope: &Scope, own: Own<'_>, source: Option<&KernelSource>) -> Option<ConfigBase> {
    let set = |request: PackageRequest| -> PackageSet {
        scope.own_set(&own.name("base"), vec![request], Spanned::new(own.arch.value, value.span))
    };
    match &value.value {
        Value::File(key) => Some(ConfigBase::File(key.clone())),
        Value::Text(target) => config_target(target, value, scope),
        Value::Name(name) if name == "debian" => {
            debian(source?, value, scope).map(|request| ConfigBase::Debian(set(request)))
        }
        Value::Call(word, _) if word.value == "package" => Some(ConfigBase::Debian(set(request(value, scope)?))),
        Value::Wrong => None,
        other => {
            let message = format!("expected a base configuration, found {}", other.describe());
            let hint = match other {
                Value::Name(name) => format!("a make target is text: `\"{name}\"`"),
                _ => {
                    let target = own.arch.value.facts().kernel.defconfig;
                    format!("write `\"{target}\"`, `debian` or `file \"my.config\"`")
                }
            };
            scope
                .report
                .push(Diagnostic::new(value.span, message).label(format!("this is {}", other.kind())).hint(hint));
            None
        }
    }
}

/// A target of the source's Makefile that writes a whole `.config`.
fn config_target(target: &str, value: &Spanned<Value>, scope: &Scope) -> Option<ConfigBase> {
    let plain = target.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b));
    let known = target.ends_with("defconfig") || ["tinyconfig", "allnoconfig"].contains(&target);
    if plain && known && !target.starts_with('-') {
        return Some(ConfigBase::Target(target.to_owned()));
    }
    let wrong = Diagnostic::new(value.span, format!("`{target}` is not a configuration target"));
    let hint = "a target is `..._defconfig`, `tinyconfig` or `allnoconfig`; a file is `file \"my.config\"`";
    scope.report.push(wrong.label("not a target").hint(hint));
    None
}

/// Debian ships the configurations of `linux-source-X` in `linux-config-X`.
fn debian(source: &KernelSource, value: &Spanned<Value>, scope: &Scope) -> Option<PackageRequest> {
    let version = match source {
        KernelSource::Package(set) => set.requests.first().and_then(|request| {
            Some((request.name.strip_prefix("linux-source-")?.to_owned(), request.archive.clone()))
        }),
        _ => None,
    };
    let Some((version, archive)) = version else {
        let wrong = Diagnostic::new(value.span, "`debian` is known only for the package `linux-source-...`");
        let hint = "name the package that has the configuration: `package \"linux-config-6.12\"`";
        scope.report.push(wrong.label("which configuration?").hint(hint));
        return None;
    };
    Some(PackageRequest { name: format!("linux-config-{version}"), archive, version: None, span: value.span })
}
