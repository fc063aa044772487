//! An `InRelease`: the signature around it, and the text inside, whoever signed it.
#![no_main]

use std::sync::LazyLock;

use kiln::base::Timestamp;
use kiln::debian::keyring::Keyring;
use kiln::debian::release::Release;

const KEY: &[u8] = include_bytes!("../../recipes/lib/keys/debian-archive-trixie-stable.asc");

static KEYS: LazyLock<Keyring> = LazyLock::new(|| {
    let mut keys = Keyring::default();
    keys.add("key", KEY).expect("Debian's key is one");
    keys
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = Release::parse(text);
    }
    let _ = KEYS.verify(bytes, Timestamp(1_800_000_000));
    let _ = Keyring::default().add("other", bytes);
});
