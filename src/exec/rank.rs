//! Which steps are begun first where not all can run at once: those on the longest way to the end of the plan.
//!
//! Input: a plan. Output: for each step how long it and what waits for it takes, roughly. It decides no bit.

use crate::plan::{Plan, StepKind};

/// The rank of every step: its own weight, and that of the heaviest chain of steps that read it.
pub(super) fn ranks(plan: &Plan) -> Vec<u64> {
    let mut behind = vec![0; plan.steps.len()];
    let mut ranks = vec![0; plan.steps.len()];
    // A step reads only those before it.
    for (at, step) in plan.steps.iter().enumerate().rev() {
        ranks[at] = weight(&step.kind) + behind[at];
        for read in step.dependencies() {
            behind[read] = ranks[at].max(behind[read]);
        }
    }
    ranks
}

/// Seconds, as an image of some 150 packages and a kernel of the usual size take them: only their order counts.
fn weight(kind: &StepKind) -> u64 {
    match kind {
        StepKind::KernelBuild(_) => 1000,
        StepKind::Build(_) => 300,
        StepKind::Base(_) | StepKind::Layer { .. } | StepKind::Named(_) => 6,
        StepKind::KernelConfig(_) | StepKind::Tools(_) | StepKind::Disk(_) => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Builtin, Input, Step, Work};

    fn step(kind: StepKind, reads: &[usize]) -> Step {
        let inputs = reads.iter().map(|step| (step.to_string(), Input::Output { step: *step, name: "x".to_owned() }));
        Step { kind, work: Work::Builtin(Builtin::Tools), inputs: inputs.collect(), outputs: Vec::new() }
    }

    #[test]
    fn an_image_comes_before_the_qemu_that_is_only_asked_and_a_kernel_before_both() {
        let own = |text: &str| text.to_owned();
        let steps = vec![
            step(StepKind::Tools(own("qemu")), &[]),
            step(StepKind::Qemu(own("qemu")), &[0]),
            step(StepKind::Base(own("image")), &[]),
            step(StepKind::Tools(own("compiler")), &[]),
            step(StepKind::KernelBuild(own("kernel")), &[3]),
            step(StepKind::Root(own("image")), &[2, 4]),
        ];
        assert_eq!(ranks(&Plan { steps, ..Plan::default() }), [3, 1, 7, 1003, 1001, 1]);
    }
}
