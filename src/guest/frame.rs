//! The lines that kiln and the shell in the guest exchange: base64, short lines, checksums. Pure.
//!
//! A serial port loses what its reader has no room for: Linux keeps 4096 bytes (`N_TTY_BUF_SIZE` in
//! `drivers/tty/n_tty.c`), so every line towards the guest is shorter and answered before the next one is sent.

use crate::base::Digest;
use crate::base::base64::{decode, encode};

/// Characters of base64 in one line towards the guest.
pub const CHUNK: usize = 1024;
/// A longer line from the guest is noise.
pub const LINE_LIMIT: usize = 8192;
/// Bytes of a command.
pub const COMMAND_LIMIT: usize = 64 << 10;
/// Bytes of output that come back; the same number stands in `agent.sh`.
pub const OUTPUT_LIMIT: usize = 256 << 10;

/// The first 16 hexadecimal digits of SHA-256.
pub fn sum(bytes: &[u8]) -> String {
    Digest::of(bytes).hex()[..16].to_owned()
}

/// The lines `+...` that carry `bytes` to the guest.
pub fn chunks(bytes: &[u8]) -> Vec<String> {
    let text = encode(bytes);
    text.as_bytes().chunks(CHUNK).map(|chunk| format!("+{}", String::from_utf8_lossy(chunk))).collect()
}

/// The line that runs what the chunks carried.
pub fn run_line(id: u64, seconds: u64, command: &[u8]) -> String {
    format!("!{id} {seconds} {}", sum(command))
}

/// The first line of an answer: `=ID CODE BYTES TOTAL SUM`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Which command it answers.
    pub id: u64,
    /// Exit code: 124 and 137 after a timeout.
    pub code: i32,
    /// Bytes that follow.
    pub bytes: usize,
    /// Bytes that the command wrote.
    pub total: u64,
    /// [`sum`] of the bytes that follow.
    pub sum: String,
}

/// Reads a [`Head`].
pub fn parse_head(line: &str) -> Option<Head> {
    let mut words = line.strip_prefix('=')?.split(' ');
    let head = Head {
        id: words.next()?.parse().ok()?,
        code: words.next()?.parse().ok()?,
        bytes: words.next()?.parse().ok().filter(|bytes| *bytes <= OUTPUT_LIMIT)?,
        total: words.next()?.parse().ok()?,
        sum: words.next().filter(|sum| sum.len() == 16)?.to_owned(),
    };
    words.next().is_none().then_some(head)
}

/// The bytes of an answer, if they are what its head announced.
pub fn parse_body(head: &Head, lines: &[String]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(head.bytes);
    for line in lines {
        bytes.extend(decode(line)?);
    }
    (bytes.len() == head.bytes && sum(&bytes) == head.sum).then_some(bytes)
}

/// Cuts a stream of bytes into lines; too long ones are dropped.
#[derive(Debug, Default)]
pub struct Lines {
    pending: Vec<u8>,
}

impl Lines {
    /// Takes bytes, gives the lines that they complete, without line ends.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.pending.len() <= LINE_LIMIT {
                self.pending.extend_from_slice(&part[..part.len().min(LINE_LIMIT + 1)]);
            }
            if part.ends_with(b"\n") {
                let whole = std::mem::take(&mut self.pending);
                if whole.len() <= LINE_LIMIT {
                    lines.push(String::from_utf8_lossy(&whole).trim_end_matches(['\r', '\n']).to_owned());
                }
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_towards_the_guest_fit_its_buffer_and_carry_everything() {
        let command: Vec<u8> = (0..10_000u32).map(|n| (n * 7) as u8).collect();
        let lines = chunks(&command);
        assert!(lines.iter().all(|line| line.len() < 3000));
        let text: String = lines.iter().map(|line| &line[1..]).collect();
        assert_eq!(decode(&text), Some(command));
    }

    #[test]
    fn an_answer_reads_back_and_damage_is_noticed() {
        let head = parse_head(&format!("=7 1 5 5 {}", sum(b"hello"))).unwrap();
        assert_eq!((head.id, head.code, head.bytes), (7, 1, 5));
        assert_eq!(parse_body(&head, &["aGVs".into(), "bG8=".into()]), Some(b"hello".to_vec()));
        assert_eq!(parse_body(&head, &["aGVs".into(), "bG9=".into(), "AAAA".into()]), None);
        assert_eq!(parse_body(&head, &["aGVsbGg=".into()]), None);
        for line in
            ["=7 1 5", "7 1 5 5 0123456789abcdef", "=7 1 99999999 5 0123456789abcdef", "=7 x 5 5 0123456789abcdef"]
        {
            assert_eq!(parse_head(line), None, "{line}");
        }
    }

    #[test]
    fn lines_are_cut_wherever_reads_end_and_noise_is_dropped() {
        let mut lines = Lines::default();
        assert!(lines.feed(b"kiln-").is_empty());
        assert_eq!(lines.feed(b"ready\r\nnext\npart"), ["kiln-ready", "next"]);
        assert!(lines.feed(&vec![b'x'; 3 * LINE_LIMIT]).is_empty());
        assert_eq!(lines.feed(b"\nafter\n"), ["after"]);
    }
}
