//! From a value to the Rust type a checker wants, or a report of what was expected instead.

use super::report::Diagnostics;
use super::value::Value;
use crate::base::{ByteSize, Diagnostic, Digest, Spanned, Timestamp};

/// A type that a field can have.
pub trait FromValue: Sized {
    /// `a size such as \`4GiB\``
    const EXPECTED: &'static str;

    /// The value, when it has this type.
    fn convert(value: &Value) -> Option<Self>;

    /// What to write instead of a value of another type.
    fn hint(_value: &Value) -> Option<String> {
        None
    }

    /// The value; a report when it has another type.
    fn read(value: &Spanned<Value>, report: &Diagnostics) -> Option<Self> {
        read_as_kind(value, report)
    }
}

/// The value; a report of its kind when it has another type.
pub fn read_as_kind<T: FromValue>(value: &Spanned<Value>, report: &Diagnostics) -> Option<T> {
    if value.value == Value::Wrong {
        return None;
    }
    let read = T::convert(&value.value);
    if read.is_none() {
        let message = format!("expected {}, found {}", T::EXPECTED, value.value.describe());
        let mut mistake = Diagnostic::new(value.span, message).label(format!("this is {}", value.value.kind()));
        mistake.hint = T::hint(&value.value);
        report.push(mistake);
    }
    read
}

/// A number of seconds, written `90s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds(pub u64);

/// Permission bits, written `0o755`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mode(pub u32);

/// A bare word, or a text that could be one (`"mem${i}"`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(pub String);

/// `file "x"`: a key of [`crate::recipe::Recipe::files`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileKey(pub String);

/// `directory "x"`: a key of [`crate::recipe::Recipe::files`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryKey(pub String);

/// A text, or a file of the recipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextOrFile {
    /// `"..."`
    Text(String),
    /// `file "..."`
    File(String),
}

impl FromValue for String {
    const EXPECTED: &'static str = "a string in double quotes";

    fn convert(value: &Value) -> Option<Self> {
        if let Value::Text(text) = value { Some(text.clone()) } else { None }
    }

    fn hint(value: &Value) -> Option<String> {
        match value {
            Value::Name(name) => Some(format!("write `\"{name}\"`")),
            Value::Integer(number) => Some(format!("write `\"{number}\"`")),
            _ => None,
        }
    }
}

impl FromValue for i64 {
    const EXPECTED: &'static str = "an integer";

    fn convert(value: &Value) -> Option<Self> {
        match value {
            Value::Integer(number) => Some(*number),
            Value::Hex(number) => i64::try_from(*number).ok(),
            _ => None,
        }
    }

    fn hint(value: &Value) -> Option<String> {
        match value {
            Value::Text(text) if text.parse::<i64>().is_ok() => Some(format!("write `{text}`, without quotes")),
            _ => None,
        }
    }
}

impl FromValue for bool {
    const EXPECTED: &'static str = "`true` or `false`";

    fn convert(value: &Value) -> Option<Self> {
        if let Value::Boolean(boolean) = value { Some(*boolean) } else { None }
    }

    fn hint(value: &Value) -> Option<String> {
        match value {
            Value::Name(name) if name == "yes" || name == "on" || name == "y" => Some("write `true`".to_owned()),
            Value::Name(name) if name == "no" || name == "off" || name == "n" => Some("write `false`".to_owned()),
            _ => None,
        }
    }
}

impl FromValue for ByteSize {
    const EXPECTED: &'static str = "a size such as `4GiB`";

    fn convert(value: &Value) -> Option<Self> {
        if let Value::Size(bytes) = value { Some(ByteSize(*bytes)) } else { None }
    }

    fn hint(value: &Value) -> Option<String> {
        match value {
            Value::Integer(number) => {
                Some(format!("a size needs a unit: `{number}GiB`, `{number}MiB`, `{number}KiB` or `{number}B`"))
            }
            _ => None,
        }
    }
}

impl FromValue for Seconds {
    const EXPECTED: &'static str = "a duration such as `90s`";

    fn convert(value: &Value) -> Option<Self> {
        if let Value::Duration(seconds) = value { Some(Seconds(*seconds)) } else { None }
    }

    fn hint(value: &Value) -> Option<String> {
        match value {
            Value::Integer(number) => {
                Some(format!("a duration needs a unit: `{number}s`, `{number}min` or `{number}h`"))
            }
            _ => None,
        }
    }
}

