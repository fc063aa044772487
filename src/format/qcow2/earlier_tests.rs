//! An image that takes clusters of an earlier one is the image that is written from nothing, whatever the earlier one has.

use std::io::{Cursor, Write};
use std::ops::Range;

use super::*;
use crate::format::qcow2::{RawDisk, write_qcow2, write_qcow2_like};

const OPTIONS: Qcow2Options = Qcow2Options { cluster_bits: 12, level: 3 };
const CLUSTER: usize = 4096;
const CLUSTERS: usize = 900;

struct Memory(Vec<u8>);

impl RawDisk for Memory {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        buffer.copy_from_slice(&self.0[offset as usize..][..buffer.len()]);
        Ok(())
    }

    fn next_data(&self, from: u64, size: u64) -> io::Result<Option<Range<u64>>> {
        Ok((from < size).then_some(from..size))
    }
}

/// Zeros, text and what cannot be made smaller, in turns.
fn disk(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut bytes = Vec::new();
    for cluster in 0..CLUSTERS {
        for at in 0..CLUSTER {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let noise = (state >> 56) as u8;
            bytes.push(match cluster % 4 {
                0 => 0,
                1 => noise,
                _ if at % 64 < 8 => b'a' + noise % 26,
                _ => b"what is the same in all of them "[at % 32],
            });
        }
    }
    bytes
}

fn image(bytes: &[u8]) -> Vec<u8> {
    let mut image = Cursor::new(Vec::new());
    write_qcow2(&Memory(bytes.to_vec()), &mut image, OPTIONS, &mut |_, _| {}).unwrap();
    image.into_inner()
}

/// Writes a disk with what an earlier image has; gives how many clusters were taken from that.
fn like(bytes: &[u8], earlier: &[u8]) -> (Vec<u8>, usize) {
    let mut file = File::from(rustix::fs::memfd_create("earlier", rustix::fs::MemfdFlags::CLOEXEC).unwrap());
    file.write_all(earlier).unwrap();
    let earlier = EarlierImage::read(file).ok();
    let mut image = Cursor::new(Vec::new());
    let how = (OPTIONS, earlier.as_ref());
    write_qcow2_like(&Memory(bytes.to_vec()), &mut image, how, &mut |_, _| {}).unwrap();
    (image.into_inner(), earlier.map_or(0, |earlier| earlier.taken()))
}

#[test]
fn what_changed_is_compressed_and_the_rest_is_taken() {
    let before = disk(1);
    let mut after = before.clone();
    after[CLUSTER..2 * CLUSTER].fill(b'x');
    after[2 * CLUSTER + 7] ^= 1;
    after[3 * CLUSTER..4 * CLUSTER].fill(0);
    after[4 * CLUSTER..4 * CLUSTER + 3].fill(1);
    after.extend(b"and it is longer");
    let (image_after, taken) = like(&after, &image(&before));
    assert!(image_after == image(&after));
    // Three of four are none of zeros; three of those were changed.
    assert_eq!(taken, CLUSTERS / 4 * 3 - 3);
    let (same, taken) = like(&before, &image(&before));
    assert!(same == image(&before));
    assert_eq!(taken, CLUSTERS / 4 * 3);
}

#[test]
fn an_image_of_something_else_is_given_up_soon() {
    let other = image(&disk(2));
    let (image_after, taken) = like(&disk(1), &other);
    assert!(image_after == image(&disk(1)));
    assert_eq!(taken, 0);
    let larger = {
        let mut image = Cursor::new(Vec::new());
        let options = Qcow2Options { cluster_bits: 16, ..OPTIONS };
        write_qcow2(&Memory(disk(1)), &mut image, options, &mut |_, _| {}).unwrap();
        image.into_inner()
    };
    let (image_after, taken) = like(&disk(1), &larger);
    assert!(image_after == image(&disk(1)));
    assert_eq!(taken, 0);
}

#[test]
fn a_damaged_image_changes_nothing_that_a_guest_sees() {
    let bytes = disk(1);
    let good = image(&bytes);
    for step in 0..60 {
        let mut bad = good.clone();
        match step {
            0 => bad.truncate(good.len() / 2),
            1 => bad.truncate(100),
            2 => bad.clear(),
            3 => bad.fill(0xff),
            // Tables that refer to other clusters: each cluster to the frame of the one before.
            4 => {
                let l1 = u64::from_be_bytes(bad[40..48].try_into().unwrap()) as usize;
                let l2 = (u64::from_be_bytes(bad[l1..l1 + 8].try_into().unwrap()) & !(1 << 63)) as usize;
                bad.copy_within(l2..l2 + 8 * (CLUSTER / 8 - 1), l2 + 8);
            }
            _ => {
                for at in (step..bad.len()).step_by(997 * step) {
                    bad[at] ^= 1 << (step % 8);
                }
            }
        }
        let (image, _) = like(&bytes, &bad);
        // A changed bit that no decoder looks at is a matter of the digest of the image, which whoever hands it over knows.
        assert!(unpacked(&image) == bytes, "{step}");
        assert!(step > 4 || image == good, "{step}");
    }
}

fn unpacked(image: &[u8]) -> Vec<u8> {
    let mut reader = Qcow2Reader::new(Cursor::new(image)).unwrap();
    let mut bytes = vec![0; CLUSTERS * CLUSTER];
    reader.read_at(0, &mut bytes).unwrap();
    bytes
}
