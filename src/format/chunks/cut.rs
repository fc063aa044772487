//! Where chunks end: after a block whose hash has certain bits clear, before a block of zeros, or when a chunk is full.
//!
//! The hash is the gear hash of FastCDC over one block. Its table is SplitMix64 from a seed of zero, so that nobody has to copy it.

/// Bytes of a block, those of an ext4 file system of kiln's.
pub const BLOCK: usize = 4096;
/// Blocks of the largest chunk.
pub(super) const MAX_BLOCKS: u32 = 64;
/// A chunk ends after one block in eight, and after a block whose last 64 bytes are zeros, as the last one of most files is: the hash
/// of zeros has these bits clear. So files begin chunks of their own. `benches/updates.sh` measures what that sends.
const END_BITS: u64 = 0b111 << 61;

const GEAR: [u64; 256] = gear();

const fn gear() -> [u64; 256] {
    let (mut table, mut state, mut at) = ([0; 256], 0u64, 0);
    while at < 256 {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        table[at] = mixed ^ (mixed >> 31);
        at += 1;
    }
    table
}

/// Whether a chunk ends after this block.
fn is_last(block: &[u8]) -> bool {
    let hash = block.iter().fold(0u64, |hash, byte| (hash << 1).wrapping_add(GEAR[usize::from(*byte)]));
    hash & END_BITS == 0
}

/// What a block is to the chunk that is being collected.
pub(super) enum BlockKind {
    Zero,
    Inner,
    Last,
}

pub(super) fn kind(block: &[u8], blocks_before: u32) -> BlockKind {
    if block.iter().all(|byte| *byte == 0) {
        BlockKind::Zero
    } else if blocks_before + 1 == MAX_BLOCKS || is_last(block) {
        BlockKind::Last
    } else {
        BlockKind::Inner
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_splitmix64_and_one_block_in_eight_ends_a_chunk() {
        assert_eq!(GEAR[..2], [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4]);
        let mut end_of_file = [b'x'; BLOCK];
        end_of_file[BLOCK - 64..].fill(0);
        assert!(is_last(&end_of_file));
        let mut state = 1u64;
        let mut noise = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as u8
        };
        let ends = (0..4000).filter(|_| is_last(&std::array::from_fn::<u8, BLOCK, _>(|_| noise()))).count();
        assert!((400..600).contains(&ends), "{ends} of 4000");
    }
}
