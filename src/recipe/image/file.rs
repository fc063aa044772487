//! Reads `file`, `tree`, `directory` and `link` in an image.

use std::collections::BTreeMap;

use super::capability::{NotCapabilities, nearest};
use super::{Content, FileCapabilities, ImageFile};
use crate::base::{Diagnostic, Span, Spanned};
use crate::recipe::address;
use crate::recipe::build;
use crate::recipe::kinds::{DirectoryKey, FileKey, FromValue, Mode};
use crate::recipe::reader::{Reader, duplicate};
use crate::recipe::scope::Scope;
use crate::recipe::value::{EvaluatedNode, Value};

/// Everything an image adds to the tree of its packages, in path order.
pub(super) fn files(reader: &mut Reader<'_>, scope: &Scope) -> Vec<ImageFile> {
    let blocks = reader.blocks("file").into_iter().map(|node| (node, file(node, scope))).collect::<Vec<_>>();
    let trees = reader.blocks("tree").into_iter().map(|node| (node, tree(node, scope))).collect::<Vec<_>>();
    let directories =
        reader.blocks("directory").into_iter().map(|node| (node, directory(node, reader))).collect::<Vec<_>>();
    let links = reader.statements("link").into_iter().map(|node| (node, link(node, reader))).collect::<Vec<_>>();
    let mut files: BTreeMap<String, (&EvaluatedNode, ImageFile)> = BTreeMap::new();
    for (node, made) in blocks.into_iter().chain(trees).chain(directories).chain(links) {
        let Some(made) = made else { continue };
        match files.get(&made.path) {
            Some((first, _)) => reader.error(duplicate(node, first, &format!("`{}`", made.path))),
            None => drop(files.insert(made.path.clone(), (node, made))),
        }
    }
    files.into_values().map(|(_, file)| file).collect()
}

/// Absolute, and without anything that could lead elsewhere.
pub(super) fn is_absolute(path: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['\0', '\n']);
    path.len() < 4096 && path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(part))
}

/// `file "/path" { text = "..." }`, `file "/path" { source = file "..." }` or `{ source = url "https://..." sha256:... }`
fn file(node: &EvaluatedNode, scope: &Scope) -> Option<ImageFile> {
    let mut reader = Reader::new(node, &scope.report);
    let path = path(&mut reader);
    let text = reader.optional::<String>("text");
    let source = reader.optional::<Value>("source");
    let given = ["text", "source"].iter().any(|field| node.children.iter().any(|child| child.keyword.value == *field));
    let content = match (text, source) {
        (Some(text), Some(source)) => {
            let wrong = Diagnostic::new(source.span, format!("{} has both `text` and `source`", node.title()));
            reader.error(wrong.label("and this").related(text.span, "this").hint("keep one of the two"));
            None
        }
        (Some(text), None) => Some(Content::Text(text.value)),
        (None, Some(value)) => held(&value, scope),
        (None, None) => {
            if !given {
                reader.missing("text", "or `source = file \"...\"`");
            }
            None
        }
    };
    let capabilities = reader.optional::<String>("capabilities").and_then(|text| capabilities(&text, &reader));
    Some(ImageFile { capabilities, ..finish(reader, path, content, 0o644)? })
}

/// `capabilities = "cap_net_bind_service=ep"`
fn capabilities(text: &Spanned<String>, reader: &Reader<'_>) -> Option<FileCapabilities> {
    let error = match FileCapabilities::parse(&text.value) {
        Ok(capabilities) => return Some(capabilities),
        Err(error) => error,
    };
    let near = if let NotCapabilities::Name(name) = &error { nearest(name) } else { None };
    let hint = near.map_or_else(
        || "as setcap(8) takes them: `\"cap_net_bind_service=ep\"`".to_owned(),
        |name| format!("did you mean `{name}`?"),
    );
    let wrong = Diagnostic::new(text.span, "these are not the capabilities of a file").label(error.to_string());
    reader.error(wrong.hint(hint));
    None
}

/// A file of the recipe, one on the network, or one that a build leaves.
fn held(value: &Spanned<Value>, scope: &Scope) -> Option<Content> {
    match &value.value {
        Value::Call(word, arguments) if word.value == "url" => {
            address::read(value, arguments, &scope.report).map(Content::Url)
        }
        Value::Call(word, _) if word.value == "output" => build::output(value, scope).map(Content::Output),
        _ => FileKey::read(value, &scope.report).map(|key| Content::File(key.0)),
    }
}

/// `tree "/path" { source = directory "app" }`
fn tree(node: &EvaluatedNode, scope: &Scope) -> Option<ImageFile> {
    let mut reader = Reader::new(node, &scope.report);
    // The root itself holds whole trees, though nothing else can be put in its place.
    let is_root = matches!(node.arguments.first(), Some(Spanned { value: Value::Text(path), .. }) if path == "/");
    let path = match is_root {
        true => reader.argument::<String>("an absolute path in quotes").map(|path| path.value),
        false => path(&mut reader),
    };
    let source = reader.required::<Value>("source").and_then(|value| tree_source(&value, scope));
    if let Some(Spanned { value: Content::Tree(key), span }) = source.as_ref().filter(|_| is_root) {
        hidden(key, *span, scope);
    }
    if let Some(mode) = reader.optional::<Value>("mode") {
        let wrong = Diagnostic::new(mode.span, "a tree has no `mode`").label("its files keep their own modes");
        reader.error(wrong.hint("`source = directory \"...\" modes exact` keeps every permission bit"));
    }
    finish(reader, path, source.map(|source| source.value), 0o755)
}

