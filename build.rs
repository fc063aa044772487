//! Links `src/exec/variation.c` into a library that kiln carries along for second builds.
//!
//! Cargo and the C compiler that Rust links with are all it needs.

#![allow(clippy::disallowed_methods, reason = "Cargo tells build scripts through the environment")]

use std::path::Path;

const SOURCE: &str = "src/exec/variation.c";
/// No library, no start files, nothing that the compiler would add: the program that it is loaded into has its own.
const FLAGS: [&str; 9] = [
    "-O1",
    "-std=c11",
    "-fPIC",
    "-shared",
    "-nostdlib",
    "-ffreestanding",
    "-fno-builtin",
    "-fno-stack-protector",
    "-s",
];

fn main() {
    println!("cargo::rerun-if-changed={SOURCE}");
    let directory = std::env::var_os("OUT_DIR").expect("Cargo names a directory");
    let compiler = cc::Build::new().get_compiler();
    let mut command = compiler.to_command();
    let status = command.args(FLAGS).arg("-o").arg(Path::new(&directory).join("variation.so")).arg(SOURCE).status();
    assert!(status.is_ok_and(|status| status.success()), "{command:?} failed");
}
