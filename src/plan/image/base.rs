//! The configured packages of an image, in two steps.
//!
//! Input: a checked image and the lock. Output: the step `base`, under a host name that stands for any, which images of
//! different names share; and the step `named`, which does it again under the image's own name where something in that base
//! depends on the name. Whether it does is known when the base is there, so both steps are in every plan.

use std::collections::BTreeMap;

use crate::base::Digest;
use crate::lock::LockedPackage;
use crate::plan::builder::{BaseKey, Builder, deb_name};
use crate::plan::kind::StepKind;
use crate::plan::root::{
    BASE, BASE_WARNINGS, BaseSpec, NAMED, NAMED_WARNINGS, PLACEHOLDER, PathFilters, RULES, RootAnswer, RootPackage,
    TRACES, WARNINGS,
};
use crate::plan::step::{Builtin, Input, Step, Work};
use crate::recipe::image::{AnswerType, DebconfAnswer, Image};

/// What the root of an image is made of.
pub(super) fn inputs(builder: &mut Builder<'_>, image: &Image) -> [(String, Input); 4] {
    let base = base(builder, image);
    let named = named(builder, image, base);
    [
        (BASE.to_owned(), output(base, BASE)),
        (BASE_WARNINGS.to_owned(), output(base, WARNINGS)),
        (NAMED.to_owned(), output(named, NAMED)),
        (NAMED_WARNINGS.to_owned(), output(named, WARNINGS)),
    ]
}

fn output(step: usize, name: &str) -> Input {
    Input::Output { step, name: name.to_owned() }
}

/// One for each set of equal contents and settings, called after the first image that is made of it.
fn base(builder: &mut Builder<'_>, image: &Image) -> usize {
    let (key, inputs) = configuring(builder, image, PLACEHOLDER);
    let kind = StepKind::Base(image.name.clone());
    let work = Work::Builtin(Builtin::Base(image.architecture.value));
    let outputs = vec![BASE.to_owned(), TRACES.to_owned(), WARNINGS.to_owned()];
    shared(builder, key, Step { kind, work, inputs, outputs })
}

fn named(builder: &mut Builder<'_>, image: &Image, base: usize) -> usize {
    let (key, mut inputs) = configuring(builder, image, &image.hostname);
    inputs.insert(TRACES.to_owned(), output(base, TRACES));
    let kind = StepKind::Named(image.name.clone());
    let work = Work::Builtin(Builtin::Named(image.architecture.value));
    shared(builder, key, Step { kind, work, inputs, outputs: vec![NAMED.to_owned(), WARNINGS.to_owned()] })
}

fn shared(builder: &mut Builder<'_>, key: BaseKey, step: Step) -> usize {
    if let Some(&known) = builder.bases.get(&key) {
        return known;
    }
    let step = builder.add_step(step);
    builder.bases.insert(key, step);
    step
}

/// The inputs of a step that configures an image's packages on a machine of this name.
fn configuring(builder: &mut Builder<'_>, image: &Image, hostname: &str) -> (BaseKey, BTreeMap<String, Input>) {
    let packages = builder.set(&image.packages.name);
    let package = |(at, package): (usize, &LockedPackage)| RootPackage {
        name: package.name.clone(),
        version: package.version.clone(),
        architecture: package.architecture.clone(),
        input: deb_name(at, package),
    };
    let answer = |answer: &DebconfAnswer| RootAnswer {
        package: answer.package.clone(),
        question: answer.question.clone(),
        kind: answer.kind,
        value: answer.value.clone(),
    };
    let spec = BaseSpec {
        architecture: image.architecture.value,
        rules: RULES,
        packages: packages.iter().enumerate().map(package).collect(),
        paths: PathFilters { exclude: image.paths.exclude.clone(), include: image.paths.include.clone() },
        epoch: builder.lock.epoch,
        hostname: hostname.to_owned(),
        locale: image.locale.clone(),
        timezone: image.timezone.clone(),
        answers: image.debconf.iter().map(answer).collect(),
    };
    let json = serde_json::to_vec(&spec).expect("a specification has only strings and numbers");
    if image.debconf.iter().any(|answer| answer.kind == AnswerType::Password) {
        builder.plan.private.insert(Digest::of(&json));
    }
    let contents = packages.iter().map(|package| package.file.sha256).collect();
    let mut inputs = builder.set_inputs(&image.packages.name);
    inputs.insert("base.json".to_owned(), Input::Inline(json.clone()));
    (BaseKey { spec: json, contents }, inputs)
}