/// A directory of the recipe, or one that a build leaves.
fn tree_source(value: &Spanned<Value>, scope: &Scope) -> Option<Spanned<Content>> {
    let content = match &value.value {
        Value::Call(word, _) if word.value == "output" => build::output(value, scope).map(Content::OutputTree),
        _ => DirectoryKey::read(value, &scope.report).map(|DirectoryKey(key)| Content::Tree(key)),
    };
    Some(Spanned::new(content?, value.span))
}

/// What a tree over the whole image would put where a mount hides it.
fn hidden(key: &str, span: Span, scope: &Scope) {
    let directory = scope.files.get(key).and_then(|file| file.as_directory());
    let Some(directory) = directory else { return };
    for path in MOUNTED_OVER {
        if directory.top.iter().any(|name| path[1..] == **name) {
            let wrong = Diagnostic::new(span, format!("`{path}` of this tree would be hidden by a mount"));
            let label = format!("at boot, another file system is mounted on {path}");
            scope.report.push(wrong.label(label).hint(format!("remove `{}` from the directory", &path[1..])));
        }
    }
}

/// `directory "/path" { mode = 0o700 }`
fn directory(node: &EvaluatedNode, outer: &Reader<'_>) -> Option<ImageFile> {
    let mut reader = Reader::new(node, outer.report());
    let path = path(&mut reader);
    if let Some(source) = reader.optional::<Value>("source") {
        let wrong = Diagnostic::new(source.span, format!("{} has no `source`", node.title())).label("not known here");
        reader.error(wrong.hint("write `tree \"/path\" { source = directory \"...\" }`"));
    }
    finish(reader, path, Some(Content::Directory), 0o755)
}

/// `link "/path" = "target"`
fn link(node: &EvaluatedNode, outer: &Reader<'_>) -> Option<ImageFile> {
    let mut reader = Reader::new(node, outer.report());
    let path = path(&mut reader);
    let Some(value) = &node.value else {
        let wrong = Diagnostic::new(node.head(), "a link needs a target").label("`= \"target\"` is missing");
        reader.error(wrong.hint("write `link \"/path\" = \"target\"`"));
        return None;
    };
    let target = String::read(value, outer.report())?;
    if target.is_empty() || target.len() >= 4096 || target.contains('\0') {
        reader.error(Diagnostic::new(value.span, "this cannot be the target of a link").label("empty, or too long"));
        return None;
    }
    finish(reader, path, Some(Content::Link(target)), 0o777)
}

/// Directories that file systems of the kernel, or of memory, are mounted on at every boot.
pub(crate) const MOUNTED_OVER: [&str; 4] = ["/dev", "/proc", "/run", "/sys"];

/// Links of every Debian into `/run` (hier(7)): what a recipe puts below them lies there.
pub(super) const LINKS_INTO_RUN: [&str; 2] = ["/var/lock", "/var/run"];

/// Whether a path is that of a directory, or below it.
pub(super) fn below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn path(reader: &mut Reader<'_>) -> Option<String> {
    let path: Spanned<String> = reader.argument("an absolute path in quotes")?;
    // The links themselves may be stated.
    let link = LINKS_INTO_RUN.iter().find(|link| path.value != **link && below(&path.value, link));
    let over = MOUNTED_OVER.iter().find(|directory| below(&path.value, directory));
    if let Some(directory) = over.or(link.and(Some(&"/run"))) {
        let wrong =
            Diagnostic::new(path.span, format!("`{}` would be hidden by a mount in the running machine", path.value));
        let through = link.map_or(String::new(), |link| format!(", where {link} leads"));
        let wrong = wrong.label(format!("at boot, another file system is mounted on {directory}{through}"));
        let hint = "have systemd-tmpfiles make it at boot: a file in `/etc/tmpfiles.d` (tmpfiles.d(5))";
        reader.error(if *directory == "/run" { wrong.hint(hint) } else { wrong });
        return None;
    }
    if is_absolute(&path.value) {
        return Some(path.value);
    }
    let wrong = Diagnostic::new(path.span, format!("`{}` is not a path in the image", path.value));
    reader.error(wrong.label("expected `/...` without `.`, `..` or `//`"));
    None
}

fn finish(mut reader: Reader<'_>, path: Option<String>, content: Option<Content>, mode: u32) -> Option<ImageFile> {
    let span = reader.node().head();
    let mode = match content {
        Some(Content::Tree(_) | Content::OutputTree(_)) => mode,
        _ => reader.or("mode", Mode(mode)).0,
    };
    let owner = account(&mut reader, "owner");
    let group = account(&mut reader, "group");
    reader.finish();
    Some(ImageFile { path: path?, content: content?, mode, owner: owner?, group: group?, capabilities: None, span })
}

/// A name, or a number; root unless said.
fn account(reader: &mut Reader<'_>, field: &'static str) -> Option<String> {
    let Some(value) = reader.optional::<Value>(field) else { return Some("root".to_owned()) };
    match value.value {
        Value::Integer(number @ 0..=65_535) => Some(number.to_string()),
        Value::Text(name)
            if !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)) =>
        {
            Some(name)
        }
        Value::Wrong => None,
        _ => {
            let wrong = Diagnostic::new(value.span, format!("`{field}` is a quoted name or a number"));
            reader.error(wrong.label("expected `\"root\"` or `0`"));
            None
        }
    }
}
