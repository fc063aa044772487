//! Bytes of a file of a cache on their way from a server: bounded in time, gone on with where they break off, and handed to whoever
//! takes them.
//!
//! Input: what asks a server once. Output: the bytes, each once, or what is wrong with the file or the place.

use std::time::{Duration, Instant};

use crate::base::ByteSize;
use crate::store::StoreError;
use crate::world::World;
use crate::world::download::{Refusal, Sink};

/// The answer of a server must begin in this time, and go on after pauses no longer than this.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(6);
/// A server that sends less than this in a second, on average since it began, is slower than building.
const MIN_BYTES_PER_SECOND: u64 = 64 << 10;
/// The average counts after this time.
const GRACE: Duration = Duration::from_secs(10);
/// A download that breaks off goes on where it stopped so often, if so many bytes have come since.
const MAX_RESUMES: u32 = 3;
const RESUME_BYTES: u64 = 64 << 10;
/// The directories of a cache.
#[derive(Debug, Clone, Copy)]
pub(in crate::ops) enum Part {
    Results,
    Blobs,
    Trees,
}

impl Part {
    pub(in crate::ops) fn name(self) -> &'static str {
        match self {
            Part::Results => "results",
            Part::Blobs => "blobs",
            Part::Trees => "trees",
        }
    }
}

/// Why a file was not read.
#[derive(Debug)]
pub(in crate::ops) enum ReadProblem {
    /// There is none.
    Missing,
    /// It is not what it should be.
    Bad(String),
    /// The place does not answer, or too slowly.
    Down(String),
    /// The build ends.
    Stopped,
    /// What is wrong is wrong here.
    Store(StoreError),
}

/// Takes the bytes of a file.
pub(in crate::ops) type Take<'a> = &'a mut dyn FnMut(&[u8]) -> Result<(), ReadProblem>;

/// Who reads.
#[derive(Clone, Copy)]
pub(in crate::ops) struct Reader<'a> {
    pub(in crate::ops) world: &'a dyn World,
    pub(in crate::ops) stop: &'a (dyn Fn() -> bool + Sync),
}

/// Takes a file from a server, which is asked again where it broke off late enough. It is asked once more, too, where it had the
/// connection end at once: it may have been one that was kept open.
pub(super) fn poured<'a>(
    sink: &mut PouredSink<'a>,
    attempt: &mut dyn FnMut(&mut PouredSink<'a>) -> Result<(), Refusal<ReadProblem>>,
) -> Result<(), ReadProblem> {
    let (mut resumes, mut before) = (0, 0);
    let mut done = attempt(sink);
    if matches!(done, Err(Refusal::Again(_))) && sink.taken == 0 && sink.began.elapsed() < Duration::from_secs(1) {
        done = attempt(sink);
    }
    while matches!(done, Err(Refusal::Again(_))) && resumes < MAX_RESUMES && sink.taken >= before + RESUME_BYTES {
        (resumes, before) = (resumes + 1, sink.taken);
        done = attempt(sink);
    }
    done.map_err(|refusal| match refusal {
        Refusal::Missing(_) => ReadProblem::Missing,
        Refusal::Useless(why) => ReadProblem::Bad(why),
        Refusal::Again(why) => ReadProblem::Down(why),
        Refusal::Later(throttle) => ReadProblem::Down(throttle.why),
        Refusal::Stopped => ReadProblem::Stopped,
        Refusal::Fatal(problem) => problem,
    })
}

pub(super) fn too_long(most: u64) -> ReadProblem {
    ReadProblem::Bad(format!("it has more than {}, which is as much as it may have", ByteSize(most)))
}

/// Bytes of a server on their way.
pub(super) struct PouredSink<'a> {
    take: Take<'a>,
    /// Bytes of the file that have come, and those of them that were taken: a server may begin anew.
    have: u64,
    taken: u64,
    began: Instant,
}

impl<'a> PouredSink<'a> {
    pub(super) fn new(take: Take<'a>) -> PouredSink<'a> {
        #[expect(clippy::disallowed_methods, reason = "a bound on waiting, which decides no bit")]
        let began = Instant::now();
        PouredSink { take, have: 0, taken: 0, began }
    }
}

impl Sink for PouredSink<'_> {
    type Error = ReadProblem;

    fn have(&self) -> u64 {
        self.have
    }

    fn restart(&mut self) -> Result<(), ReadProblem> {
        self.have = 0;
        Ok(())
    }

    /// What was taken before is passed over: whether it was the same is seen when the whole is compared with its digest.
    fn take(&mut self, piece: &[u8]) -> Result<(), ReadProblem> {
        let known = usize::try_from(self.taken - self.have).map_or(piece.len(), |known| known.min(piece.len()));
        (self.take)(&piece[known..])?;
        self.have += piece.len() as u64;
        self.taken = self.taken.max(self.have);
        let time = self.began.elapsed();
        if time > GRACE && self.taken < MIN_BYTES_PER_SECOND * time.as_secs() {
            let (have, seconds) = (ByteSize(self.taken).rounded(), time.as_secs());
            return Err(ReadProblem::Down(format!("sent only {have} in {seconds} s")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is taken of a file of 300 KiB whose server breaks off after 100 KiB each time, `restarting` or going on.
    fn taken(restarting: bool, breaks: u32) -> (Result<(), ReadProblem>, Vec<u8>) {
        let file: Vec<u8> = (0..300u32 << 10).map(|at| (at / 1000) as u8).collect();
        let mut got = Vec::new();
        let mut take = |piece: &[u8]| {
            got.extend_from_slice(piece);
            Ok(())
        };
        let mut sink = PouredSink::new(&mut take);
        let (mut left, mut reached) = (breaks, 0);
        let done = poured(&mut sink, &mut |sink| {
            if restarting {
                sink.restart().map_err(Refusal::Fatal)?;
            }
            let end = if left == 0 { file.len() } else { (reached + (100 << 10)).min(file.len()) };
            for piece in file[sink.have() as usize..end].chunks(7000) {
                sink.take(piece).map_err(Refusal::Fatal)?;
            }
            reached = end;
            if left == 0 {
                return Ok(());
            }
            left -= 1;
            Err(Refusal::Again("cut".to_owned()))
        });
        assert!(done.is_err() || got == file);
        (done, got)
    }

    #[test]
    fn a_download_goes_on_where_it_broke_off_as_long_as_it_gets_on() {
        for restarting in [false, true] {
            assert!(taken(restarting, 2).0.is_ok());
            let (done, got) = taken(restarting, 9);
            assert!(matches!(done, Err(ReadProblem::Down(_))));
            assert_eq!(got.len(), 300 << 10, "nothing is taken twice");
        }
    }
}
