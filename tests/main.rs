//! One binary for every integration test: it links once.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests stop at the first surprise")]

mod suite {
    mod kconfig;
    mod sandbox;
    mod tidy;
}
