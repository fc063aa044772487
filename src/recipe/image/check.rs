//! Reads `image NAME { ... }`.

use super::disk::FormContext;
use super::{FieldSpans, Image, debconf, disk, file, group, machine_files, overlap, paths, user};
use crate::base::{Diagnostic, Spanned};
use crate::recipe::architecture;
use crate::recipe::build::{self, BuildOutput};
use crate::recipe::packages::{Base, Contents, PackageSet, contents};
use crate::recipe::reader::Reader;
use crate::recipe::scope::Scope;
use crate::recipe::value::{EvaluatedNode, Value};

/// Reads one `image` block.
pub fn check(node: &EvaluatedNode, scope: &Scope) -> Option<Image> {
    let mut reader = Reader::new(node, &scope.report);
    let name = reader.name();
    let own = name.as_ref().map_or("", |name| name.value.as_str()).to_owned();
    let arch = architecture::read(&mut reader);
    let asked = Contents { field: "packages", base: Base::Required, arch: arch.value };
    let packages = contents(&mut reader, scope, asked);
    let hostname = reader.optional::<String>("hostname");
    let groups = group::groups(&mut reader);
    let users = user::users(&mut reader, scope);
    let files = file::files(&mut reader, scope);
    overlap::report(&files, &reader);
    let (form, at) = disk::form(&mut reader, &FormContext { scope, own: &own, arch: &arch, files: &files });
    let modules = modules(&mut reader, scope);
    let (paths, patterns) = paths::patterns(&mut reader, &files);
    user::keys_once(&users, &files, &reader);
    let units = units(&mut reader);
    let (serial_console, dhcp) = (reader.or("serial-console", true), reader.optional::<bool>("dhcp"));
    let strict = reader.or("strict", false);
    let locale = word(&mut reader, "locale", "C.UTF-8");
    let timezone = word(&mut reader, "timezone", "Etc/UTC");
    let span = |field: &Option<Spanned<String>>| field.as_ref().map(|field| field.span);
    let addresses = dhcp.as_ref().filter(|dhcp| dhcp.value).map(|dhcp| dhcp.span);
    let machine = machine_files::stated([span(&hostname), span(&locale), span(&timezone), addresses]);
    machine_files::once(&machine, &files, &reader);
    let hostname = hostname.map(|hostname| host_name(hostname, &reader));
    let debconf = debconf::answers(&mut reader);
    let spans = FieldSpans {
        size: at.size,
        format: at.format,
        grow: at.grow,
        machine,
        units: units.iter().flatten().map(|unit| (unit.value.clone(), unit.span)).collect(),
        patterns,
    };
    let [enable, disable, mask] = units.map(|list| list.into_iter().map(|unit| unit.value).collect());
    reader.finish();
    let name = name?.value;
    Some(Image {
        architecture: arch,
        form: form?,
        packages: PackageSet { name: name.clone(), ..packages },
        paths,
        hostname: hostname.unwrap_or_else(|| Some(name.to_ascii_lowercase().replace('_', "-")))?,
        name,
        groups,
        users,
        files,
        modules,
        enable,
        disable,
        mask,
        serial_console,
        dhcp: dhcp.is_none_or(|dhcp| dhcp.value),
        locale: locale.map_or_else(|| "C.UTF-8".to_owned(), |locale| locale.value),
        timezone: timezone.map_or_else(|| "Etc/UTC".to_owned(), |timezone| timezone.value),
        debconf,
        strict,
        span: node.head(),
        spans,
    })
}

