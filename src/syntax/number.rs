//! Everything that starts with a digit: integers, sizes, durations, modes, instants.

use nom::Input as _;

use super::state::{Input, Parsed, ahead, backtrack, mistake};
use super::tree::Expression;
use crate::base::{ByteSize, Diagnostic, Timestamp};

/// `4`, `-1`, `0x10`, `4GiB`, `90s`, `0o755`, `2026-11-01T00:00:00Z`.
pub(super) fn number(input: Input<'_>) -> Parsed<'_, Expression> {
    let text = *input.fragment();
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    if !unsigned.starts_with(|c: char| c.is_ascii_digit()) {
        return backtrack();
    }
    let length = length(text);
    let word = &text[..length];
    match classify(word) {
        Ok(value) => Ok((input.take_from(length), value)),
        Err((message, hint)) => {
            let mut diagnostic = Diagnostic::new(ahead(input, length), message);
            diagnostic.hint = hint;
            mistake(diagnostic)
        }
    }
}

/// Bytes of the word: letters and digits, with `-` and `:` in an instant, and `.` in a fraction (which is refused).
fn length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let date = bytes.len() > 4 && bytes[..4].iter().all(u8::is_ascii_digit) && bytes[4] == b'-';
    let part = |at: usize| match bytes.get(at) {
        Some(b'-') => at == 0 || date,
        Some(b':') => date,
        Some(b'.') => bytes.get(at + 1).is_some_and(u8::is_ascii_digit) && bytes.get(at - 1) != Some(&b'.'),
        Some(byte) => byte.is_ascii_alphanumeric() || *byte == b'_',
        None => false,
    };
    let mut end = 1;
    while part(end) {
        end += 1;
    }
    end
}

type Refusal = (String, Option<String>);

fn classify(word: &str) -> Result<Expression, Refusal> {
    if word.len() > 4 && word.as_bytes()[4] == b'-' {
        let hint = "timestamps are written in UTC: `2026-11-01T00:00:00Z`";
        return Timestamp::parse_rfc3339(word)
            .map(Expression::Instant)
            .ok_or_else(|| (format!("`{word}` is not a timestamp"), Some(hint.to_owned())));
    }
    if let Some(octal) = word.strip_prefix("0o") {
        let mode = u32::from_str_radix(octal, 8).ok().filter(|mode| *mode <= 0o7777);
        let hint = "modes go from `0o0` to `0o7777`";
        return mode.map(Expression::Mode).ok_or_else(|| (format!("`{word}` is not a mode"), Some(hint.to_owned())));
    }
    if let Some(hex) = word.strip_prefix("0x") {
        let plain = !hex.starts_with('+');
        let number = u64::from_str_radix(hex, 16).ok().filter(|_| plain).map(Expression::Hex);
        return number.ok_or_else(|| (format!("`{word}` is not a hexadecimal number"), None));
    }
    let digits = word.trim_start_matches('-').find(|c: char| !c.is_ascii_digit());
    let Some(digits) = digits else {
        return word.parse().map(Expression::Integer).map_err(|_| (format!("`{word}` is too large"), None));
    };
    with_unit(word, word.split_at(digits + usize::from(word.starts_with('-'))))
}

fn with_unit(word: &str, (number, unit): (&str, &str)) -> Result<Expression, Refusal> {
    if unit.starts_with('.') {
        let hint = "sizes are whole numbers: write `1536MiB` instead of `1.5GiB`";
        return Err((format!("`{word}` has a fraction"), Some(hint.to_owned())));
    }
    if let Some(ByteSize(bytes)) = ByteSize::parse(word) {
        return Ok(Expression::Size(bytes));
    }
    let seconds = match unit {
        "s" => Some(1),
        "min" => Some(60),
        "h" => Some(3600),
        "d" => Some(86_400),
        _ => None,
    };
    if let Some(factor) = seconds {
        let total = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
        return total
            .map(Expression::Duration)
            .ok_or_else(|| (format!("`{word}` is out of range for a duration"), None));
    }
    if matches!(unit, "B" | "KiB" | "MiB" | "GiB" | "TiB") {
        return Err((format!("`{word}` is out of range for a size"), None));
    }
    let binary = match unit.to_ascii_lowercase().as_str() {
        "k" | "kb" | "kib" => "KiB",
        "m" | "mb" | "mib" => "MiB",
        "g" | "gb" | "gib" => "GiB",
        "t" | "tb" | "tib" => "TiB",
        "sec" | "second" | "seconds" => "s",
        "minute" | "minutes" | "mins" => "min",
        "hour" | "hours" => "h",
        _ => "",
    };
    let known = "units are B, KiB, MiB, GiB, TiB for sizes and s, min, h, d for durations".to_owned();
    let hint = if binary.is_empty() { known } else { format!("write `{number}{binary}`; {known}") };
    Err((format!("`{unit}` is not a unit"), Some(hint)))
}
