//! A lock: what can be read is written as the same facts.
#![no_main]

use kiln::lock;

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(read) = lock::read(text) {
        let written = lock::write(&read);
        assert_eq!(lock::read(&written).expect("what kiln wrote"), read);
    }
});
