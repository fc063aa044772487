//! Writes one raw disk as qcow2, for `benches/qcow2.sh` to time beside `qemu-img convert`.

use std::path::Path;

use kiln::format::qcow2::{Qcow2Options, write_qcow2};
use kiln::world::fs;

fn main() {
    // `cargo bench` adds `--bench` to the arguments.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [raw, image] = arguments.as_slice() else {
        eprintln!("usage: cargo bench --bench qcow2 -- RAW IMAGE (see benches/qcow2.sh)");
        return;
    };
    let input = fs::open(Path::new(raw)).expect("the raw disk can be opened");
    let output = fs::create(Path::new(image)).expect("the image can be created");
    let stats = write_qcow2(&input, output, Qcow2Options::default(), &mut |_, _| {}).expect("the image can be written");
    eprintln!("{stats:?}");
}
