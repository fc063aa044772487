//! Two builds of a small real recipe at a time, killed at random moments; afterwards every blob equals its name and a
//! build succeeds. Runs when `KILN_KILLS` says how many rounds: 10 to look, 100 to prove it.

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::live::{Scratch, kiln, live, succeed};

const RECIPE: &str = r#"
import "lib/debian-13.kiln"
kernel stock { package = package "linux-image-cloud-amd64" }
image small { size = 1GiB tools = image-tools packages = [] }
machine m { kernel = stock image = small qemu = qemu-11 cpus = 1 memory = 512MiB }
"#;

/// xorshift, from a seed that is printed: a failure can be had again, as far as machines are alike.
struct Moments(u64);

impl Moments {
    fn next(&mut self, below: Duration) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        Duration::from_millis(self.0 % below.as_millis() as u64)
    }
}

#[test]
fn builds_that_are_killed_at_random_leave_a_sound_store() {
    if !live("random kills of two builds at a time on one store") {
        return;
    }
    let Ok(rounds) = std::env::var("KILN_KILLS") else {
        return println!("skipped: KILN_KILLS says how many rounds");
    };
    let rounds: u32 = rounds.parse().expect("KILN_KILLS is a number");
    let scratch = Scratch::new("kills");
    let (recipe, store) = (scratch.path("small.kiln"), scratch.path("store"));
    std::fs::write(&recipe, RECIPE).unwrap();
    // A copy: a recipe may not leave its root, not even through a link.
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes/lib");
    succeed(std::process::Command::new("cp").arg("-r").arg(library).arg(scratch.path("lib")));
    succeed(kiln(&store).args(["lock"]).arg(&recipe));
    succeed(kiln(&store).args(["verify", "--inputs"]).arg(&recipe));
    let start = |out: &str| -> Child {
        let mut command = kiln(&store);
        command.arg("build").arg(&recipe).args(["--offline", "--no-cache", "--out"]).arg(scratch.path(out));
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let began = Instant::now();
    assert!(start("first").wait().unwrap().success());
    let whole = began.elapsed();
    let first = std::fs::read_to_string(scratch.path("first/manifest.json")).unwrap();
    let seed = u64::from(std::process::id()) << 20 | 1;
    println!("seed {seed}, {rounds} rounds, one build takes {whole:?}");
    let mut moments = Moments(seed);
    for round in 0..rounds {
        let mut pair = [start("one"), start("two")];
        for victim in &mut pair {
            std::thread::sleep(moments.next(whole * 3 / 4));
            // One that has finished is past killing.
            let _ = victim.kill();
            victim.wait().unwrap();
        }
        if round % 10 == 9 {
            sound(&store);
        }
    }
    sound(&store);
    assert!(start("last").wait().unwrap().success());
    assert_eq!(first, std::fs::read_to_string(scratch.path("last/manifest.json")).unwrap());
}

fn sound(store: &Path) {
    let (all, wrong) = kiln::store::Store::open(store).unwrap().recheck().unwrap();
    println!("{all} blobs and trees read");
    assert_eq!(wrong, 0, "a blob or tree does not equal its name");
    assert!(all > 0, "an empty store proves nothing");
}
