//! Standard error, whether or not anybody still reads it: the standard library's own macro panics when nobody does.

/// Writes a line to standard error; that it cannot be written is nobody's concern.
#[macro_export]
macro_rules! tell {
    ($($part:tt)*) => {
        $crate::base::tell::line(format_args!($($part)*))
    };
}

/// What [`crate::tell!`] does.
pub fn line(text: std::fmt::Arguments<'_>) {
    use std::io::Write;
    let mut line = text.to_string();
    line.push('\n');
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}
