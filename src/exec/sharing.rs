//! Which steps' results may leave the machine that built them, or be somebody else's.
//!
//! Input: a plan. Output: one answer for each step. What a step reads decides, through all steps before it: a kernel that is
//! compiled from a directory of whoever builds is in the modules, the archive and the disk that it ends up in.

use super::cache::ResultPlaces;
use crate::base::Digest;
use crate::plan::{Input, Plan, Step};
use crate::store::Visibility;

/// Whether a result may be shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sharing {
    /// With everybody.
    Public,
    /// Only where that is asked for: it is made of files that not everybody may read.
    Private,
    /// With those who read the store, and not with caches: it is unpacked from what everybody has.
    Below,
    /// With nobody: it is made of what no lock pins, or of no use to others.
    Never,
}

impl Sharing {
    /// Who may read a result of somebody else here; none is taken of what is shared with nobody.
    pub(super) fn visibility(self) -> Option<Visibility> {
        match self {
            Sharing::Public | Sharing::Below => Some(Visibility::Everybody),
            Sharing::Private => Some(Visibility::Owner),
            Sharing::Never => None,
        }
    }

    /// Who is asked for one.
    pub(super) fn places(self) -> ResultPlaces {
        if self == Sharing::Below { ResultPlaces::Below } else { ResultPlaces::All }
    }
}

/// For each step of a plan, in order.
pub fn of(plan: &Plan) -> Vec<Sharing> {
    let mut all: Vec<Sharing> = Vec::with_capacity(plan.steps.len());
    for step in &plan.steps {
        let read = step.dependencies().into_iter().map(|read| all[read]);
        all.push(read.chain([inputs(plan, step)]).max().unwrap_or(Sharing::Public));
    }
    // These alter nothing about the steps that read them: what is transient is kept nowhere, and a tree that QEMU is started
    // from is unpacked here, from packages and from what a build left, where no store below has it.
    plan.transient.iter().for_each(|at| all[*at] = Sharing::Never);
    for at in plan.qemu.values() {
        all[*at] = if all[*at] == Sharing::Public { Sharing::Below } else { Sharing::Never };
    }
    all
}

fn inputs(plan: &Plan, step: &Step) -> Sharing {
    let one = |input: &Input| match input {
        Input::Local(_) => Sharing::Never,
        Input::Inline(bytes) if plan.private.contains(&Digest::of(bytes)) => Sharing::Private,
        Input::Fetched(digest) if plan.private.contains(digest) => Sharing::Private,
        Input::Inline(_) | Input::Fetched(_) | Input::Output { .. } => Sharing::Public,
    };
    step.inputs.values().map(one).max().unwrap_or(Sharing::Public)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Builtin, StepKind, Work};

    fn step(name: &str, inputs: &[Input]) -> Step {
        let inputs = inputs.iter().enumerate().map(|(at, input)| (at.to_string(), input.clone())).collect();
        let (kind, work) = (StepKind::KernelBuild(name.to_owned()), Work::Builtin(Builtin::Pack));
        Step { kind, work, inputs, outputs: vec!["out".to_owned()] }
    }

    #[test]
    fn what_a_step_reads_decides_through_all_steps_before_it() {
        let of = |step| Input::Output { step, name: "out".to_owned() };
        let (open, secret, local) =
            (Input::Inline(b"x".to_vec()), Input::Inline(b"secret".to_vec()), Input::Local("k".to_owned()));
        let steps = vec![
            step("open", std::slice::from_ref(&open)),
            step("secret", &[secret]),
            step("local", &[local]),
            step("after secret", &[of(0), of(1)]),
            step("after both", &[of(2), of(3)]),
            step("qemu", &[of(0)]),
            step("after qemu", &[of(5), open]),
        ];
        let private = [Digest::of(b"secret")].into();
        let plan = Plan { steps, private, qemu: [("m".to_owned(), 5)].into(), ..Plan::default() };
        use Sharing::{Below, Never, Private, Public};
        assert_eq!(super::of(&plan), [Public, Private, Never, Private, Never, Below, Public]);
    }
}
