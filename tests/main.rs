//! One binary for every integration test: it links once.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests stop at the first surprise"
)]

mod suite {
    mod argv;
    mod draw;
    mod launch;
    mod machine;
    mod machine_live;
    mod machine_support;
}
