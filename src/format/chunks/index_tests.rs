//! Tests of the index of chunks: random edits, mutated indexes, and how much it may grow.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;

use super::*;
use crate::format::chunks::cut::MAX_BLOCKS;
use crate::format::chunks::{IndexHead, first};
use crate::format::qcow2::{PackedCluster, write_qcow2};

/// The image of a disk with this content.
pub(in crate::format::chunks) fn qcow2(raw: &[u8], cluster_bits: u32) -> Vec<u8> {
    let memory = rustix::fs::memfd_create("kiln-chunks", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    let mut content = File::from(memory);
    content.write_all(raw).unwrap();
    let mut image = io::Cursor::new(Vec::new());
    let options = Qcow2Options { cluster_bits, ..Qcow2Options::default() };
    write_qcow2(&content, &mut image, options, &mut |_, _| {}).unwrap();
    image.into_inner()
}

pub(in crate::format::chunks) fn index(image: &[u8]) -> ChunkIndex {
    ChunkIndex::of(&mut Qcow2Reader::new(io::Cursor::new(image)).unwrap(), image.len() as u64).unwrap()
}

pub(in crate::format::chunks) struct Random(pub(in crate::format::chunks) u64);

impl Random {
    pub(in crate::format::chunks) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    /// Bytes that compress a little, as files do.
    pub(in crate::format::chunks) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| b'a' + self.below(20) as u8).collect()
    }
}

/// A disk with files and holes.
pub(in crate::format::chunks) fn disk(random: &mut Random) -> Vec<u8> {
    let mut disk = Vec::new();
    while disk.len() < 3 << 20 {
        let blocks = 1 + random.below(40);
        disk.extend(if random.below(4) == 0 { vec![0; blocks * BLOCK] } else { random.bytes(blocks * BLOCK) });
    }
    disk
}

/// Something is written over, put in, taken out or moved.
pub(in crate::format::chunks) fn edit(disk: &mut Vec<u8>, random: &mut Random) {
    let blocks = disk.len() / BLOCK;
    let (at, count) = (random.below(blocks - 10) * BLOCK, (1 + random.below(9)) * BLOCK);
    match random.below(4) {
        0 => {
            let (from, bytes) = (at + random.below(100), random.bytes(50));
            disk[from..from + 50].copy_from_slice(&bytes);
        }
        1 => _ = disk.splice(at..at, random.bytes(count)),
        2 => _ = disk.drain(at..at + count),
        _ => disk[at..].rotate_left(count),
    }
}

#[test]
fn after_any_edits_old_chunks_and_new_clusters_are_the_new_disk() {
    for seed in 0..6 {
        let (mut random, bits) = (Random(seed), 16 - (seed as u32 % 3) * 2);
        let mut raw = disk(&mut random);
        let old = qcow2(&raw, bits);
        let mut known: BTreeMap<ChunkId, Vec<u8>> = BTreeMap::new();
        let mut reader = Qcow2Reader::new(io::Cursor::new(&old)).unwrap();
        for (at, blocks, id) in index(&old).chunks() {
            let mut bytes = vec![0; blocks as usize * BLOCK];
            reader.read_at(at, &mut bytes).unwrap();
            known.insert(id, bytes);
        }
        (0..1 + seed).for_each(|_| edit(&mut raw, &mut random));
        // The last block of a disk need not be whole.
        raw.truncate(raw.len() - 512 * random.below(8));
        let new = qcow2(&raw, bits);
        let text = index(&new).write();
        let read = ChunkIndex::read(&text, new.len() as u64).unwrap();
        assert_eq!(read, index(&new));
        let mut rebuilt = vec![0; raw.len().next_multiple_of(1 << bits)];
        let mut fetched = 0;
        for (at, blocks, id) in read.chunks() {
            let (from, size) = (at as usize, blocks as usize * BLOCK);
            if let Some(bytes) = known.get(&id) {
                rebuilt[from..from + size].copy_from_slice(bytes);
                continue;
            }
            fetched += size;
            let clusters = at >> bits..=(at + size as u64 - 1) >> bits;
            for cluster in read.clusters.iter().filter(|cluster| clusters.contains(&cluster.number)) {
                let stored = &new[cluster.offset as usize..(cluster.offset + cluster.length) as usize];
                let bytes = cluster.unpack(stored, bits).unwrap();
                let to = (cluster.number << bits) as usize;
                rebuilt[to..to + bytes.len()].copy_from_slice(&bytes);
            }
            assert_eq!(ChunkId::of(&rebuilt[from..from + size]), id);
        }
        assert!(rebuilt[..raw.len()] == raw, "seed {seed}");
        assert!(qcow2(&rebuilt[..raw.len()], bits) == new, "seed {seed}");
        assert!(fetched < raw.len() / 2, "seed {seed}: {fetched} of {}", raw.len());
    }
}

