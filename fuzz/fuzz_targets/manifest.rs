//! A manifest: what can be read is written as the same facts.
#![no_main]

use kiln::deliver::manifest::Manifest;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(read) = Manifest::read(bytes) {
        let written = Manifest::read(read.write().as_bytes()).expect("what kiln wrote");
        assert_eq!(written.write(), read.write());
    }
});
