//! One binary for every integration test: it links once.

mod suite {
    mod tidy;
}
