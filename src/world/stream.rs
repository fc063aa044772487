//! The body of an answer, read by a thread of its own: whoever waits for it can be called off, and notices a server
//! that has fallen silent or sends next to nothing, none of which a blocking read allows.

use std::io::Read;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// Bytes of a piece.
const CHUNK_BYTES: usize = 128 << 10;
/// Pieces that wait to be taken.
const MAX_QUEUED_CHUNKS: usize = 4;
/// A server that sends less than this in a second, while it is waited for, holds kiln up on purpose: a modem does more.
const MIN_BYTES_PER_SECOND: f64 = 1024.0;
/// How often a waiting reader asks whether it is to stop.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

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
    /// Of the present stretch of waiting: how long it is, and what came in it.
    waited: Duration,
    came: usize,
    /// How long nothing has come.
    quiet: Duration,
}

impl Stream {
    /// Starts to read; takes one byte more than `size`, so that a body that is too long shows.
    pub(super) fn start(body: Box<dyn Read + Send>, size: u64) -> Stream {
        let (sender, pieces) = sync_channel(MAX_QUEUED_CHUNKS);
        // When nobody takes the pieces any more, or the server closes, the thread ends; kiln does not wait for it.
        std::thread::spawn(move || read(body.take(size.saturating_add(1)), &sender));
        Stream { pieces, waited: Duration::ZERO, came: 0, quiet: Duration::ZERO }
    }

    /// Waits for the next piece until `stop` says so. In each stretch of waiting as long as `silence` some of the body
    /// must come.
    pub(super) fn next(&mut self, stop: &(dyn Fn() -> bool + Sync), silence: Duration) -> Next {
        loop {
            if stop() {
                return Next::Stopped;
            }
            #[expect(clippy::disallowed_methods, reason = "a bound on waiting, which decides no bit")]
            let began = Instant::now();
            let piece = self.pieces.recv_timeout(POLL_INTERVAL.min(silence));
            self.waited += began.elapsed();
            self.quiet += began.elapsed();
            match piece {
                Ok(Ok(piece)) => {
                    self.came += piece.len();
                    self.quiet = Duration::ZERO;
                    return self.slow(silence).map_or(Next::Piece(piece), Next::Broken);
                }
                Ok(Err(error)) => return Next::Broken(format!("broke off: {error}")),
                Err(RecvTimeoutError::Disconnected) => return Next::End,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if let Some(why) = self.slow(silence) {
                return Next::Broken(why);
            }
        }
    }

    /// At the end of a stretch: whether too little came in it. Time in which nobody waited is not the server's.
    fn slow(&mut self, silence: Duration) -> Option<String> {
        let seconds = silence.as_secs();
        if self.quiet >= silence {
            return Some(format!("sent nothing for {seconds} s"));
        }
        if self.waited < silence {
            return None;
        }
        let came = std::mem::take(&mut self.came);
        self.waited = Duration::ZERO;
        let least = MIN_BYTES_PER_SECOND * silence.as_secs_f64();
        ((came as f64) < least).then(|| format!("sent only {came} bytes in {seconds} s"))
    }
}

fn read(mut body: impl Read, sender: &SyncSender<std::io::Result<Vec<u8>>>) {
    loop {
        let mut piece = vec![0; CHUNK_BYTES];
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
