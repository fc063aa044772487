//! Runs machines and the tests inside them.
//!
//! Input: built artifacts and an argv. Output: a running QEMU on the terminal, or test results. It must not build.
