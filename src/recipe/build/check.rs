//! Reads `build NAME { ... }` and `output "NAME" from BUILD`.

use std::collections::BTreeMap;

use super::{Build, BuildOutput, BuildSource, Replaceable};
use crate::base::{Arch, Diagnostic, Spanned};
use crate::recipe::address;
use crate::recipe::directory::{Directory, TreeView};
use crate::recipe::kernel::Origin;
use crate::recipe::kinds::{FromValue, Name, TextOrFile};
use crate::recipe::local::LocalOrigin;
use crate::recipe::packages::source::{DebianPart, DebianSource};
use crate::recipe::reader::{Reader, duplicate};
use crate::recipe::scope::{Scope, Wanted};
use crate::recipe::value::{EvaluatedNode, Value};

/// Bytes of the name of a source or an output.
const MAX_NAME: usize = 200;
/// The output of a kernel that builds may read.
const HEADERS: &str = "headers.tar";

/// Reads one `build` block. What its sources take from other builds is held against these by [`super::settle`].
pub fn check(node: &EvaluatedNode, scope: &Scope) -> Option<Build> {
    let mut reader = Reader::new(node, &scope.report);
    let name = reader.name();
    let own = name.as_ref().map_or("", |name| name.value.as_str()).to_owned();
    let wanted = Wanted { field: "tools", own_name: &format!("{own}.tools"), arch: Arch::BUILD };
    let tools = scope.required_set(&mut reader, wanted);
    let sources = statements(&mut reader, "source", |node, reader| source(node, reader, scope));
    let env = statements(&mut reader, "env", variable);
    let script = reader.required::<TextOrFile>("script");
    let outputs = outputs(&mut reader);
    reader.finish();
    let mut build =
        Build { name: name?.value, tools: tools?, sources, env, script: script?, outputs: outputs?, span: node.head() };
    build.replace(scope);
    Some(build)
}

/// Every statement of one kind by its name; a second one of a name is an error.
fn statements<T>(
    reader: &mut Reader<'_>,
    keyword: &'static str,
    read: impl Fn(&EvaluatedNode, &Reader<'_>) -> Option<(String, T)>,
) -> BTreeMap<String, T> {
    let mut first: BTreeMap<String, &EvaluatedNode> = BTreeMap::new();
    let mut all = BTreeMap::new();
    for node in reader.statements(keyword) {
        let Some((name, value)) = read(node, reader) else { continue };
        match first.get(&name) {
            Some(earlier) => reader.error(duplicate(node, earlier, &format!("{keyword} `{name}`"))),
            None => {
                first.insert(name.clone(), node);
                all.insert(name, value);
            }
        }
    }
    all
}

/// `source "NAME" = VALUE`
fn source(node: &EvaluatedNode, outer: &Reader<'_>, scope: &Scope) -> Option<(String, Spanned<BuildSource>)> {
    let mut reader = Reader::new(node, outer.report());
    let name: Option<Spanned<String>> = reader.argument("a file name in quotes");
    reader.finish();
    let name = name?;
    let value = assigned(node, outer, "`source \"main.c\" = file \"main.c\"`")?;
    let source = Spanned::new(source_value(value, scope)?, value.span);
    is_entry(&name, outer).then_some((name.value, source))
}

fn source_value(value: &Spanned<Value>, scope: &Scope) -> Option<BuildSource> {
    match &value.value {
        Value::Text(text) => Some(BuildSource::Text(text.clone())),
        Value::File(key) => Some(BuildSource::File(key.clone())),
        Value::Directory(key) => {
            taken_whole(key, value, scope);
            Some(BuildSource::Directory(key.clone()))
        }
        Value::Local(local) => Some(BuildSource::Local {
            place: local.place.clone(),
            origin: LocalOrigin::Recipe,
            stated: Replaceable::Directory,
        }),
        Value::Call(word, arguments) if word.value == "url" => {
            address::read(value, arguments, &scope.report).map(BuildSource::Url)
        }
        Value::Call(word, arguments) if DebianPart::named(&word.value).is_some() => {
            DebianSource::read(word, arguments, scope).map(BuildSource::DebianSource)
        }
        Value::Call(word, arguments) if word.value == "output" => match kernel_in(arguments, scope) {
            Some((output, kernel)) => headers(output, kernel, scope),
            None => output(value, scope).map(BuildSource::Output),
        },
        Value::Wrong => None,
        other => {
            let wrong =
                Diagnostic::new(value.span, format!("expected the source of a build, found {}", other.describe()));
            let hint = "write `file \"main.c\"`, `directory \"src\"`, `url \"https://...\" sha256:...`, `source-package \"ndctl\"`, \
                        `source-tarball \"ndctl\"`, `output \"NAME\" from BUILD` or a string";
            scope.report.push(wrong.label(format!("this is {}", other.kind())).hint(hint));
            None
        }
    }
}

/// A working tree that was read before anybody knew what for: with `.git` and everything else.
fn taken_whole(key: &str, value: &Spanned<Value>, scope: &Scope) {
    let directory = scope.files.get(key).and_then(|file| file.as_directory());
    let is_whole = |directory: &&Directory| directory.is_working_tree() && directory.view == TreeView::Whole;
    if directory.is_some_and(|directory| is_whole(&directory)) {
        let wrong = Diagnostic::new(value.span, "a git working tree cannot be given a name before a build reads it");
        let wrong = wrong.label("read with its `.git`");
        scope.report.push(wrong.hint(format!("write `{}` at the source itself", value.value.spelling())));
    }
}

/// The kernel of `output "headers.tar" from KERNEL`, unless a build has that name.
fn kernel_in<'a>(arguments: &'a [Spanned<Value>], scope: &Scope) -> Option<(&'a Spanned<Value>, Spanned<String>)> {
    let [output, Spanned { value: Value::Name(from), .. }, Spanned { value: Value::Name(name), span }] = arguments
    else {
        return None;
    };
    let is = |kind: &str| scope.declared.get(kind).is_some_and(|names| names.contains_key(name));
    (from == "from" && is("kernel") && !is("build")).then(|| (output, Spanned::new(name.clone(), *span)))
}

