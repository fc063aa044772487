//! Pax extended headers: records of the form `LENGTH KEY=VALUE\n`, LENGTH counting itself.

use std::collections::BTreeMap;

/// Most bytes of one extended header, and of one GNU long name: an attribute's value has at most 64 KiB on Linux.
pub(super) const LIMIT: u64 = 1 << 20;
/// Prefix of extended attributes, as star, GNU tar and libarchive write them.
pub(super) const XATTR: &[u8] = b"SCHILY.xattr.";

/// Records by key.
pub(super) type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// Records in the order of their keys. `hdrcharset`, which says that paths are bytes, sorts before the keys it governs.
pub(super) fn encode(records: &Records) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (key, value) in records {
        bytes.extend_from_slice(record_length(key.len() + value.len() + 3).to_string().as_bytes());
        bytes.push(b' ');
        bytes.extend_from_slice(key);
        bytes.push(b'=');
        bytes.extend_from_slice(value);
        bytes.push(b'\n');
    }
    bytes
}

/// The number that, in decimal, makes the record as long as it says.
fn record_length(rest: usize) -> usize {
    let mut total = rest;
    loop {
        let next = rest + total.to_string().len();
        if next == total {
            return total;
        }
        total = next;
    }
}

/// Reads records; the last of equal keys wins, as POSIX says.
pub(super) fn decode(mut bytes: &[u8]) -> Result<Records, &'static str> {
    let mut records = Records::new();
    while !bytes.is_empty() {
        let space = bytes.iter().take(8).position(|byte| *byte == b' ').ok_or("a pax record without a length")?;
        let length = number(&bytes[..space]).ok_or("a pax record whose length is not a number")? as usize;
        if length > bytes.len() || length < space + 3 {
            return Err("a pax record whose length is wrong");
        }
        let (record, rest) = bytes.split_at(length);
        let body = record[space + 1..].strip_suffix(b"\n").ok_or("a pax record that does not end in a newline")?;
        let equals = body.iter().position(|byte| *byte == b'=').ok_or("a pax record without '='")?;
        records.insert(body[..equals].to_vec(), body[equals + 1..].to_vec());
        bytes = rest;
    }
    Ok(records)
}

/// Decimal digits only.
pub(super) fn number(digits: &[u8]) -> Option<u64> {
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    if plain { std::str::from_utf8(digits).ok()?.parse().ok() } else { None }
}

/// Whole seconds of `-1`, `1700000000` or `1700000000.25`; a fraction is dropped downwards.
pub(super) fn seconds(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut halves = digits.splitn(2, |byte| *byte == b'.');
    let whole = i64::try_from(number(halves.next()?)?).ok()?;
    let fraction = halves.next().unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let part = i64::from(fraction.iter().any(|digit| *digit != b'0'));
    Some(if negative { -whole - part } else { whole })
}
