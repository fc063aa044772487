//! What evaluation leaves of a recipe: plain values and blocks, with nothing left to compute.

use super::local::LocalDirectory;
use crate::base::digest::Digest;
use crate::base::size::ByteSize;
use crate::base::span::{Span, Spanned};
use crate::base::timestamp::Timestamp;

/// A value without names of `let`, `param` or loops in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `"text"`, interpolated.
    Text(String),
    /// `4`
    Integer(i64),
    /// `0x1000`
    Hex(u64),
    /// `4GiB`, in bytes.
    Size(u64),
    /// `90s`, in seconds.
    Duration(u64),
    /// `0o755`
    Mode(u32),
    /// `2026-11-01T00:00:00Z`
    Instant(Timestamp),
    /// `sha256:...`
    Digest(Digest),
    /// `true`, `false`
    Boolean(bool),
    /// A bare word: the name of something, or one of a fixed set of words.
    Name(String),
    /// `[a, b]`
    List(Vec<Spanned<Value>>),
    /// `file "x"`: a key of [`crate::recipe::Recipe::files`], relative to the recipe's root.
    File(String),
    /// `directory "x"`: a key of [`crate::recipe::Recipe::files`], which holds it as an archive.
    Directory(String),
    /// `directory "x"` as the source of a kernel, which is read when it is built.
    Local(LocalDirectory),
    /// Any other word applied to values: `package "qemu" from backports`.
    Call(Spanned<String>, Vec<Spanned<Value>>),
    /// Stands where a mistake was reported already: a reader takes it for absent and says nothing more.
    Wrong,
}

impl Value {
    /// The kind in words, for reports: `a size`.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Text(_) => "a string",
            Value::Integer(_) => "an integer",
            Value::Hex(_) => "a hexadecimal number",
            Value::Size(_) => "a size",
            Value::Duration(_) => "a duration",
            Value::Mode(_) => "a mode",
            Value::Instant(_) => "a timestamp",
            Value::Digest(_) => "a digest",
            Value::Boolean(_) => "a boolean",
            Value::Name(_) => "a name",
            Value::List(_) => "a list",
            Value::File(_) => "a file",
            Value::Directory(_) | Value::Local(_) => "a directory",
            Value::Call(..) => "a call",
            Value::Wrong => "a mistake",
        }
    }

    /// The kind with the word of a call or a name: `the name \`y\``, `\`package ...\``.
    pub fn describe(&self) -> String {
        match self {
            Value::Name(name) => format!("the name `{name}`"),
            Value::Call(word, _) => format!("`{} ...`", word.value),
            Value::Integer(number) => format!("the integer {number}"),
            Value::Size(bytes) => format!("the size {}", ByteSize(*bytes)),
            Value::Boolean(boolean) => format!("`{boolean}`"),
            other => other.kind().to_owned(),
        }
    }

    /// The one canonical spelling, as a recipe would write it.
    pub fn spelling(&self) -> String {
        match self {
            Value::Text(text) => crate::syntax::lexeme::quote(text),
            Value::Integer(number) => number.to_string(),
            Value::Hex(number) => format!("{number:#x}"),
            Value::Size(bytes) => ByteSize(*bytes).to_string(),
            Value::Duration(seconds) => format!("{seconds}s"),
            Value::Mode(mode) => format!("0o{mode:o}"),
            Value::Instant(epoch) => epoch.to_string(),
            Value::Digest(digest) => format!("sha256:{digest}"),
            Value::Boolean(boolean) => boolean.to_string(),
            Value::Name(name) => name.clone(),
            Value::List(items) => {
                format!("[{}]", items.iter().map(|item| item.value.spelling()).collect::<Vec<_>>().join(", "))
            }
            Value::Wrong => "?".to_owned(),
            Value::File(path) => format!("file {}", crate::syntax::lexeme::quote(path)),
            Value::Directory(key) => {
                let (path, modes) = key.split_once("//").map_or((key.as_str(), ""), |(path, _)| (path, " modes exact"));
                format!("directory {}{modes}", crate::syntax::lexeme::quote(path.trim_end_matches('/')))
            }
            Value::Local(local) => format!("directory {}", crate::syntax::lexeme::quote(&local.written)),
            Value::Call(word, arguments) => {
                arguments.iter().fold(word.value.clone(), |text, item| format!("{text} {}", item.value.spelling()))
            }
        }
    }

    /// Whether both say the same, wherever they were written.
    pub fn same(&self, other: &Value) -> bool {
        let all = |a: &[Spanned<Value>], b: &[Spanned<Value>]| {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.value.same(&b.value))
        };
        match (self, other) {
            (Value::List(a), Value::List(b)) => all(a, b),
            (Value::Call(word, a), Value::Call(other, b)) => word.value == other.value && all(a, b),
            _ => self == other,
        }
    }
}

/// One evaluated entry: a field, a statement or a block whose `extends` is flattened and whose loops are expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvaluatedNode {
    /// The first word.
    pub keyword: Spanned<String>,
    /// Values between the keyword and the assignment or the body; `extends BASE` is gone.
    pub arguments: Vec<Spanned<Value>>,
    /// What stands after `=`; `+=` and `-=` are already carried out.
    pub value: Option<Spanned<Value>>,
    /// What stands between braces.
    pub children: Vec<EvaluatedNode>,
    /// Whether there were braces.
    pub block: bool,
    /// From the keyword to the end.
    pub span: Span,
}

/// The three shapes of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `name = value`
    Field,
    /// `word argument...` with or without a value: `option X = y`, `run "..."`, `reboot`.
    Statement,
    /// `kind name { ... }`
    Block,
}

impl EvaluatedNode {
    /// The name that a block declares; a text is taken too, for names made in loops.
    pub fn declared(&self) -> Option<String> {
        match &self.arguments.first()?.value {
            Value::Name(name) | Value::Text(name) => Some(name.clone()),
            _ => None,
        }
    }

    /// Which shape it has.
    pub fn form(&self) -> Form {
        match (self.block, self.arguments.is_empty(), &self.value) {
            (true, ..) => Form::Block,
            (false, true, Some(_)) => Form::Field,
            _ => Form::Statement,
        }
    }

    /// The keyword and its arguments: what a report about the whole block points at.
    pub fn head(&self) -> Span {
        self.arguments.iter().filter(|a| a.span.file == self.keyword.span.file).fold(self.keyword.span, |span, a| {
            // An argument that came out of a `let` in another place must not stretch the caret over the file.
            if a.span.start >= span.start && a.span.end <= self.span.end { span.to(a.span) } else { span }
        })
    }

    /// How a report names it: `machine \`expander\``.
    pub fn title(&self) -> String {
        match self.arguments.first().map(|argument| &argument.value) {
            Some(Value::Name(name) | Value::Text(name)) => format!("{} `{name}`", self.keyword.value),
            _ => format!("`{}`", self.keyword.value),
        }
    }
}
