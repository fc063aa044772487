//! Hands out blocks, each file's behind those of the file before.

use std::ops::Range;

/// Blocks beside each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) first: u64,
    pub(super) blocks: u64,
}

/// What is free: stretches in order, of which the first ones are used up.
pub(super) struct FreeSpace {
    free: Vec<Range<u64>>,
    at: usize,
    /// Blocks that were taken from these stretches and from behind the end.
    taken: u64,
    /// Blocks that were asked for when nothing was left, which have numbers that no block has.
    missing: u64,
    end: u64,
}

impl FreeSpace {
    /// What lies between stretches that are used, in order, in so many blocks.
    pub(super) fn between(used: &[Range<u64>], blocks: u64) -> FreeSpace {
        let mut free = Vec::new();
        let mut at = 0;
        for range in used {
            if range.start > at {
                free.push(at..range.start);
            }
            at = at.max(range.end);
        }
        if at < blocks {
            free.push(at..blocks);
        }
        FreeSpace { free, at: 0, taken: 0, missing: 0, end: blocks }
    }

    /// The next free blocks.
    pub(super) fn take(&mut self, blocks: u64) -> Vec<Run> {
        let mut runs = Vec::new();
        self.take_from(self.at, blocks, &mut runs);
        while self.free.get(self.at).is_some_and(Range::is_empty) {
            self.at += 1;
        }
        runs
    }

    /// The first free blocks that begin at a place or behind it.
    pub(super) fn take_behind(&mut self, goal: u64, blocks: u64) -> Vec<Run> {
        let mut at = self.free.partition_point(|range| range.end <= goal);
        if let Some(range) = self.free.get_mut(at).filter(|range| range.start < goal) {
            let before = range.start..goal;
            range.start = goal;
            self.free.insert(at, before);
            at += 1;
        }
        let mut runs = Vec::new();
        self.take_from(at, blocks, &mut runs);
        runs
    }

    fn take_from(&mut self, mut at: usize, mut blocks: u64, runs: &mut Vec<Run>) {
        self.taken += blocks;
        while blocks > 0 {
            let Some(range) = self.free.get_mut(at) else {
                runs.push(Run { first: self.end + self.missing, blocks });
                self.missing += blocks;
                return;
            };
            let count = blocks.min(range.end - range.start);
            if count > 0 {
                runs.push(Run { first: range.start, blocks: count });
            }
            range.start += count;
            blocks -= count;
            at += usize::from(range.is_empty());
        }
    }

    /// All blocks that were asked for.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// Those that were not there.
    pub(super) fn missing(&self) -> u64 {
        self.missing
    }

    /// What is left, in order.
    pub(super) fn left(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.free.iter().filter(|range| !range.is_empty()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(first: u64, blocks: u64) -> Run {
        Run { first, blocks }
    }

    #[test]
    fn blocks_come_in_order_around_what_is_used() {
        let mut space = FreeSpace::between(&[0..10, 12..20, 20..21, 30..31], 40);
        assert_eq!(space.take(1), [run(10, 1)]);
        assert_eq!(space.take_behind(25, 6), [run(25, 5), run(31, 1)]);
        assert_eq!(space.take(3), [run(11, 1), run(21, 2)]);
        assert_eq!(space.take(0), []);
        assert_eq!(space.left().collect::<Vec<_>>(), [23..25, 32..40]);
        assert_eq!(space.take(12), [run(23, 2), run(32, 8), run(40, 2)]);
        assert_eq!((space.take(1), space.taken(), space.missing()), (vec![run(42, 1)], 23, 3));
    }
}
