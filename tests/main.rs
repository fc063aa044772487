//! One binary for every integration test: it links once.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests stop at the first surprise"
)]

mod suite {
    mod format;
    mod language;
    mod language_docs;
    mod language_limits;
}
