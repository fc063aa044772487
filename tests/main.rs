//! One binary for every integration test: it links once.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests stop at the first surprise"
)]

mod suite {
    mod crash;
    mod fetch;
    mod format;
    mod initrd;
    mod qcow2;
    mod root;
    mod sandbox;
    mod schedule;
    mod store;
    mod tidy;

    /// Whether slow tests, and those that need a network or a range of user ids, were asked for.
    fn live(what: &str) -> bool {
        let asked = std::env::var_os("KILN_LIVE").is_some_and(|value| value == "1");
        if !asked {
            println!("skipped without KILN_LIVE=1: {what}");
        }
        asked
    }
}
