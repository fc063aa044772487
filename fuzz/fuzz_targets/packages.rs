//! A `Packages` index, and what is asked of it: an index that was made can be kept and taken again, and every relation in
//! it is parsed.
#![no_main]

use kiln::debian::packages::{Index, IndexBuilder};
use kiln::debian::{relation, version};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut builder = IndexBuilder::default();
    if builder.read(bytes, "amd64").is_err() {
        return;
    }
    let index = builder.finish();
    let again = Index::from_bytes(index.bytes().to_vec()).expect("an index that was made is sound");
    for stanza in again.iter() {
        assert!(again.find(stanza.name()).is_some());
        version::compare(stanza.version(), "1:2.3-4~5");
        for field in ["Depends", "Pre-Depends", "Conflicts", "Breaks", "Provides", "Replaces"] {
            let _ = relation::parse(stanza.relation(field));
        }
        let _ = (stanza.path(), stanza.size(), stanza.sha256(), stanza.priority());
    }
    for name in index.names() {
        let name = again.find(name).expect("a name that is listed is found");
        let _ = (again.packages(name).count(), again.providers(name).count());
    }
});
