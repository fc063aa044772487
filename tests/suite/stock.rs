//! Debian's own kernels under Debian's own QEMUs: what the table calls measured is measured again. And containers on CXL.

use super::live::{Scratch, has_its_turn, kiln, live, succeed};

/// A recipe, and the title of one of its tests.
const STOCK: [&str; 6] = [
    "Linux 6.1 has persistent memory",
    "Linux 6.12 has volatile memory",
    "the newest Linux has volatile memory",
    "Linux 6.1 has persistent memory under QEMU 10.0",
    "Linux 6.12 has volatile memory under QEMU 10.0",
    "the newest Linux has volatile memory under QEMU 10.0",
];

#[test]
fn each_stock_kernel_boots_with_an_expander() {
    if !live("booting Debian's kernels 6.1, 6.12 and 7.x with a CXL expander") {
        return;
    }
    let scratch = Scratch::new("stock");
    let (store, lock) = (scratch.path("store"), scratch.path("stock.lock"));
    let recipe = "recipes/cxl-stock-kernels.kiln";
    succeed(kiln(&store).args(["lock", recipe, "--lock"]).arg(&lock));
    let recipe_text = std::fs::read_to_string(recipe).unwrap();
    let titles: Vec<&str> =
        recipe_text.lines().filter_map(|line| line.strip_prefix("test \"")?.split('"').next()).collect();
    assert_eq!(titles, STOCK, "every test of the recipe has its turn here");
    for title in STOCK.into_iter().filter(|title| has_its_turn(title, &STOCK)) {
        // A title is contained in that of the same kernel under QEMU 10.0, which is slow and left out without `--slow`.
        let slow = if title.ends_with("QEMU 10.0") { &["--slow"][..] } else { &[] };
        let mut test = kiln(&store);
        test.args(["test", recipe, "--only", title]).args(slow).arg("--lock").arg(&lock);
        let output = succeed(test.arg("--logs").arg(scratch.path("logs")));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("1 passed, 0 failed"), "{title}: {said}");
    }
}

#[test]
fn containers_run_on_cxl_memory() {
    let name = "cxl-kubernetes";
    if !live("containers on the kernel of cxl-expander, which compiles for half an hour of processor time") {
        return;
    }
    let asked = std::env::var("KILN_ONLY").is_ok_and(|only| only == name) || std::env::var_os("KILN_ALL").is_some();
    if !asked {
        eprintln!("skipped without KILN_ALL=1 or KILN_ONLY={name}");
        return;
    }
    let scratch = Scratch::new(name);
    // Who has compiled that kernel before need not do it again: KILN_STORE may name a store that has it.
    let store = std::env::var_os("KILN_STORE").map_or_else(|| scratch.path("store"), Into::into);
    let mut test = kiln(&store);
    succeed(test.args(["test", "--slow", "recipes/cxl-kubernetes.kiln", "--logs"]).arg(scratch.path("logs")));
}
