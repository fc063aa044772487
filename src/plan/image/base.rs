//! The configured packages of an image, in two steps.
//!
//! Input: a checked image and the lock. Output: the step `base`, in layers where packages were added to the lock later, under
//! a host name that stands for any, which images of different names share; and the step `named`, which does it again under the image's own name where something in that base
//! depends on the name. Whether it does is known when the base is there, so both steps are in every plan.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::base::{Digest, Timestamp};
use crate::lock::LockedPackage;
use crate::plan::builder::{BaseKey, Builder, deb_name};
use crate::plan::kind::StepKind;
use crate::plan::root::{
    BASE, BASE_WARNINGS, BELOW, BaseSpec, NAMED, NAMED_WARNINGS, PLACEHOLDER, PathFilters, RULES, RootAnswer,
    RootPackage, TRACES, WARNINGS,
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

/// One for each set of equal contents and settings, called after the first image that is made of it: what its last layer
/// adds to a step for each layer below.
fn base(builder: &mut Builder<'_>, image: &Image) -> usize {
    let layers = layers(builder, image);
    let work = Work::Builtin(Builtin::Base(image.architecture.value));
    let outputs = vec![BASE.to_owned(), TRACES.to_owned(), WARNINGS.to_owned()];
    let mut below = None;
    for (at, Layer { packages, epoch }) in layers.iter().enumerate() {
        let kind = match at + 1 == layers.len() {
            true => StepKind::Base(image.name.clone()),
            false => StepKind::Layer { image: image.name.clone(), layer: at + 1 },
        };
        let own = if at == 0 { Vec::new() } else { vec![packages.len()] };
        let (packages, epoch) = (packages.clone(), *epoch);
        let configured = Configured { all: 0..packages.end, own: packages, layers: own, epoch, hostname: PLACEHOLDER };
        let (mut key, mut inputs) = configuring(builder, image, configured);
        key.below = below;
        inputs.extend(below.map(|below| (BELOW.to_owned(), output(below, BASE))));
        let step = Step { kind, work: work.clone(), inputs, outputs: outputs.clone() };
        below = Some(shared(builder, key, step));
    }
    below.expect("a set has a layer, even if that is empty")
}

fn named(builder: &mut Builder<'_>, image: &Image, base: usize) -> usize {
    let layers = layers(builder, image);
    let all = 0..builder.set(&image.packages.name).len();
    let counts = if layers.len() == 1 { Vec::new() } else { layers.iter().map(|layer| layer.packages.len()).collect() };
    let (epoch, hostname) = (builder.lock.epoch, image.hostname.as_str());
    let configured = Configured { all: all.clone(), own: all, layers: counts, epoch, hostname };
    let (key, mut inputs) = configuring(builder, image, configured);
    inputs.insert(TRACES.to_owned(), output(base, TRACES));
    let kind = StepKind::Named(image.name.clone());
    let work = Work::Builtin(Builtin::Named(image.architecture.value));
    shared(builder, key, Step { kind, work, inputs, outputs: vec![NAMED.to_owned(), WARNINGS.to_owned()] })
}

/// Which packages of an image are configured together: one layer, and those that the lock added later. Patterns of files that
/// are left out are about all packages, so whether one matches nothing is seen where all are configured at once; and packages
/// that bring the image's locale or time zone must be there when the first scripts run.
fn layers(builder: &Builder<'_>, image: &Image) -> Vec<Layer> {
    let packages = builder.set(&image.packages.name);
    let first = builder.lock.layers.get(&image.packages.name).and_then(|layers| layers.first());
    let mut later = packages.iter().skip(first.map_or(packages.len(), |first| first.packages));
    let brings = crate::lock::first_layer(image);
    if !image.paths.exclude.is_empty() || later.any(|package| brings.contains(&package.name.as_str())) {
        return vec![Layer { packages: 0..packages.len(), epoch: builder.lock.epoch }];
    }
    let mut layers = Vec::new();
    let mut from = 0;
    for layer in builder.lock.layers.get(&image.packages.name).into_iter().flatten() {
        layers.push(Layer { packages: from..from + layer.packages, epoch: layer.epoch });
        from += layer.packages;
    }
    layers.push(Layer { packages: from..packages.len(), epoch: builder.lock.epoch });
    layers
}

/// Packages that are configured together.
struct Layer {
    packages: Range<usize>,
    /// No file is younger.
    epoch: Timestamp,
}

fn shared(builder: &mut Builder<'_>, key: BaseKey, step: Step) -> usize {
    if let Some(&known) = builder.bases.get(&key) {
        return known;
    }
    let step = builder.add_step(step);
    builder.bases.insert(key, step);
    step
}

/// What one step configures of an image's packages.
struct Configured<'a> {
    /// Those that are there in the end.
    all: Range<usize>,
    /// Those of them that this step configures.
    own: Range<usize>,
    /// [`BaseSpec::layers`]
    layers: Vec<usize>,
    /// No file is younger.
    epoch: Timestamp,
    /// On a machine of this name.
    hostname: &'a str,
}

/// The inputs of a step that configures an image's packages.
fn configuring(
    builder: &mut Builder<'_>,
    image: &Image,
    configured: Configured<'_>,
) -> (BaseKey, BTreeMap<String, Input>) {
    let Configured { all, own, layers, epoch, hostname } = configured;
    let packages = builder.set(&image.packages.name);
    let files: Vec<String> =
        packages[all.clone()].iter().enumerate().map(|(at, package)| deb_name(at, package)).collect();
    let package = |(package, file): (&LockedPackage, &String)| RootPackage {
        name: package.name.clone(),
        version: package.version.clone(),
        architecture: package.architecture.clone(),
        input: file.clone(),
    };
    // An answer for a package that is not there is refused by the last step.
    let last = all.end == packages.len();
    let is_own = |answer: &&DebconfAnswer| match packages.iter().position(|package| package.name == answer.package) {
        Some(at) => own.contains(&at),
        None => last,
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
        packages: packages[all.clone()].iter().zip(&files).map(package).collect(),
        layers,
        paths: PathFilters { exclude: image.paths.exclude.clone(), include: image.paths.include.clone() },
        epoch,
        hostname: hostname.to_owned(),
        locale: image.locale.clone(),
        timezone: image.timezone.clone(),
        answers: image.debconf.iter().filter(is_own).map(answer).collect(),
    };
    let json = serde_json::to_vec(&spec).expect("a specification has only strings and numbers");
    if image.debconf.iter().filter(is_own).any(|answer| answer.kind == AnswerType::Password) {
        builder.plan.private.insert(Digest::of(&json));
    }
    let contents = packages[all].iter().map(|package| package.file.sha256).collect();
    let mut inputs: BTreeMap<String, Input> = own.map(|at| (files[at].clone(), builder.fetch(&packages[at]))).collect();
    inputs.insert("base.json".to_owned(), Input::Inline(json.clone()));
    (BaseKey { spec: json, contents, below: None }, inputs)
}