/// `modules = [output "x.ko" from BUILD]`
fn modules(reader: &mut Reader<'_>, scope: &Scope) -> Vec<Spanned<BuildOutput>> {
    let listed = reader.list::<Value>("modules");
    let read = |item: &Spanned<Value>| match &item.value {
        Value::Call(word, _) if word.value == "output" => build::output(item, scope),
        Value::Wrong => None,
        other => {
            let wrong =
                Diagnostic::new(item.span, format!("expected an output of a build, found {}", other.describe()));
            let wrong = wrong.label(format!("this is {}", other.kind()));
            scope.report.push(wrong.hint("write `output \"NAME.ko\" from BUILD`"));
            None
        }
    };
    listed.iter().filter_map(|item| read(item).map(|output| Spanned::new(output, item.span))).collect()
}

/// RFC 1123, 2.1: labels of letters, digits and hyphens; hostname(7) allows 64 characters.
fn host_name(name: Spanned<String>, reader: &Reader<'_>) -> Option<String> {
    let label = |label: &str| {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        !label.is_empty() && !label.starts_with('-') && !label.ends_with('-') && label.bytes().all(plain)
    };
    if name.value.len() <= 64 && name.value.split('.').all(label) {
        return Some(name.value);
    }
    let wrong = Diagnostic::new(name.span, format!("`{}` cannot be a host name", name.value));
    reader.error(wrong.label("lower-case letters, digits and `-`, at most 64 characters"));
    None
}

const SUFFIX: &str = "a systemd unit has a suffix such as `.service`";

/// Units to enable, to disable and to mask.
fn units(reader: &mut Reader<'_>) -> [Vec<Spanned<String>>; 3] {
    let lists = [reader.list::<String>("enable"), reader.list::<String>("disable"), reader.list::<String>("mask")];
    let mut seen: Vec<&Spanned<String>> = Vec::new();
    for unit in lists.iter().flatten() {
        if !is_unit(&unit.value) {
            let wrong = Diagnostic::new(unit.span, format!("`{}` is not the name of a unit", unit.value));
            reader.error(match unit.value.as_str() {
                escaped if escaped.contains('\\') => wrong
                    .label("kiln takes no escapes such as `\\x2d`")
                    .hint("a `file` of the image can be a link to the unit in `/etc/systemd/system/TARGET.wants`"),
                option if option.starts_with('-') => wrong.label("a unit that begins with `-` would be an option"),
                odd if odd.contains(['.', '/', ' ']) => wrong.label(SUFFIX),
                bare => {
                    let hint = format!("write `\"{bare}.service\"`");
                    wrong.label(SUFFIX).hint(hint)
                }
            });
        }
        if let Some(first) = seen.iter().find(|other| other.value == unit.value) {
            let twice = Diagnostic::new(unit.span, format!("unit `{}` is listed more than once", unit.value));
            reader.error(twice.label("again here").related(first.span, "first here"));
        }
        seen.push(unit);
    }
    lists
}

/// systemd.unit(5): a name of at most 255 of these characters, and the suffix of a type. What that page allows and the
/// step that makes the image does not take is a mistake here: a backslash, which would stand in a script, and a hyphen in
/// front, which programs take for an option.
fn is_unit(name: &str) -> bool {
    let types = ["service", "socket", "timer", "target", "mount", "path", "swap", "slice", "automount"];
    let legal = |c: char| c.is_ascii_alphanumeric() || ":-_.@".contains(c);
    let (stem, suffix) = name.rsplit_once('.').unwrap_or((name, ""));
    !stem.is_empty()
        && !name.starts_with('-')
        && name.len() <= 255
        && name.chars().all(legal)
        && types.contains(&suffix)
}

/// A word for a file in `/etc` that a shell reads.
fn word(reader: &mut Reader<'_>, field: &'static str, example: &str) -> Option<Spanned<String>> {
    let word = reader.optional::<String>(field)?;
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-+@/".contains(c);
    let climbs = word.value.split('/').any(|part| part.is_empty() || part.starts_with('.'));
    if climbs || !word.value.chars().all(legal) {
        let wrong = Diagnostic::new(word.span, format!("`{}` cannot be a {field}", word.value));
        reader.error(wrong.label(format!("as in `\"{example}\"`")));
    }
    Some(word)
}
