//! One binary for every integration test: it links once.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests stop at the first surprise"
)]

mod suite {
    mod kconfig;
    mod qcow2;
    mod deb;
    mod root;
    mod guest;
    mod fetch;
    mod sandbox;
    mod apt;
    mod schedule;
    mod store;
    mod archive_support;
    mod lock;
    mod tidy;
    mod tools;

    /// Whether slow tests, and those that need a network or a range of user ids, were asked for.
    fn live(what: &str) -> bool {
        let asked = std::env::var_os("KILN_LIVE").is_some_and(|value| value == "1");
        if !asked {
            println!("skipped without KILN_LIVE=1: {what}");
        }
        asked
    }
    mod argv;
    mod draw;
    mod launch;
    mod machine;
    mod machine_live;
    mod machine_support;
    mod format;
    mod language;
}
