//! A binary package: every member, every entry, every byte, up to a bound that no honest small file reaches.
#![no_main]

use std::io::Read;

use kiln::debian::deb;

/// A compressed stream of a few bytes may hold gigabytes, which are refused later than a fuzzer has patience.
const ENOUGH: u64 = 8 << 20;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok((control, mut data)) = deb::open(bytes) else { return };
    assert!(!control.package().is_empty());
    let mut left = ENOUGH;
    while let Ok(Some(entry)) = data.next() {
        let safe = !entry.path.starts_with('/') && entry.path.split('/').all(|part| part != "..");
        assert!(safe, "{:?}", entry.path);
        match std::io::copy(&mut (&mut data).take(left), &mut std::io::sink()) {
            Ok(count) if count < left => left -= count,
            _ => return,
        }
    }
});
