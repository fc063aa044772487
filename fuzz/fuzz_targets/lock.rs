//! A lock: what can be read is written as the same facts.
#![no_main]

use kiln::lock;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = lock::read(text);
    // What is left of a text that does not read can be written, whatever it lacks.
    if let Ok((left, _)) = lock::salvage(text) {
        let _ = lock::write(&left);
    }
    // No checksum survives a mutation. Without it all that the reader accepts is looked at.
    if let Ok(read) = lock::read_changed(text) {
        let written = lock::write(&read);
        assert_eq!(lock::read(&written).expect("what kiln wrote"), read);
    }
});
