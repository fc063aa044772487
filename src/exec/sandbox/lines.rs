//! What a program prints, as lines of bounded length.

/// Longer lines are cut into several: a program that never ends its line must not fill the memory.
const MAX_LINE_BYTES: usize = 16 << 10;

/// What was printed and is no line yet.
#[derive(Default)]
pub(super) struct Lines(Vec<u8>);

impl Lines {
    /// Calls `on_line` for each line that these bytes complete; what is not UTF-8 is shown as U+FFFD.
    pub(super) fn feed(&mut self, bytes: &[u8], on_line: &mut dyn FnMut(&str)) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.0.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.0.len() > MAX_LINE_BYTES {
                self.hand_on(on_line);
            }
        }
    }

    /// The last line, which nothing ended.
    pub(super) fn end(&mut self, on_line: &mut dyn FnMut(&str)) {
        if !self.0.is_empty() {
            self.hand_on(on_line);
        }
    }

    fn hand_on(&mut self, on_line: &mut dyn FnMut(&str)) {
        on_line(String::from_utf8_lossy(&self.0).trim_end_matches(['\n', '\r']));
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8]) -> Vec<String> {
        let mut all = Vec::new();
        let mut on_line = |line: &str| all.push(line.to_owned());
        let mut lines = Lines::default();
        bytes.chunks(8192).for_each(|piece| lines.feed(piece, &mut on_line));
        lines.end(&mut on_line);
        all
    }

    #[test]
    fn lines_come_without_their_ends() {
        assert_eq!(lines(b"a\r\n\nlast"), ["a", "", "last"]);
        assert_eq!(lines(b""), Vec::<String>::new());
        assert_eq!(lines(b"\xff\n"), ["\u{fffd}"]);
    }

    #[test]
    fn an_endless_line_is_cut() {
        let all = lines(&[b'x'; 100_000]);
        assert!(all.len() > 3 && all.iter().all(|line| line.len() <= MAX_LINE_BYTES + 8192));
        assert_eq!(all.concat().len(), 100_000);
    }
}
