//! The other recipes' own tests, in the guest. One has its turn each day; `kiln test recipes/*.kiln` runs them all.

use super::live::{Scratch, has_its_turn, is_asked_for, kiln, live, quick, succeed};

/// Recipes on Debian's own kernel, and one that compiles a small kernel within minutes. `cxl-quick` is tested every time,
/// `cxl-expander` compiles a large kernel first.
const RECIPES: [&str; 20] = [
    "all-blue",
    "cxl-developers",
    "cxl-dynamic",
    "cxl-errors",
    "cxl-interleave-2",
    "cxl-interleave-4",
    "cxl-own-ndctl",
    "cxl-persistent",
    "cxl-program",
    "cxl-run-qemu",
    "cxl-shared",
    "cxl-switch-4",
    "cxl-test-tool",
    "cxl-tiers",
    "cxl-two-windows",
    "kernel-module",
    "numa",
    "nvdimm",
    "seabios",
    "uefi",
];

/// Recipes that compile a QEMU, or a kernel and test it for long: run with `KILN_ALL=1` or `KILN_ONLY=NAME`.
const LONG: [&str; 2] = ["cxl-mock", "cxl-own-qemu"];

#[test]
fn recipes_pass_their_own_tests() {
    if !live("recipes: locked afresh, built, booted, tested") {
        return;
    }
    let scratch = Scratch::new("recipes");
    let store = &quick().store;
    let long = LONG.into_iter().filter(|stem| is_asked_for(stem));
    for stem in RECIPES.into_iter().filter(|stem| has_its_turn(stem, &RECIPES)).chain(long) {
        let recipe = format!("recipes/{stem}.kiln");
        let (lock, report) = (scratch.path(&format!("{stem}.lock")), scratch.path(&format!("{stem}.xml")));
        succeed(kiln(store).args(["lock", &recipe, "--lock"]).arg(&lock));
        let mut test = kiln(store);
        test.args(["test", &recipe, "--lock"]).arg(&lock).arg("--junit").arg(&report);
        let output = succeed(test.arg("--logs").arg(scratch.path(stem)));
        println!("{}", String::from_utf8_lossy(&output.stderr));
        let junit = std::fs::read_to_string(&report).unwrap();
        assert!(junit.contains("<testcase") && !junit.contains("<failure"), "{junit}");
    }
}
