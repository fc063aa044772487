//! Types that only the fields of a machine have.

use crate::base::{ByteSize, Diagnostic, Spanned};
use crate::recipe::kinds::{FromValue, Name};
use crate::recipe::machine::memory::Memory;
use crate::recipe::reader::Reader;
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
            Value::Text(text) => cpu_ranges(text).map(CpuList),
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
}

/// `0-3,8`; at most 255 CPUs.
fn cpu_ranges(text: &str) -> Option<Vec<u32>> {
    let mut cpus = Vec::new();
    for part in text.split(',').map(str::trim) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        if first > last || last > 254 || cpus.len() > 254 {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
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
        assert_eq!(cpu_ranges("0-3,8"), Some(vec![0, 1, 2, 3, 8]));
        for text in ["", "3-0", "0-999", "a", "0,,1", "-1", &"0-254,".repeat(300)] {
            assert_eq!(cpu_ranges(text), None, "{text}");
        }
    }
}
