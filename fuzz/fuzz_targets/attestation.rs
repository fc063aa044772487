//! An attestation: an envelope that can be read is written as the same one, and what it claims is a build's.
#![no_main]

use kiln::deliver::attestation::BuildClaim;
use kiln::format::dsse::Envelope;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(read) = Envelope::read(bytes) {
        assert_eq!(Envelope::read(read.write().as_bytes()).as_ref(), Ok(&read));
        if let Ok(claim) = BuildClaim::read(&read.payload) {
            assert!(claim.artifacts.len() <= 4096);
        }
    }
    // Inputs seldom have base64 in them.
    let _ = BuildClaim::read(bytes);
});