impl FromValue for Mode {
    const EXPECTED: &'static str = "a mode such as `0o644`";

    fn convert(value: &Value) -> Option<Self> {
        if let Value::Mode(mode) = value { Some(Mode(*mode)) } else { None }
    }

    fn hint(value: &Value) -> Option<String> {
        match value {
            Value::Integer(number) if number.to_string().bytes().all(|digit| (b'0'..b'8').contains(&digit)) => {
                Some(format!("a mode is octal: `0o{number}`"))
            }
            Value::Integer(number) => Some(format!("a mode is octal: `0o{number:o}` is {number}")),
            _ => None,
        }
    }
}

impl FromValue for Timestamp {
    const EXPECTED: &'static str = "a timestamp such as `2026-11-01T00:00:00Z`";

    fn convert(value: &Value) -> Option<Self> {
        if let Value::Instant(epoch) = value { Some(*epoch) } else { None }
    }
}

impl FromValue for Digest {
    const EXPECTED: &'static str = "a digest: `sha256:` and 64 hexadecimal digits";

    fn convert(value: &Value) -> Option<Self> {
        if let Value::Digest(digest) = value { Some(*digest) } else { None }
    }
}

impl FromValue for Name {
    const EXPECTED: &'static str = "a name";

    fn convert(value: &Value) -> Option<Self> {
        match value {
            Value::Name(name) => Some(Name(name.clone())),
            Value::Text(text) if crate::syntax::lexeme::is_name(text) => Some(Name(text.clone())),
            _ => None,
        }
    }

    fn hint(value: &Value) -> Option<String> {
        let rule = "a name has letters, digits, `_` and `-`, and starts with a letter";
        matches!(value, Value::Text(_) | Value::Integer(_)).then(|| rule.to_owned())
    }
}

impl FromValue for FileKey {
    const EXPECTED: &'static str = "a file such as `file \"keys/me.pub\"`";

    fn convert(value: &Value) -> Option<Self> {
        if let Value::File(path) = value { Some(FileKey(path.clone())) } else { None }
    }

    fn hint(value: &Value) -> Option<String> {
        match value {
            Value::Text(text) => Some(format!("write `file \"{text}\"`")),
            Value::Directory(_) => Some("a `tree` takes whole directories".to_owned()),
            _ => None,
        }
    }
}

impl FromValue for DirectoryKey {
    const EXPECTED: &'static str = "a directory such as `directory \"app\"`";

    fn convert(value: &Value) -> Option<Self> {
        if let Value::Directory(key) = value { Some(DirectoryKey(key.clone())) } else { None }
    }

    fn hint(value: &Value) -> Option<String> {
        match value {
            Value::Text(text) => Some(format!("write `directory \"{text}\"`")),
            Value::File(_) => Some("a `file` takes single files".to_owned()),
            _ => None,
        }
    }
}

impl FromValue for TextOrFile {
    const EXPECTED: &'static str = "a string, or `file \"...\"`";

    fn convert(value: &Value) -> Option<Self> {
        match value {
            Value::Text(text) => Some(TextOrFile::Text(text.clone())),
            Value::File(path) => Some(TextOrFile::File(path.clone())),
            _ => None,
        }
    }
}

impl FromValue for Value {
    const EXPECTED: &'static str = "a value";

    fn convert(value: &Value) -> Option<Self> {
        Some(value.clone())
    }
}

impl<T: FromValue> FromValue for Vec<Spanned<T>> {
    const EXPECTED: &'static str = "a list such as `[a, b]`";

    fn convert(_value: &Value) -> Option<Self> {
        None
    }

    fn hint(_value: &Value) -> Option<String> {
        Some("put it in brackets: `[...]`".to_owned())
    }

    fn read(value: &Spanned<Value>, report: &Diagnostics) -> Option<Self> {
        if value.value == Value::Wrong {
            return None;
        }
        let Value::List(items) = &value.value else {
            let message = format!("expected {}, found {}", Self::EXPECTED, value.value.describe());
            let mistake = Diagnostic::new(value.span, message).label(format!("this is {}", value.value.kind()));
            report.push(mistake.hint("put it in brackets: `[...]`"));
            return None;
        };
        // Every wrong element is reported; the good ones are still worth checking.
        let read = |item: &Spanned<Value>| T::read(item, report).map(|value| Spanned::new(value, item.span));
        Some(items.iter().filter_map(read).collect())
    }
}
