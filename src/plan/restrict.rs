//! A part of a plan: some steps, what they need, nothing else.

use std::collections::{BTreeMap, BTreeSet};

use super::kind::StepKind;
use super::step::{Input, Plan, Step, Work};
use crate::base::Digest;

/// The plan that carries out only the steps that `wanted` accepts, and what they need. No artifacts.
pub fn restrict(plan: &Plan, wanted: &dyn Fn(&StepKind) -> bool) -> Plan {
    let mut needed = BTreeSet::new();
    for (at, step) in plan.steps.iter().enumerate().rev() {
        if wanted(&step.kind) || needed.contains(&at) {
            needed.insert(at);
            needed.extend(step.dependencies());
        }
    }
    let moved: BTreeMap<usize, usize> = needed.iter().enumerate().map(|(new, old)| (*old, new)).collect();
    let steps: Vec<Step> = needed.iter().map(|at| renumbered(&plan.steps[*at], &moved)).collect();
    let digests: BTreeSet<Digest> = steps.iter().flat_map(fetched).collect();
    let fetches = plan.fetches.iter().filter(|(digest, _)| digests.contains(*digest));
    let fetches = fetches.map(|(digest, fetch)| (*digest, fetch.clone())).collect();
    let incremental =
        plan.incremental.iter().filter_map(|(at, incremental)| Some((*moved.get(at)?, incremental.clone()))).collect();
    // What is asked for by name is there in the end, even if the whole plan would not keep it.
    let kept = |step: &Step| wanted(&step.kind);
    let transient = plan.transient.iter().filter(|at| !kept(&plan.steps[**at]));
    let transient = transient.filter_map(|at| moved.get(at).copied()).collect();
    let local: BTreeSet<&String> = steps.iter().flat_map(local).collect();
    let local = plan.local.iter().filter(|(name, _)| local.contains(name));
    let local = local.map(|(name, source)| (name.clone(), source.clone())).collect();
    Plan { fetches, steps, local, incremental, private: plan.private.clone(), transient, ..Plan::default() }
}

fn fetched(step: &Step) -> impl Iterator<Item = Digest> {
    step.inputs.values().filter_map(|input| match input {
        Input::Fetched(digest) => Some(*digest),
        Input::Output { .. } | Input::Inline(_) | Input::Local(_) => None,
    })
}

fn local(step: &Step) -> impl Iterator<Item = &String> {
    step.inputs.values().filter_map(|input| if let Input::Local(name) = input { Some(name) } else { None })
}

fn renumbered(step: &Step, moved: &BTreeMap<usize, usize>) -> Step {
    let mut step = step.clone();
    for input in step.inputs.values_mut() {
        if let Input::Output { step, .. } = input {
            *step = moved[step];
        }
    }
    if let Work::Sandbox { tools, .. } = &mut step.work {
        *tools = moved[tools];
    }
    step
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::id;
    use crate::plan::step::Builtin;

    fn kind(name: &str) -> StepKind {
        StepKind::Tools(name.to_owned())
    }

    fn step(name: &str, needs: &[usize]) -> Step {
        let inputs = needs.iter().map(|&step| (format!("in-{step}"), Input::Output { step, name: "x".to_owned() }));
        Step { kind: kind(name), work: Work::Builtin(Builtin::Tools), inputs: inputs.collect(), outputs: Vec::new() }
    }

    #[test]
    fn what_nobody_needs_is_left_out_and_the_rest_refers_to_the_right_steps() {
        let steps = vec![step("a", &[]), step("b", &[]), step("c", &[0]), step("d", &[1, 2])];
        let plan = Plan { steps, ..Plan::default() };
        let part = restrict(&plan, &|found| *found == kind("c"));
        assert_eq!(part.steps.iter().map(|step| &step.kind).collect::<Vec<_>>(), [&kind("a"), &kind("c")]);
        assert_eq!(part.steps[1], step("c", &[0]));
        let whole = restrict(&plan, &|found| *found == kind("d"));
        assert_eq!(whole.steps, plan.steps);
        let ids = id::static_ids(&plan);
        assert_eq!(id::static_ids(&part), [ids[0], ids[2]]);
    }
}
