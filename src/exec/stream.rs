//! The body of an answer, read by a thread of its own: whoever waits for it can be called off, and notices a server
//! that has fallen silent, neither of which a blocking read allows.

use std::io::Read;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// Bytes of a piece.
const PIECE: usize = 128 << 10;
/// Pieces that wait to be taken.
const AHEAD: usize = 4;
/// How often a waiting reader asks whether it is to stop.
const GLANCE: Duration = Duration::from_millis(100);

/// What comes next of a body.
pub(super) enum Next {
    /// Bytes.
    Piece(Vec<u8>),
    /// Nothing more.
    End,
    /// It ended before its end, in words.
    Broken(String),
    /// The reader was called off.
    Stopped,
}

/// A body that is being read.
pub(super) struct Stream {
    pieces: Receiver<std::io::Result<Vec<u8>>>,
}

impl Stream {
    /// Starts to read; takes one byte more than `size`, so that a body that is too long shows.
    pub(super) fn start(body: Box<dyn Read + Send>, size: u64) -> Stream {
        let (sender, pieces) = sync_channel(AHEAD);
        // When nobody takes the pieces any more, or the server closes, the thread ends; kiln does not wait for it.
        std::thread::spawn(move || read(body.take(size.saturating_add(1)), &sender));
        Stream { pieces }
    }

    /// Waits for the next piece until `stop` says so, and no longer than `silence`.
    pub(super) fn next(&self, stop: &(dyn Fn() -> bool + Sync), silence: Duration) -> Next {
        let mut waited = Duration::ZERO;
        loop {
            if stop() {
                return Next::Stopped;
            }
            match self.pieces.recv_timeout(GLANCE.min(silence)) {
                Ok(Ok(piece)) => return Next::Piece(piece),
                Ok(Err(error)) => return Next::Broken(format!("broke off: {error}")),
                Err(RecvTimeoutError::Disconnected) => return Next::End,
                Err(RecvTimeoutError::Timeout) => waited += GLANCE,
            }
            if waited >= silence {
                return Next::Broken(format!("sent nothing for {} s", silence.as_secs()));
            }
        }
    }
}

fn read(mut body: impl Read, sender: &SyncSender<std::io::Result<Vec<u8>>>) {
    loop {
        let mut piece = vec![0; PIECE];
        let answer = match body.read(&mut piece) {
            Ok(0) => return,
            Ok(count) => {
                piece.truncate(count);
                Ok(piece)
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let last = answer.is_err();
        if sender.send(answer).is_err() || last {
            return;
        }
    }
}
