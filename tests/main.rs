//! One binary for every integration test: it links once.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests stop at the first surprise"
)]

mod suite {
    mod apt;
    mod archive_support;
    mod deb;
    mod fetch;
    mod guest;
    mod lock;
    mod qcow2;
    mod root;
    mod sandbox;
    mod schedule;
    mod store;
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
    mod crash;
    mod deb;
    mod draw;
    mod fetch;
    mod format;
    mod guest;
    mod initrd;
    mod kconfig;
    mod kernel;
    mod language;
    mod language_docs;
    mod language_limits;
    mod format;
    mod language;
    mod launch;
    mod live;
    mod lock;
    mod machine;
    mod machine_live;
    mod machine_support;
    mod qcow2;
    mod quick;
    mod root;
    mod sandbox;
    mod schedule;
    mod store;
    mod tidy;
    mod tools;

    use live::live;
}
