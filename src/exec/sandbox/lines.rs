//! What a program prints, as lines of bounded length.

use std::io::Read;

/// Longer lines are cut into several: a program that never ends its line must not fill the memory.
const LONGEST: usize = 16 << 10;

/// Calls `on_line` for each line until the end of `output`; what is not UTF-8 is shown as U+FFFD.
pub(super) fn each_line(mut output: impl Read, on_line: &mut dyn FnMut(&str)) {
    let mut line = Vec::new();
    let mut buffer = [0; 8192];
    loop {
        let count = match output.read(&mut buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            // A pipe that breaks is one whose writers are gone.
            Err(_) => 0,
        };
        if count == 0 {
            break;
        }
        for piece in buffer[..count].split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(piece);
            if piece.ends_with(b"\n") || line.len() > LONGEST {
                hand_on(&mut line, on_line);
            }
        }
    }
    if !line.is_empty() {
        hand_on(&mut line, on_line);
    }
}

fn hand_on(line: &mut Vec<u8>, on_line: &mut dyn FnMut(&str)) {
    on_line(String::from_utf8_lossy(line).trim_end_matches(['\n', '\r']));
    line.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8]) -> Vec<String> {
        let mut all = Vec::new();
        each_line(bytes, &mut |line| all.push(line.to_owned()));
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
        assert!(all.len() > 3 && all.iter().all(|line| line.len() <= LONGEST + 8192));
        assert_eq!(all.concat().len(), 100_000);
    }
}
