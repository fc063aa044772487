//! Fields of superblocks and inodes, decoded.

use super::super::{Differences, Rule, bytes};
use crate::base::Timestamp;
use crate::format::ext4::number;

/// How a field is shown.
#[derive(Clone, Copy)]
pub(super) enum Form {
    Number,
    Octal,
    Time,
    Bytes,
}

/// Name, offset, length, form, and the rule that keeps it equal.
pub(super) type Field = (&'static str, usize, usize, Form, Rule);

/// `struct ext4_inode`, as far as it says something by itself.
pub(super) const INODE: [Field; 21] = [
    ("mode", 0x0, 2, Form::Octal, Rule::Mode),
    ("uid", 0x2, 2, Form::Number, Rule::Owner),
    ("size", 0x4, 4, Form::Number, Rule::Content),
    ("atime", 0x8, 4, Form::Time, Rule::Time),
    ("ctime", 0xc, 4, Form::Time, Rule::Time),
    ("mtime", 0x10, 4, Form::Time, Rule::Time),
    ("dtime", 0x14, 4, Form::Time, Rule::Time),
    ("gid", 0x18, 2, Form::Number, Rule::Owner),
    ("links", 0x1a, 2, Form::Number, Rule::Content),
    ("blocks", 0x1c, 4, Form::Number, Rule::Content),
    ("flags", 0x20, 4, Form::Octal, Rule::Content),
    ("block map", 0x28, 60, Form::Bytes, Rule::Order),
    ("generation", 0x64, 4, Form::Number, Rule::Identity),
    ("attribute block", 0x68, 4, Form::Number, Rule::Order),
    ("uid, upper half", 0x78, 2, Form::Number, Rule::Owner),
    ("gid, upper half", 0x7a, 2, Form::Number, Rule::Owner),
    ("ctime, nanoseconds", 0x84, 4, Form::Number, Rule::Time),
    ("mtime, nanoseconds", 0x88, 4, Form::Number, Rule::Time),
    ("atime, nanoseconds", 0x8c, 4, Form::Number, Rule::Time),
    ("crtime", 0x90, 4, Form::Time, Rule::Time),
    ("crtime, nanoseconds", 0x94, 4, Form::Number, Rule::Time),
];

/// `struct ext4_super_block`, likewise.
pub(super) const SUPER: [Field; 14] = [
    ("inodes", 0x0, 4, Form::Number, Rule::Content),
    ("blocks", 0x4, 4, Form::Number, Rule::Content),
    ("free blocks", 0xc, 4, Form::Number, Rule::Content),
    ("free inodes", 0x10, 4, Form::Number, Rule::Content),
    ("mount time", 0x2c, 4, Form::Time, Rule::Time),
    ("write time", 0x30, 4, Form::Time, Rule::Time),
    ("check time", 0x40, 4, Form::Time, Rule::Time),
    ("UUID", 0x68, 16, Form::Bytes, Rule::Identity),
    ("volume name", 0x78, 16, Form::Bytes, Rule::Content),
    ("journal UUID", 0xd0, 16, Form::Bytes, Rule::Identity),
    ("hash seed", 0xec, 16, Form::Bytes, Rule::Identity),
    ("time of making", 0x108, 4, Form::Time, Rule::Time),
    ("written, KiB", 0x178, 8, Form::Number, Rule::Content),
    ("checksum seed", 0x270, 4, Form::Number, Rule::Identity),
];

/// Tells every field that differs; where none does, the first bytes that do. Checksums only follow from the rest.
pub(super) fn tell(place: &str, fields: &[Field], (one, two): (&[u8], &[u8]), found: &mut Differences) {
    let before = found.count();
    for (name, at, length, form, rule) in fields {
        let part = |bytes: &[u8]| bytes.get(*at..*at + *length).unwrap_or_default().to_vec();
        let (left, right) = (part(one), part(two));
        if left != right {
            found.add(place, format!("{name} {} then {}", shown(&left, *form), shown(&right, *form)));
            found.help(*rule);
        }
    }
    if found.count() == before {
        bytes::tell(place, 0, (one, two), found);
    }
}

fn shown(bytes: &[u8], form: Form) -> String {
    let value = number(bytes, 0, bytes.len().min(8));
    match form {
        Form::Number => value.to_string(),
        Form::Octal => format!("{value:#o}"),
        Form::Time => format!("{value} ({})", Timestamp(value as i64)),
        Form::Bytes => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}
