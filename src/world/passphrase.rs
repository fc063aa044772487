//! A passphrase that somebody types at a terminal, which does not show it.

use std::io::{self, IsTerminal, Stdin};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// No passphrase is longer.
pub const LIMIT: usize = 1024;

/// The terminal as it was before it hid what is typed, while it does.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// The terminal is as it was once this is dropped.
struct Hidden(Stdin);

impl Hidden {
    fn new(stdin: Stdin) -> io::Result<Hidden> {
        let before = tcgetattr(&stdin)?;
        let mut hidden = before.clone();
        // Keys of signals are read as well: a process that they end would leave a terminal that shows nothing.
        hidden.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        *held() = Some(before);
        // Whatever comes of it.
        let hiding = Hidden(stdin);
        tcsetattr(&hiding.0, OptionalActions::Flush, &hidden)?;
        Ok(hiding)
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        show_again();
    }
}

fn held() -> MutexGuard<'static, Option<Termios>> {
    BEFORE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets the terminal show what is typed, for whoever ends the process while somebody is asked.
pub fn show_again() {
    if let Some(before) = held().take() {
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &before);
    }
}

/// Asks for one on standard error; `None` where standard input is no terminal. Ctrl-C is an error.
pub fn ask(prompt: &str) -> io::Result<Option<Vec<u8>>> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return Ok(None);
    }
    let hidden = Hidden::new(stdin)?;
    // A line of its own: what is typed after it is not shown.
    crate::tell!("{prompt}");
    let mut typed = Typed::default();
    let mut key = [0];
    while rustix::io::retry_on_intr(|| rustix::io::read(&hidden.0, &mut key))? == 1 {
        if typed.press(key[0])? {
            return Ok(Some(typed.0));
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

/// The first line of standard input.
pub fn from_standard_input() -> io::Result<Vec<u8>> {
    let (stdin, mut line, mut byte) = (io::stdin(), Vec::new(), [0]);
    while line.len() < LIMIT
        && rustix::io::retry_on_intr(|| rustix::io::read(&stdin, &mut byte))? == 1
        && byte[0] != b'\n'
    {
        line.push(byte[0]);
    }
    Ok(line)
}

/// What was typed so far.
#[derive(Default)]
struct Typed(Vec<u8>);

impl Typed {
    /// True when it is all.
    fn press(&mut self, key: u8) -> io::Result<bool> {
        match key {
            b'\n' | b'\r' => return Ok(true),
            // Ctrl-C, Ctrl-D, Ctrl-Z, Ctrl-\.
            3 | 4 | 26 | 28 => return Err(io::ErrorKind::Interrupted.into()),
            // Backspace takes a character, Ctrl-U the line.
            8 | 127 => while self.0.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {},
            21 => self.0.clear(),
            key if self.0.len() < LIMIT => self.0.push(key),
            _ => {}
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_edit_edit_and_keys_of_signals_end_it() {
        let mut typed = Typed::default();
        let all: Vec<bool> = "xy\u{15}aé\u{8}b\n".bytes().map(|key| typed.press(key).unwrap()).collect();
        assert_eq!((typed.0.as_slice(), all.last()), (b"ab".as_slice(), Some(&true)));
        assert!(typed.press(3).is_err());
    }
}
