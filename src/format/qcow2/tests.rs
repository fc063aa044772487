//! What can be checked without QEMU; the judge by QEMU itself is among the integration tests.

use std::io::Cursor;

use super::*;

#[test]
fn options_out_of_range_are_refused() {
    let raw = crate::world::fs::open(std::path::Path::new("/dev/null")).unwrap();
    for (cluster_bits, level) in [(11, 3), (19, 3), (16, 0), (16, 4)] {
        let options = Options { cluster_bits, level };
        let result = write_qcow2(&raw, Cursor::new(Vec::new()), options, &mut |_, _| {});
        assert!(matches!(result, Err(Qcow2Error::Options(_))), "{options:?}");
    }
}

#[test]
fn an_empty_disk_is_a_header_and_its_refcounts() {
    let raw = crate::world::fs::open(std::path::Path::new("/dev/null")).unwrap();
    let mut image = Cursor::new(Vec::new());
    let stats = write_qcow2(&raw, &mut image, Options::default(), &mut |_, _| {}).unwrap();
    assert_eq!(stats, Stats { file_size: 3 << 16, ..Stats::default() });
    assert_eq!(image.into_inner().len(), 3 << 16);
}