/// What modules are compiled against: of a kernel that the recipe compiles, with modules.
fn headers(output: &Spanned<Value>, name: Spanned<String>, scope: &Scope) -> Option<BuildSource> {
    let found = scope.kernels.get(&name.value)?;
    let (problem, hint) = match &found.origin {
        Origin::Compiled(compiled) if compiled.modules => {
            if output.value == Value::Text(HEADERS.to_owned()) {
                return Some(BuildSource::Kernel(name.value));
            }
            let wrong =
                Diagnostic::new(output.span, format!("kernel `{}` leaves no such output for builds", name.value));
            scope.report.push(wrong.label(format!("a kernel leaves `{HEADERS}`")).related(found.span, "the kernel"));
            return None;
        }
        Origin::Compiled(_) => ("is compiled without modules", "write `modules = true` in the kernel"),
        Origin::Built(_) => {
            ("is left by a build, ready to boot", "let that build leave its headers, and read them from it")
        }
        Origin::Stock { .. } => {
            ("is a package of the archive", "put its headers among the tools, such as `linux-headers-cloud-amd64`")
        }
    };
    let wrong = Diagnostic::new(name.span, format!("kernel `{}` {problem}", name.value));
    let wrong = wrong.label("modules cannot be compiled against it").related(found.span, "the kernel");
    scope.report.push(wrong.hint(hint));
    None
}

/// `output "NAME" from BUILD`; whether that build leaves it is checked where all builds are known.
pub(in crate::recipe) fn output(value: &Spanned<Value>, scope: &Scope) -> Option<BuildOutput> {
    let Value::Call(_, arguments) = &value.value else { return None };
    let [Spanned { value: Value::Text(name), .. }, Spanned { value: Value::Name(from), .. }, build] = &arguments[..]
    else {
        if !arguments.iter().any(|argument| argument.value == Value::Wrong) {
            let wrong = Diagnostic::new(value.span, "`output` takes the name of an output and a build");
            scope.report.push(wrong.label("expected `output \"NAME\" from BUILD`"));
        }
        return None;
    };
    if from != "from" {
        let wrong = Diagnostic::new(arguments[1].span, "`output` needs the word `from` here");
        scope.report.push(wrong.label("expected `from`").hint("write `output \"NAME\" from BUILD`"));
        return None;
    }
    let build = Spanned::new(Name::read(build, &scope.report)?.0, build.span);
    let output = BuildOutput { build: build.value.clone(), name: name.clone() };
    (scope.resolves("build", &build) && leaves(&output, value, scope)).then_some(output)
}

