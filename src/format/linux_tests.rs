//! Headers of kernels that are right, and that are wrong in one thing.

use std::io::Write;

use super::*;

/// A `bzImage` without code.
pub(crate) fn bzimage(release: &str) -> Vec<u8> {
    let mut bytes = vec![0; 5 * 512 + 64];
    bytes[0x1f1] = 4;
    bytes[0x1f4] = 4;
    bytes[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
    bytes[0x202..0x206].copy_from_slice(b"HdrS");
    bytes[0x206..0x208].copy_from_slice(&0x020f_u16.to_le_bytes());
    bytes[0x236] = 1;
    bytes[0x20e..0x210].copy_from_slice(&0x100_u16.to_le_bytes());
    bytes[0x300..0x300 + release.len()].copy_from_slice(release.as_bytes());
    bytes
}

fn look(bytes: &[u8]) -> Result<Option<String>, NotAKernel> {
    examine(Arch::Amd64, bytes, bytes.len() as u64).map(|image| image.release)
}

#[test]
fn the_release_of_a_bzimage_is_read() {
    assert_eq!(
        look(&bzimage("6.12.57+deb13-cloud-amd64 (a@b) #1 SMP")),
        Ok(Some("6.12.57+deb13-cloud-amd64".to_owned()))
    );
    // What cannot be a release is none, and a kernel need not name one.
    for odd in ["", "../../etc", "6.12/x", "six"] {
        assert_eq!(look(&bzimage(odd)), Ok(None), "{odd}");
    }
    let mut unnamed = bzimage("6.1");
    unnamed[0x20e..0x210].fill(0);
    assert_eq!(look(&unnamed), Ok(None));
    // Beyond the setup code, and beyond the file.
    for offset in [0x900_u16, 0xffff] {
        unnamed[0x20e..0x210].copy_from_slice(&offset.to_le_bytes());
        assert_eq!(look(&unnamed), Ok(None));
    }
}

#[test]
fn what_is_no_kernel_is_told_apart() {
    let changed = |at: usize, byte: u8| {
        let mut bytes = bzimage("6.1");
        bytes[at] = byte;
        look(&bytes)
    };
    let other = Err(NotAKernel::Other(Arch::Amd64));
    assert_eq!(look(b""), Err(NotAKernel::Empty));
    assert_eq!(look(b"\x7fELF and more"), Err(NotAKernel::Elf(Arch::Amd64)));
    assert_eq!(look(b"#!/bin/sh\n"), other);
    assert_eq!(changed(0x1fe, 0), other);
    assert_eq!(changed(0x202, b'h'), other);
    assert_eq!(changed(0x236, 0), Err(NotAKernel::Narrow));
    assert_eq!(changed(0x207, 1), Err(NotAKernel::Narrow));
    assert_eq!(changed(0x1f4, 5), Err(NotAKernel::Truncated { stated: 2640, size: 2624 }));
    // Each stretch of a header without the rest.
    for length in 1..0x238 {
        assert!(look(&bzimage("6.1")[..length]).is_err(), "{length}");
    }
}

#[test]
fn kernels_of_arm64_have_three_forms() {
    let mut image = vec![0; 64];
    image[56..60].copy_from_slice(ARM64_MAGIC);
    let look = |bytes: &[u8]| examine(Arch::Arm64, bytes, bytes.len() as u64);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&image).unwrap();
    let mut zboot = b"MZ\0\0zimg".to_vec();
    zboot.extend([16, 0, 0, 0, 4, 0, 0, 0, 1, 2, 3, 4]);
    for good in [&image, &gzip.finish().unwrap(), &zboot] {
        assert_eq!(look(good), Ok(KernelImage { release: None }));
    }
    zboot.pop();
    assert_eq!(look(&zboot), Err(NotAKernel::Truncated { stated: 20, size: 19 }));
    for bad in [&bzimage("6.1")[..], &image[..59], &[0x1f, 0x8b, 8], b"MZ\0\0zimg"] {
        assert_eq!(look(bad), Err(NotAKernel::Other(Arch::Arm64)));
    }
}
