//! kiln, tested from outside: one binary, a module for each topic.

mod suite {
    mod apt;
}
