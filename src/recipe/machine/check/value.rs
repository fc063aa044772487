//! Types that only the fields of a machine have.

use crate::base::{ByteSize, Diagnostic, Spanned};
use crate::recipe::kinds::{FromValue, Name, read_as_kind};
use crate::recipe::machine::memory::Memory;
use crate::recipe::reader::Reader;
use crate::recipe::report::Diagnostics;
use crate::recipe::scope::Scope;
use crate::recipe::value::Value;

/// A size, or the name of a shared memory.
pub(super) enum SizeOrName {
    /// Private bytes.
    Size(u64),
    /// `memory NAME { ... }`
    Shared(String),
}

impl FromValue for SizeOrName {
    const EXPECTED: &'static str = "a size such as `1GiB`, or the name of a `memory`";

    fn convert(value: &Value) -> Option<Self> {
        match value {
            Value::Size(bytes) => Some(SizeOrName::Size(*bytes)),
            Value::Name(name) => Some(SizeOrName::Shared(name.clone())),
            _ => None,
        }
    }

    fn hint(value: &Value) -> Option<String> {
        ByteSize::hint(value)
    }
}

/// A field that holds memory.
pub(super) fn memory(reader: &mut Reader<'_>, field: &'static str, scope: &Scope) -> Option<Spanned<Memory>> {
    let Spanned { value, span } = reader.optional::<SizeOrName>(field)?;
    match value {
        SizeOrName::Size(size) => Some(Spanned::new(Memory { size, shared: None }, span)),
        SizeOrName::Shared(name) => {
            let name = Spanned::new(name, span);
            let memory = scope.resolves("memory", &name).then(|| scope.memories.get(&name.value).cloned()).flatten()?;
            Some(Spanned::new(memory, span))
        }
    }
}

/// CPU numbers: `[0, 1]`, or `"0-3,8"`.
pub(super) struct CpuList(pub(super) Vec<u32>);

impl FromValue for CpuList {
    const EXPECTED: &'static str = "CPUs such as `\"0-3\"` or `[0, 1]`";

    fn convert(value: &Value) -> Option<Self> {
        match value {
            Value::Text(text) => cpu_ranges(text).ok().map(CpuList),
            Value::List(items) => {
                let one = |item: &Spanned<Value>| match item.value {
                    Value::Integer(number) => u32::try_from(number).ok(),
                    _ => None,
                };
                items.iter().map(one).collect::<Option<_>>().map(CpuList)
            }
            _ => None,
        }
    }

    fn read(value: &Spanned<Value>, report: &Diagnostics) -> Option<Self> {
        let Value::Text(text) = &value.value else { return read_as_kind(value, report) };
        match cpu_ranges(text) {
            Ok(cpus) => Some(CpuList(cpus)),
            Err(CpuMistake { message, hint }) => {
                report.push(Diagnostic::new(value.span, message).label("not a list of CPUs").hint(hint));
                None
            }
        }
    }
}

/// The last CPU that a machine can have.
const LAST_CPU: u32 = 254;

/// Why a text is not a list of CPUs, and what to write.
#[derive(Debug, PartialEq, Eq)]
struct CpuMistake {
    message: String,
    hint: String,
}

/// `0-3,8`; at most 255 CPUs, each of them written once or twice.
fn cpu_ranges(text: &str) -> Result<Vec<u32>, CpuMistake> {
    let wrong = |message: String, hint: String| Err(CpuMistake { message, hint });
    let example = || "write numbers and ranges, such as `\"0-3,8\"`".to_owned();
    let mut cpus = Vec::new();
    for part in text.split(',').map(str::trim) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (Ok(first), Ok(last)) = (first.trim().parse::<u32>(), last.trim().parse::<u32>()) else {
            return match part {
                "" => wrong("a CPU is missing in this list".to_owned(), example()),
                _ => wrong(format!("`{part}` is neither a CPU nor a range of CPUs"), example()),
            };
        };
        if first.max(last) > LAST_CPU {
            let message = format!("there is no CPU {}", first.max(last));
            return wrong(message, format!("write numbers from 0 to {LAST_CPU}"));
        }
        if first > last {
            return wrong(format!("the range `{part}` ends before it begins"), format!("write `\"{last}-{first}\"`"));
        }
        cpus.extend(first..=last);
        if cpus.len() > 2 * (LAST_CPU as usize + 1) {
            return wrong("too many CPUs in this list".to_owned(), "write each CPU once".to_owned());
        }
    }
    Ok(cpus)
}

/// A boolean field, with where it was set to true.
pub(super) fn flag(reader: &mut Reader<'_>, field: &'static str) -> Option<crate::base::Span> {
    reader.optional::<bool>(field).filter(|set| set.value).map(|set| set.span)
}

/// A required name as the block's first argument, which is also a part of QEMU ids.
pub(super) fn own_name(reader: &mut Reader<'_>) -> Option<Spanned<String>> {
    let name = reader.name()?;
    if name.value.len() > 40 {
        let mistake = Diagnostic::new(name.span, "name is too long").label("at most 40 characters");
        reader.error(mistake);
    }
    Some(name)
}

/// A list of names.
pub(super) fn names(reader: &mut Reader<'_>, field: &'static str) -> Vec<Spanned<String>> {
    reader.list::<Name>(field).into_iter().map(|name| name.map(|name| name.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_ranges_read_as_people_write_them() {
        assert_eq!(cpu_ranges("0-3, 8"), Ok(vec![0, 1, 2, 3, 8]));
        for (text, message, hint) in [
            ("", "a CPU is missing in this list", "write numbers and ranges, such as `\"0-3,8\"`"),
            ("0,,1", "a CPU is missing in this list", "write numbers and ranges, such as `\"0-3,8\"`"),
            ("5-2", "the range `5-2` ends before it begins", "write `\"2-5\"`"),
            ("0-999", "there is no CPU 999", "write numbers from 0 to 254"),
            ("a", "`a` is neither a CPU nor a range of CPUs", "write numbers and ranges, such as `\"0-3,8\"`"),
            ("-1", "`-1` is neither a CPU nor a range of CPUs", "write numbers and ranges, such as `\"0-3,8\"`"),
            (&"0-254,".repeat(300), "too many CPUs in this list", "write each CPU once"),
        ] {
            let expected = CpuMistake { message: message.to_owned(), hint: hint.to_owned() };
            assert_eq!(cpu_ranges(text), Err(expected), "{text}");
        }
    }
}
