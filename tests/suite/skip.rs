//! How a test says that it does not run here. Under the gate that is a failure: a judge or a namespace that is missing
//! there would let everything pass.

/// Says why a test cannot run on this machine; fails with `KILN_REQUIRE=1`.
pub(crate) fn skip(reason: impl std::fmt::Display) {
    println!("skipped: {reason}");
    let required = std::env::var("KILN_REQUIRE").is_ok_and(|value| value == "1");
    assert!(!required, "KILN_REQUIRE=1, and this cannot run here: {reason}");
}
