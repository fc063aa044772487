//! What a build would do is asked of the results that the build would take.

use std::sync::Mutex;

use kiln::base::Digest;
use kiln::exec;
use kiln::exec::cache::{StepCache, TakenResult, WantedResult};
use kiln::store::{StoreError, Visibility};

use super::super::schedule::{Bench, inline};

/// Has nothing, and remembers what it was asked for.
#[derive(Default)]
struct Asked(Mutex<Vec<Visibility>>);

impl StepCache for Asked {
    fn result(&self, _: &WantedResult<'_>) -> Option<TakenResult> {
        panic!("a plan takes nothing")
    }

    fn remembered(&self, wanted: &WantedResult<'_>) -> Option<TakenResult> {
        self.0.lock().unwrap().push(wanted.visibility);
        None
    }

    fn fetch(&self, _: &WantedResult<'_>, _: &TakenResult) -> Result<bool, StoreError> {
        panic!("a plan fetches nothing")
    }
}

#[test]
fn a_plan_knows_whose_results_a_build_takes() {
    let Some(mut bench) = Bench::new("below-status") else { return };
    let open = bench.step("open", "true", &[("x", inline("open"))]);
    let secret = bench.step("secret", "true", &[("x", inline("secret"))]);
    let apart = bench.step("apart", "true", &[("x", inline("secret"))]);
    [open, secret, apart].into_iter().for_each(|step| bench.deliver(step));
    bench.plan.private = [Digest::of(b"secret")].into();
    // QEMU that is made of private files is shared with nobody.
    bench.plan.qemu = [("m".to_owned(), apart)].into();
    let asked = Asked::default();
    exec::status(&bench.plan, &bench.store, Some(&asked)).unwrap();
    assert_eq!(*asked.0.lock().unwrap(), [Visibility::Everybody, Visibility::Owner]);
}
