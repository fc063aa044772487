//! From the text of a recipe to a checked machine with sixteen expanders and its argv: the aim is 10 ms.
//!
//! `cargo bench --bench machine`; nothing else is needed. What is measured: reading and checking the recipe and its
//! imports, every rule, the tables, the argv. Median and best of a hundred runs.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::print_stdout, reason = "a bench measures and prints")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kiln::machine::argv::{LaunchOptions, argv};
use kiln::machine::capability::{self, Emulator, KernelFacts};
use kiln::machine::{network, rules};
use kiln::recipe;
use kiln::world::RealWorld;

const RECIPE: &str = r#"
import "lib/cxl-lab.kiln"

machine sixteen {
  kernel = stock
  image  = cxl-lab
  qemu   = qemu-11
  cpu    = lab-cpu
  bounce = true
  cxl {
    for i in 0..16 {
      bridge "host${i}" { port p0 { expander "mem${i}" { volatile = 256MiB } } }
    }
    window w0 {
      targets = [
        host0, host1, host2, host3, host4, host5, host6, host7, host8, host9, host10, host11, host12, host13, host14,
        host15,
      ]
      size = 4GiB
    }
  }
}
"#;

fn main() {
    let recipe = prepare();
    let emulator = Emulator::of("11.1.3").unwrap();
    let mut times: Vec<[Duration; 2]> = (0..100).map(|_| once(&recipe, &emulator)).collect();
    for (at, what) in ["text to checked recipe", "rules, tables and argv"].into_iter().enumerate() {
        times.sort_by_key(|time| time[at]);
        let (best, median) = (times[0][at], times[times.len() / 2][at]);
        println!("{what}: median {median:?}, best {best:?}");
    }
    times.sort_by_key(|time| time[0] + time[1]);
    let both = times[times.len() / 2];
    println!("figure machine.kiln {:.2} ms <=10", (both[0] + both[1]).as_secs_f64() * 1000.0);
}

/// The recipe beside the library that it imports.
fn prepare() -> PathBuf {
    let root = std::env::temp_dir().join("kiln-bench-machine");
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes/lib"), &root.join("lib"));
    let recipe = root.join("sixteen.kiln");
    std::fs::write(&recipe, RECIPE).unwrap();
    recipe
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

fn once(path: &Path, emulator: &Emulator) -> [Duration; 2] {
    let begun = Instant::now();
    let recipe = recipe::check(&RealWorld::default(), path, &[]).unwrap_or_else(|_| panic!("the recipe has mistakes"));
    let read = begun.elapsed();
    let machine = &recipe.machines["sixteen"];
    let kernel = KernelFacts::of(&recipe.kernels[&machine.kernel]);
    assert!(rules::check_all(&recipe).errors.is_empty());
    assert!(capability::check(machine, emulator, &kernel).errors.is_empty());
    let networks = network::networks(&recipe.machines);
    let line = argv(machine, emulator, &LaunchOptions::plain(true, &networks));
    assert!(line.template().len() > 100);
    [read, begun.elapsed() - read]
}