/// The same of a value that can be nothing else; `example` is what a report proposes as the name.
pub(in crate::recipe) fn output_or_report(value: &Spanned<Value>, example: &str, scope: &Scope) -> Option<BuildOutput> {
    match &value.value {
        Value::Call(word, _) if word.value == "output" => output(value, scope),
        Value::Wrong => None,
        other => {
            let message = format!("expected an output of a build, found {}", other.describe());
            let wrong = Diagnostic::new(value.span, message).label(format!("this is {}", other.kind()));
            let hint = match other {
                Value::File(_) | Value::Directory(_) => {
                    format!("write `output \"{example}\" from BUILD`; a build can hand on what it has as a `source`")
                }
                _ => format!("write `output \"{example}\" from BUILD`"),
            };
            scope.report.push(wrong.hint(hint));
            None
        }
    }
}

/// Whether a build that is known already leaves this output.
pub(super) fn leaves(output: &BuildOutput, value: &Spanned<Value>, scope: &Scope) -> bool {
    let Some(build) = scope.builds.get(&output.build) else { return true };
    super::order::lacks(build, output, value.span).map(|wrong| scope.report.push(wrong)).is_none()
}

/// `env "NAME" = "VALUE"`
fn variable(node: &EvaluatedNode, outer: &Reader<'_>) -> Option<(String, String)> {
    let mut reader = Reader::new(node, outer.report());
    let name: Option<Spanned<String>> = reader.argument("the name of a variable in quotes");
    reader.finish();
    let name = name?;
    let value = assigned(node, outer, "`env \"CFLAGS\" = \"-O2\"`")?;
    let text = String::read(value, outer.report())?;
    let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let plain = name.value.bytes().all(legal) && !name.value.starts_with(|c: char| c.is_ascii_digit());
    if name.value.is_empty() || !plain {
        let wrong = Diagnostic::new(name.span, format!("`{}` cannot be the name of a variable", name.value));
        outer.error(wrong.label("letters, digits and `_` only, and no digit first"));
        return None;
    }
    if name.value.starts_with("KILN_") || name.value.starts_with("LD_") {
        let wrong = Diagnostic::new(name.span, format!("`{}` cannot be set by a recipe", name.value));
        outer.error(wrong.label("names that begin with `KILN_` or `LD_` are reserved"));
        return None;
    }
    if text.contains('\0') {
        outer.error(Diagnostic::new(value.span, "the value of a variable cannot have a zero byte").label("has one"));
        return None;
    }
    Some((name.value, text))
}

fn assigned<'a>(node: &'a EvaluatedNode, reader: &Reader<'_>, usage: &str) -> Option<&'a Spanned<Value>> {
    if node.value.is_none() {
        let wrong = Diagnostic::new(node.head(), format!("`{}` needs a value", node.keyword.value));
        reader.error(wrong.label("`= ...` is missing").hint(format!("write {usage}")));
    }
    node.value.as_ref()
}

/// At least one, each a name of its own.
fn outputs(reader: &mut Reader<'_>) -> Option<Vec<Spanned<String>>> {
    let outputs = reader.required::<Vec<Spanned<String>>>("outputs")?;
    if outputs.value.is_empty() {
        reader.error(Diagnostic::new(outputs.span, "a build without outputs makes nothing").label("expected a name"));
        return None;
    }
    let mut known: BTreeMap<&str, &Spanned<String>> = BTreeMap::new();
    for output in &outputs.value {
        if !is_entry(output, reader) {
            return None;
        }
        if let Some(first) = known.insert(&output.value, output) {
            let wrong = Diagnostic::new(output.span, format!("the output `{}` is given more than once", output.value));
            reader.error(wrong.label("again here").related(first.span, "first given here"));
            return None;
        }
    }
    Some(outputs.value)
}

/// The name of one entry of a directory, which leads nowhere else and cannot be taken for an option.
fn is_entry(name: &Spanned<String>, reader: &Reader<'_>) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"+-._~".contains(&b);
    let text = &name.value;
    let good = text.bytes().all(legal) && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    if !good || text.len() > MAX_NAME {
        let wrong = Diagnostic::new(name.span, format!("`{text}` cannot be the name of a source or an output"));
        let label = "letters, digits, `+`, `-`, `.`, `_` and `~`, the first a letter, a digit or `_`";
        let hint = format!("one name without directories, at most {MAX_NAME} bytes; an output may be a directory");
        reader.error(wrong.label(label).hint(hint));
        return false;
    }
    true
}
