//! Tests of deltas: random edits, mutated deltas, and how small they are.

use std::io::Cursor;

use super::super::index::tests::{Random, disk, edit, index, qcow2};
use super::*;

const BITS: u32 = 16;

fn between(old: &[u8], new: &[u8]) -> Option<DiskDelta> {
    let (old_index, new_index) = (index(old), index(new));
    let open = |image| Qcow2Reader::new(Cursor::new(image)).unwrap();
    DiskDelta::between((&mut open(old), &old_index), (&mut open(new), &new_index)).unwrap()
}

/// The content that a delta makes of an image.
fn applied(delta: &DiskDelta, old: &[u8]) -> io::Result<Vec<u8>> {
    let mut content = vec![0; delta.size.next_multiple_of(BLOCK as u64) as usize];
    let mut old = Qcow2Reader::new(Cursor::new(old))?;
    delta.apply(&mut old, &mut |at, bytes| {
        content[at as usize..][..bytes.len()].copy_from_slice(bytes);
        Ok(())
    })?;
    content.truncate(delta.size as usize);
    Ok(content)
}

#[test]
fn after_any_edits_a_delta_makes_the_new_disk_of_the_old_one() {
    for seed in 0..12 {
        let mut random = Random(seed);
        let mut raw = disk(&mut random);
        let old = qcow2(&raw, BITS);
        (0..seed).for_each(|_| edit(&mut raw, &mut random));
        // The last block of a disk need not be whole.
        raw.truncate(raw.len() - 512 * random.below(8));
        let new = qcow2(&raw, BITS);
        let text = between(&old, &new).unwrap().write().unwrap();
        let delta = DiskDelta::read(&text, new.len() as u64).unwrap();
        assert!(applied(&delta, &old).unwrap() == raw, "seed {seed}");
        assert!(text.len() < new.len() / 2, "seed {seed}: {} of {}", text.len(), new.len());
    }
}

#[test]
fn a_small_change_is_a_small_delta() {
    let mut random = Random(3);
    let mut raw = disk(&mut random);
    let old = qcow2(&raw, BITS);
    let changed = random.bytes(800);
    raw[1_000_000..1_000_800].copy_from_slice(&changed);
    let new = qcow2(&raw, BITS);
    let text = between(&old, &new).unwrap().write().unwrap();
    let packed = zstd::stream::encode_all(changed.as_slice(), 3).unwrap().len();
    assert!(text.len() < packed * 13 / 10, "{} for {packed}", text.len());
}

#[test]
fn where_much_is_new_there_is_no_delta() {
    let mut random = Random(4);
    let old = qcow2(&disk(&mut random), BITS);
    let all_new: Vec<u8> = random.bytes(1 << 20).repeat(66);
    // Chunks of equal content are new as often as they stand on the disk.
    assert_eq!(between(&old, &qcow2(&all_new, BITS)), None);
}

#[test]
fn the_limit_of_new_blocks_is_exact_at_both_ends() {
    let mut random = Random(5);
    let old = qcow2(&disk(&mut random), BITS);
    let (piece, block) = (random.bytes(1 << 20), random.bytes(BLOCK));
    let mut raw = piece.repeat(MAX_NEW as usize * BLOCK / piece.len());
    let new = qcow2(&raw, BITS);
    let text = between(&old, &new).unwrap().write().unwrap();
    let delta = DiskDelta::read(&text, new.len() as u64).unwrap();
    assert_eq!(delta.new_blocks, MAX_NEW);
    assert!(applied(&delta, &old).unwrap() == raw);
    raw.extend_from_slice(&block);
    let new = qcow2(&raw, BITS);
    assert!(between(&old, &new).is_none());
    // Whoever reads one from somebody else has the same limit.
    let blocks = MAX_NEW + 1;
    let more =
        DiskDelta { size: raw.len() as u64, steps: vec![DeltaStep::New { blocks }], new_blocks: blocks, ..delta };
    let read = DiskDelta::read(&more.write().unwrap(), new.len() as u64);
    assert_eq!(read, Err(DeltaError("it is larger than any")));
}

#[test]
fn content_that_does_not_pack_has_a_limit_of_its_own() {
    let mut random = Random(6);
    let old = qcow2(&disk(&mut random), BITS);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let raw: Vec<u8> = std::iter::repeat_with(&mut noise).take((MAX_PACKED + (1 << 20)) / 8).flatten().collect();
    assert!(raw.len() < MAX_NEW as usize * BLOCK);
    assert!(between(&old, &qcow2(&raw, BITS)).is_none());
    let less = &raw[..MAX_PACKED - (1 << 20)];
    let text = between(&old, &qcow2(less, BITS)).unwrap().write().unwrap();
    assert!(text.len() > less.len() && text.len() as u64 <= DELTA_LIMIT, "{}", text.len());
}

#[test]
fn no_bytes_are_a_delta_of_another_disk_or_make_reading_panic() {
    let mut random = Random(7);
    let mut raw = disk(&mut random);
    let old = qcow2(&raw, BITS);
    (0..5).for_each(|_| edit(&mut raw, &mut random));
    let new = qcow2(&raw, BITS);
    let (good, size) = (between(&old, &new).unwrap(), new.len() as u64);
    let text = good.clone().write().unwrap();
    assert_eq!(DiskDelta::read(&text, size), Ok(good.clone()));
    for end in 0..text.len() {
        let read = DiskDelta::read(&text[..end], size);
        assert!(read.is_err() || applied(&read.unwrap(), &old).is_err(), "{end}");
    }
    for _ in 0..5_000 {
        let mut changed = text.clone();
        for _ in 0..=random.below(3) {
            let at = random.below(changed.len().min(200));
            changed[at] = random.below(256) as u8;
        }
        // What still is a delta of such a disk makes something of it or nothing.
        if let Some(delta) = DiskDelta::read(&changed, size).ok().filter(|delta| delta.size == good.size) {
            assert!(applied(&delta, &old).is_err() || !delta.steps.is_empty());
        }
    }
    let step = |steps: Vec<DeltaStep>| {
        let text = DiskDelta { steps, new_blocks: 0, ..good.clone() }.write().unwrap();
        DiskDelta::read(&text, size).unwrap_err().0
    };
    let blocks = good.size.div_ceil(BLOCK as u64);
    assert_eq!(step(vec![DeltaStep::Zeros { blocks: blocks + 1 }]), "its steps are those of no disk");
    assert_eq!(step(vec![DeltaStep::Zeros { blocks: blocks - 1 }]), "its steps are those of no disk");
    assert_eq!(step(vec![DeltaStep::New { blocks }]), "it has other new blocks than it says");
    for from in [LARGEST / BLOCK as u64, 1 << 62] {
        assert_eq!(step(vec![DeltaStep::Copy { blocks, from }]), "it copies what no disk has");
    }
    // A copy of the same block a million times over is more than its image is worth.
    let huge =
        DiskDelta { size: 64 << 30, steps: vec![DeltaStep::Copy { blocks: 16 << 20, from: 0 }], new_blocks: 0, ..good };
    let huge = DiskDelta::read(&huge.write().unwrap(), 1 << 20);
    assert_eq!(huge, Err(DeltaError("its content is too large for its image")));
}
