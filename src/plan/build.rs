//! A step of the recipe's own: what a `build` block says, as a command in a sandbox.
//!
//! Input: a checked build and the lock. Output: a step, and those of the builds that it reads from.

use std::collections::BTreeMap;

use super::builder::Builder;
use super::kernel;
use super::kind::StepKind;
use super::step::{Builtin, Ids, Input, SourcePart, Step, Work};
use crate::recipe::Recipe;
use crate::recipe::build::{Build, BuildOutput, BuildSource};
use crate::recipe::kernel::Origin;
use crate::recipe::kinds::TextOrFile;
use crate::recipe::local::LocalReader;
use crate::recipe::packages::source::{DebianPart, DebianSource};

/// What a directory is packed into.
pub const PACKED: &str = "tree.tar";
/// Below the input root; no source of a recipe can be called so.
const OWN: &str = ".kiln";

/// The command that runs a build's script, once its names and variables are there.
pub const SCRIPT: [&str; 3] = ["/bin/sh", "-e", "/kiln/in/.kiln/script"];

/// An output of a build, whose step is made when it is not there yet.
pub(super) fn output(builder: &mut Builder<'_>, recipe: &Recipe, output: &BuildOutput) -> Input {
    Input::Output { step: step(builder, recipe, &output.build), name: output.name.clone() }
}

/// An output that is a directory, as an archive.
pub(super) fn tree(builder: &mut Builder<'_>, recipe: &Recipe, output: &BuildOutput) -> Input {
    let tree = self::output(builder, recipe, output);
    let step = builder.once(StepKind::Pack(output.clone()), |_, kind| Step {
        kind,
        work: Work::Builtin(Builtin::Pack),
        inputs: BTreeMap::from([("tree".to_owned(), tree)]),
        outputs: vec![PACKED.to_owned()],
    });
    Input::Output { step, name: PACKED.to_owned() }
}

/// The position of a build's step. Those that it reads from come first: a checked recipe has no circles among them, and
/// a list of its own instead of recursion keeps a long chain off the stack.
fn step(builder: &mut Builder<'_>, recipe: &Recipe, name: &str) -> usize {
    let mut open = vec![name];
    while let Some(&last) = open.last() {
        let build = &recipe.builds[last];
        let position = |name: &str| builder.plan.position(&StepKind::Build(name.to_owned()));
        let missing = build.dependencies(&recipe.kernels).find(|output| position(&output.build).is_none());
        if let Some(output) = missing {
            open.push(&output.build);
            continue;
        }
        open.pop();
        builder.once(StepKind::Build(last.to_owned()), |builder, kind| lower(builder, recipe, (build, kind)));
    }
    builder.plan.position(&StepKind::Build(name.to_owned())).expect("the last of the open ones is this")
}

/// What modules of a kernel of the recipe are compiled against.
fn headers(builder: &mut Builder<'_>, recipe: &Recipe, name: &str) -> Input {
    let kernel = &recipe.kernels[name];
    let headers = match &kernel.origin {
        Origin::Compiled(compiled) => kernel::lower(builder, recipe, kernel, compiled).headers,
        Origin::Stock { .. } | Origin::Built(_) => None,
    };
    headers.expect("a checked build reads kernels that are compiled with modules")
}

fn local(build: &Build, source: &str) -> LocalReader {
    LocalReader::Build { build: build.name.clone(), source: source.to_owned() }
}

fn lower(builder: &mut Builder<'_>, recipe: &Recipe, (build, kind): (&Build, StepKind)) -> Step {
    let script = match &build.script.value {
        TextOrFile::Text(text) => Input::Inline(text.as_bytes().to_vec()),
        TextOrFile::File(path) => builder.recipe_file(recipe, path),
    };
    let mut inputs = BTreeMap::from([
        (format!("{OWN}/start.sh"), Input::Inline(include_bytes!("build.sh").to_vec())),
        (format!("{OWN}/script"), script),
    ]);
    for (name, source) in &build.sources {
        let input = match &source.value {
            BuildSource::Text(text) => Input::Inline(text.as_bytes().to_vec()),
            BuildSource::File(path) | BuildSource::Directory(path) => builder.recipe_file(recipe, path),
            BuildSource::Url(_) | BuildSource::DebianSource(DebianSource { part: DebianPart::Tarball, .. }) => {
                builder.fetch_only(&build.source_name(name))
            }
            BuildSource::Local { place, .. } => builder.local(place, (&local(build, name), SourcePart::Whole)),
            BuildSource::Output(output) => {
                let kind = StepKind::Build(output.build.clone());
                let step = builder.plan.position(&kind).expect("builds come after those that they read from");
                Input::Output { step, name: output.name.clone() }
            }
            BuildSource::Kernel(name) => headers(builder, recipe, name),
            BuildSource::DebianSource(DebianSource { part: DebianPart::Whole, .. }) => {
                let key = build.source_name(name);
                let lock = builder.lock;
                let source = lock.sources.get(&key).expect("the lock has every source of its recipe");
                let files = source.files.keys();
                inputs.extend(files.map(|file| (format!("{name}/{file}"), builder.fetch_source(&key, file))));
                continue;
            }
        };
        inputs.insert(name.clone(), input);
    }
    let env = builder.epoch_env().into_iter().chain(build.env.clone()).collect();
    let argv = ["/bin/sh", "/kiln/in/.kiln/start.sh"].map(str::to_owned).to_vec();
    Step {
        kind,
        work: Work::Sandbox { tools: builder.tools(&build.tools.name), argv, env, ids: Ids::Single },
        inputs,
        outputs: build.outputs.iter().map(|output| output.value.clone()).collect(),
    }
}
