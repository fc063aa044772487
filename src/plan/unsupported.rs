//! What kiln plans and cannot carry out: steps that run programs of another architecture than [`Arch::BUILD`].
//!
//! Input: a recipe and its plan, or a part of one. Output: mistakes at the words of the recipe that ask for such steps.
//! A lock and a plan are made all the same, and an argv; what runs such programs comes later.

use super::kind::StepKind;
use super::step::Plan;
use crate::base::{Arch, Diagnostic};
use crate::recipe::Recipe;
use crate::recipe::image::Image;

/// Images of the recipe that the plan would make and nobody here can.
pub fn images(recipe: &Recipe, plan: &Plan) -> Vec<Diagnostic> {
    let foreign = plan.steps.iter().filter(|step| step.work.arch() != Arch::BUILD);
    let images = foreign.filter_map(|step| match &step.kind {
        StepKind::Root(image) => recipe.images.get(image),
        _ => None,
    });
    images.map(report).collect()
}

fn report(image: &Image) -> Diagnostic {
    let (name, arch, build) = (&image.name, image.architecture.value, Arch::BUILD);
    let message = format!("image `{name}` cannot be built: the scripts of its packages run programs for {arch}");
    let mistake =
        Diagnostic::new(image.architecture.span, message).label(format!("steps run programs for {build} only"));
    mistake.hint(
        "an emulator for the programs of other architectures is missing; \
         `kiln lock`, `kiln plan` and `kiln run --print` work without it",
    )
}
