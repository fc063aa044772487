//! `fetch "/path"`: brings a file out of a guest, through the shell that tests have there.
//!
//! Everything that comes is the guest's word: its size, its bytes and when it ends. So a file is read in pieces that are
//! counted here, up to a limit; the name under which it is kept is the recipe's.

use super::{Guest, StepError, within};
use crate::base::{ByteSize, Foreign};
use crate::guest::clock::Deadline;
use crate::guest::frame::OUTPUT_LIMIT;
use crate::machine::argv::quote;

/// A file that is fetched is no larger: under software emulation this takes about two minutes.
const FETCH_LIMIT_BYTES: usize = 16 << 20;

/// Reads the file and has it kept.
pub(super) fn fetch(guest: &mut dyn Guest, path: &str, deadline: Deadline) -> Result<(), StepError> {
    let file = quote(path);
    let answer = within(guest, &format!("test -f {file} && stat -L -c %s {file}"), deadline)?;
    let Some(size) = Some(answer.text()).filter(|_| answer.code == 0).and_then(|text| text.trim().parse::<u64>().ok())
    else {
        return Err(wrong(format!("cannot fetch `{path}`: it is not a file in the guest"), answer.text()));
    };
    if size > FETCH_LIMIT_BYTES as u64 {
        return Err(too_large(path, &ByteSize(size).to_string()));
    }
    let mut bytes = Vec::new();
    for piece in 0.. {
        let command = format!("dd if={file} bs={OUTPUT_LIMIT} skip={piece} count=1 iflag=fullblock status=none");
        let answer = within(guest, &command, deadline)?;
        if answer.code != 0 || answer.cut() {
            return Err(wrong(format!("cannot fetch `{path}`: exit code {}", answer.code), answer.text()));
        }
        let ended = answer.output.len() < OUTPUT_LIMIT;
        bytes.extend(answer.output);
        if bytes.len() > FETCH_LIMIT_BYTES {
            return Err(too_large(path, "more"));
        }
        if ended {
            break;
        }
    }
    Ok(guest.keep_file(path, &bytes)?)
}

fn too_large(path: &str, size: &str) -> StepError {
    let limit = ByteSize(FETCH_LIMIT_BYTES as u64);
    let reason =
        format!("cannot fetch `{path}`: it has {} (limit {limit}); compress or cut it in the guest", Foreign(size));
    wrong(reason, String::new())
}

fn wrong(reason: String, output: String) -> StepError {
    StepError::Wrong { reason, output }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::Value;

    use super::*;
    use crate::guest::GuestError;
    use crate::guest::agent::Answer;

    /// A guest with one file that says how large it is, whatever it then hands over.
    struct Teller {
        size: &'static str,
        pieces: usize,
        kept: Vec<(String, usize)>,
    }

    impl Guest for Teller {
        fn run(&mut self, command: &str, _: u64) -> Result<Answer, GuestError> {
            let answer = |code, output: Vec<u8>| Ok(Answer { code, total: output.len() as u64, output });
            if command.starts_with("test -f") {
                return answer(i32::from(self.size.is_empty()), self.size.into());
            }
            let whole = self.pieces > 0;
            self.pieces = self.pieces.saturating_sub(1);
            answer(0, vec![b'x'; if whole { OUTPUT_LIMIT } else { 3 }])
        }

        fn reboot(&mut self) -> Result<(), GuestError> {
            Ok(())
        }

        fn qmp(&mut self, _: &str, _: &str) -> Result<Value, GuestError> {
            Ok(Value::Null)
        }

        fn keep_file(&mut self, path: &str, bytes: &[u8]) -> Result<(), GuestError> {
            self.kept.push((path.to_owned(), bytes.len()));
            Ok(())
        }

        fn check(&mut self) -> Result<(), GuestError> {
            Ok(())
        }

        fn last_lines(&mut self) -> Vec<String> {
            Vec::new()
        }
    }

    fn fetched(size: &'static str, pieces: usize) -> Result<Vec<(String, usize)>, String> {
        let mut guest = Teller { size, pieces, kept: Vec::new() };
        match fetch(&mut guest, "/var/log/a b", Deadline::after(Duration::from_secs(60))) {
            Ok(()) => Ok(guest.kept),
            Err(StepError::Wrong { reason, .. }) => Err(reason),
            Err(StepError::Lost(error)) => Err(error.to_string()),
        }
    }

    #[test]
    fn a_file_comes_in_pieces_and_no_more_than_the_limit_is_taken() {
        assert_eq!(fetched("3\n", 0).unwrap(), [("/var/log/a b".to_owned(), 3)]);
        assert_eq!(fetched("9\n", 2).unwrap(), [("/var/log/a b".to_owned(), 2 * OUTPUT_LIMIT + 3)]);
        assert!(fetched("", 0).unwrap_err().contains("not a file in the guest"));
        assert!(fetched("\u{1b}[31m\n", 0).unwrap_err().contains("not a file in the guest"));
        assert!(fetched("99999999999\n", 0).unwrap_err().contains("limit 16MiB"));
        assert!(fetched("3\n", usize::MAX).unwrap_err().contains("limit 16MiB"), "it said that it has three bytes");
    }
}
