//! A launch file: what can be read describes a machine whose argv can be written, and is written as the same facts.
#![no_main]

use kiln::deliver::launch::LaunchFile;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(read) = LaunchFile::read(bytes) {
        let written = LaunchFile::read(read.json().as_bytes()).expect("what kiln wrote");
        assert_eq!(written.json(), read.json());
        let words = read.description.argv(|_| ()).template();
        assert!(words.iter().all(|word| !word.contains('\0')));
    }
});