#[test]
fn no_bytes_are_an_index_of_another_disk_or_make_reading_panic() {
    let mut random = Random(7);
    let image = qcow2(&disk(&mut random), 16);
    let (good, size) = (index(&image), image.len() as u64);
    let text = good.write();
    for end in 0..text.len() {
        assert!(ChunkIndex::read(&text[..end], size).is_err(), "{end}");
    }
    assert!(ChunkIndex::read(&[&text[..], b"x"].concat(), size).is_err());
    assert!(ChunkIndex::read(&text, size / 2).is_err(), "clusters behind the end of the image");
    for _ in 0..20_000 {
        let mut changed = text.clone();
        for _ in 0..=random.below(3) {
            let at = random.below(changed.len());
            changed[at] = random.below(256) as u8;
        }
        if let Ok(read) = ChunkIndex::read(&changed, size) {
            assert_eq!(read.extents.iter().map(Extent::blocks).sum::<u64>(), read.size.div_ceil(BLOCK as u64));
            assert!(read.clusters.iter().all(|cluster| cluster.offset + cluster.length <= size));
        }
    }
    // A disk of many times its image.
    let huge = ChunkIndex { size: 64 << 30, extents: Vec::new(), ..good.clone() };
    let chunk = Extent::Chunk { blocks: 64, id: ChunkId([0; 8]) };
    let huge = ChunkIndex { extents: vec![chunk; (64 << 30) / (64 * BLOCK)], ..huge };
    assert_eq!(reason(&huge, size), "not an index of chunks: its content is too large for its image");
    let other = ChunkIndex { clusters: Vec::new(), ..good };
    assert_eq!(reason(&other, size), "not an index of chunks: it has a cluster that its image does not have");
}

fn reason(index: &ChunkIndex, image_size: u64) -> String {
    ChunkIndex::read(&index.write(), image_size).unwrap_err().to_string()
}

#[test]
fn clusters_that_no_image_has_are_refused_and_counted_without_an_overflow() {
    let image = qcow2(&disk(&mut Random(8)), 16);
    let good = index(&image);
    let frames = |length: u64, count: u64| {
        let size = count << 16;
        let frame = |number| StoredCluster { number, offset: 0, length, compressed: true };
        let extents = vec![Extent::Zeros { blocks: size / BLOCK as u64 }];
        ChunkIndex { size, extents, clusters: (0..count).map(frame).collect(), ..good.clone() }
    };
    // As many frames as fit, and no more references to one cluster than can be counted.
    for length in [8, 1 << 16, u64::MAX] {
        assert!(ChunkIndex::read(&frames(length, 100).write(), 1 << 40).is_err(), "{length}");
    }
    let packed: Vec<_> = (0..200_000).map(|number| PackedCluster { number, frame: Some(9) }).collect();
    let (stored, size) = lay_out((200_000 << 18, 18), &packed).unwrap();
    assert!(stored.windows(2).all(|pair| pair[0].offset + 9 == pair[1].offset || pair[1].offset % (1 << 18) == 0));
    assert!(size < 16 << 20, "{size}");
    let mut other = good.clone();
    other.clusters[0].length -= 1;
    // It may still be an image of this size, and then its digest is another.
    assert_ne!(ChunkIndex::read(&other.write(), image.len() as u64).ok(), Some(good));
}

#[test]
fn an_index_of_the_first_version_is_read_as_well() {
    let image = qcow2(&disk(&mut Random(9)), 16);
    let good = index(&image);
    let mut reader = Qcow2Reader::new(io::Cursor::new(&image)).unwrap();
    let told = ChunkIndex { clusters: reader.stored().unwrap(), ..good.clone() };
    let text = first::write(&told, |id| [id.0, [7; 8]].concat().try_into().unwrap());
    assert_eq!(ChunkIndex::read(&text, image.len() as u64), Ok(told.clone()));
    let places = |index: &ChunkIndex| index.clusters.iter().map(|one| (one.number, one.offset)).collect::<Vec<_>>();
    assert_eq!(places(&told), places(&good));
    for end in 0..text.len() {
        assert!(ChunkIndex::read(&text[..end], image.len() as u64).is_err(), "{end}");
    }
}

/// 200 MB of files, as far as an index tells them.
fn many(random: &mut Random) -> ChunkIndex {
    let mut extents = Vec::new();
    let mut left = 50_000;
    while left > 0 {
        let blocks = (1 + random.below(8) as u64).min(left);
        let id = ChunkId(std::array::from_fn(|_| random.below(256) as u8));
        extents.push(if random.below(9) == 0 { Extent::Zeros { blocks } } else { Extent::Chunk { blocks, id } });
        left -= blocks;
    }
    let packed: Vec<_> = (0..50_000 / 16)
        .map(|number| PackedCluster {
            number,
            frame: Some(9 + random.below(60_000) as u64).filter(|_| number % 50 != 0),
        })
        .collect();
    let (clusters, _) = lay_out((50_000 * BLOCK as u64, 16), &packed).unwrap();
    ChunkIndex { size: 50_000 * BLOCK as u64, cluster_bits: 16, writer: WRITER(), extents, clusters }
}

#[test]
fn a_few_changes_are_a_few_parts_and_all_of_them_are_the_index() {
    let mut random = Random(10);
    let old = many(&mut random);
    let mut new = old.clone();
    // One chunk is another, and one more stands in the middle.
    new.extents[4_000] = Extent::Chunk { blocks: new.extents[4_000].blocks(), id: ChunkId([1; 8]) };
    new.extents.insert(6_000, Extent::Chunk { blocks: u64::from(MAX_BLOCKS), id: ChunkId([2; 8]) });
    let text = new.write();
    let head = IndexHead::read(&text).unwrap();
    assert_eq!(IndexHead::read(&text[..head.length as usize]), Ok(head.clone()));
    assert_eq!(head.total(), text.len() as u64);
    let known: BTreeMap<ChunkId, Vec<u8>> = head.parts_of(&old).collect();
    let (mut put_together, mut fetched) = (text[..head.length as usize].to_vec(), head.length);
    for part in head.parts() {
        let own = &text[part.offset as usize..(part.offset + part.length) as usize];
        match known.get(&part.name) {
            Some(bytes) => put_together.extend_from_slice(bytes),
            None => (put_together, fetched) = ([&put_together, own].concat(), fetched + part.length),
        }
    }
    assert!(put_together == text);
    assert!(fetched < 6_000 && text.len() > 100_000, "{fetched} of {}", text.len());
}
