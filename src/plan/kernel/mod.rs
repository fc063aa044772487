//! A compiled kernel: source, configuration, check, build.
//!
//! Input: a checked kernel and the lock. Output: four steps.
//! 1. `kernel-kconfig`: source and patches to `kconfig.tar`, the few files that decide a configuration;
//! 2. `kernel-config`: base and fragments through the kernel's own configuration step, from that tar alone, so that
//!    another configuration of the same source unpacks nothing;
//! 3. `kernel-check`: stops the build, with the reason, where an option that was asked for did not survive, or one that
//!    a machine needs is not there;
//! 4. `kernel-build`: the bits.
//!
//! It must not know what Kconfig decides: that is the kernel's own program's word, and `kconfig`'s to explain.

pub mod needs;
pub mod requested;

mod policy;

use std::collections::BTreeMap;

use super::builder::Builder;
use super::kind::StepKind;
use super::step::{Builtin, Ids, IncrementalRun, Input, Step, Work};
use crate::base::Arch;
use crate::base::arch::ArchFacts;
use crate::kconfig::fragment;
use crate::recipe::Recipe;
use crate::recipe::kernel::{Compiled, ConfigBase, Kernel, KernelSource};

/// Input and output: the Kconfig files of a source.
pub const KCONFIG: &str = "kconfig.tar";
/// Input and output: a configuration.
pub const CONFIG: &str = "kernel.config";

/// Output: what modules of others are compiled against.
pub const HEADERS: &str = "headers.tar";

/// Where the steps' inputs appear inside the sandbox.
const IN: &str = "/kiln/in";

/// What a compiled kernel leaves behind.
#[derive(Debug, Clone)]
pub struct CompiledParts {
    /// The bootable kernel.
    pub vmlinuz: Input,
    /// Its final configuration.
    pub config: Input,
    /// Its modules below `usr/lib/modules`, without indexes, if it has any.
    pub modules: Option<Input>,
    /// What modules of others are compiled against, if it has any itself.
    pub headers: Option<Input>,
}

/// The steps of a compiled kernel, which are made once, whether a machine or a build asks first.
pub fn lower(builder: &mut Builder<'_>, recipe: &Recipe, kernel: &Kernel, compiled: &Compiled) -> CompiledParts {
    let known = |builder: &Builder<'_>, kind: fn(String) -> StepKind| builder.plan.position(&kind(kernel.name.clone()));
    let (config, build) = match (known(builder, StepKind::KernelCheck), known(builder, StepKind::KernelBuild)) {
        (Some(check), Some(build)) => (Input::Output { step: check, name: CONFIG.to_owned() }, build),
        _ => {
            let mut lowering = Lowering { builder, recipe, kernel, compiled };
            let kconfig = lowering.kconfig();
            let proposed = lowering.config(kconfig.clone());
            let config = lowering.check(kconfig, proposed);
            (config.clone(), lowering.build(config))
        }
    };
    let output = |name: &str| Input::Output { step: build, name: name.to_owned() };
    let with_modules = |name: &str| compiled.modules.then(|| output(name));
    CompiledParts {
        vmlinuz: output("vmlinuz"),
        config,
        modules: with_modules("modules.tar"),
        headers: with_modules(HEADERS),
    }
}

struct Lowering<'a, 'lock> {
    builder: &'a mut Builder<'lock>,
    recipe: &'a Recipe,
    kernel: &'a Kernel,
    compiled: &'a Compiled,
}

impl Lowering<'_, '_> {
    fn kconfig(&mut self) -> Input {
        let script = self.script(include_str!("kconfig.sh"));
        let mut inputs = self.source();
        inputs.insert("kconfig.sh".to_owned(), script);
        let step = self.sandbox(StepKind::KernelKconfig, &["kconfig.sh"], inputs, &[KCONFIG]);
        Input::Output { step, name: KCONFIG.to_owned() }
    }

    fn config(&mut self, kconfig: Input) -> Input {
        let script = self.script(include_str!("configure.sh"));
        let mut inputs = BTreeMap::from([("configure.sh".to_owned(), script), (KCONFIG.to_owned(), kconfig)]);
        for (name, text) in self.fragments() {
            inputs.insert(format!("fragments/{name}"), Input::Inline(text.into_bytes()));
        }
        let base = match &self.compiled.base {
            ConfigBase::Target(target) => vec!["target", target],
            ConfigBase::Debian(set) => {
                let packages = self.builder.set(&set.name);
                let carries = |name: &str| name.starts_with("linux-config-") || name.starts_with("linux-image-");
                let package = packages.iter().find(|package| carries(&package.name)).or(packages.last());
                let package = package.expect("a locked set is not empty");
                inputs.insert("base.deb".to_owned(), self.builder.fetch(package));
                vec!["deb"]
            }
            ConfigBase::File(path) => {
                inputs.insert("base.config".to_owned(), self.builder.recipe_file(self.recipe, path));
                vec!["file"]
            }
        };
        let argv = [vec!["configure.sh"], base].concat();
        let step = self.sandbox(StepKind::KernelConfig, &argv, inputs, &["config.log", CONFIG]);
        Input::Output { step, name: CONFIG.to_owned() }
    }

    fn check(&mut self, kconfig: Input, proposed: Input) -> Input {
        let machines = self.recipe.machines.values().filter(|machine| machine.kernel == self.kernel.name);
        let requested = requested::Requested::new(self.kernel, self.compiled).for_machines(machines);
        let requested = serde_json::to_vec(&requested).expect("requests have only strings");
        let step = self.builder.add_step(Step {
            kind: StepKind::KernelCheck(self.kernel.name.clone()),
            work: Work::Builtin(Builtin::KernelCheck),
            inputs: BTreeMap::from([
                (KCONFIG.to_owned(), kconfig),
                (CONFIG.to_owned(), proposed),
                ("requested.json".to_owned(), Input::Inline(requested)),
            ]),
            outputs: vec![CONFIG.to_owned()],
        });
        Input::Output { step, name: CONFIG.to_owned() }
    }

    fn build(&mut self, config: Input) -> usize {
        let headers = if self.compiled.modules { include_str!("headers.sh") } else { "" };
        let script = self.script(&[include_str!("build.sh"), headers].concat());
        let mut inputs = self.source();
        inputs.insert("build.sh".to_owned(), script);
        inputs.insert(CONFIG.to_owned(), config);
        let mut outputs = vec!["System.map", "kernel.release", "vmlinuz"];
        if self.compiled.modules {
            outputs.extend([HEADERS, "modules.tar"]);
        }
        let Some(Input::Inline(mut instead)) = inputs.get("source.sh").cloned() else {
            unreachable!("source() has it")
        };
        instead.extend_from_slice(include_bytes!("incremental.sh"));
        let step = self.sandbox(StepKind::KernelBuild, &["build.sh"], inputs, &outputs);
        let incremental = IncrementalRun {
            directory: "linux".to_owned(),
            changing: CONFIG.to_owned(),
            instead: BTreeMap::from([("source.sh".to_owned(), instead)]),
        };
        self.builder.plan.incremental.insert(step, incremental);
        step
    }

    /// A script with what the kernel's build calls the architecture filled in. Where it is not that of the compiler's own
    /// programs, every `make` is told which compiler makes code for it.
    fn script(&self, text: &str) -> Input {
        let arch = self.kernel.architecture.value;
        let ArchFacts { debian, gnu, kernel, .. } = arch.facts();
        let make = match arch {
            Arch::BUILD => kernel.arch.to_owned(),
            _ => format!("{} CROSS_COMPILE={gnu}-", kernel.arch),
        };
        let words =
            [("@ARCH@", make.as_str()), ("@SRCARCH@", kernel.source), ("@IMAGE@", kernel.image), ("@DEBIAN@", debian)];
        let filled = words.into_iter().fold(text.to_owned(), |text, (word, value)| text.replace(word, value));
        Input::Inline(filled.into_bytes())
    }

    /// What `source.sh` reads: itself, the source, the patches in order.
    fn source(&mut self) -> BTreeMap<String, Input> {
        let patched =
            !self.compiled.patches.is_empty() || matches!(self.compiled.source, KernelSource::DebianSource(..));
        let mut script = include_bytes!("source.sh").to_vec();
        if patched {
            script.extend_from_slice(include_bytes!("apply.sh"));
        }
        let mut inputs = BTreeMap::from([("source.sh".to_owned(), Input::Inline(script))]);
        match &self.compiled.source {
            KernelSource::Package(set) => {
                let packages = self.builder.set(&set.name);
                let package = packages.iter().find(|package| package.name.starts_with("linux-source-"));
                let package = package.or(packages.last()).expect("a locked set is not empty");
                inputs.insert("source.deb".to_owned(), self.builder.fetch(package));
            }
            KernelSource::DebianSource(..) | KernelSource::Url { .. } => {
                let name = self.kernel.source_name();
                let source = self.builder.lock.sources.get(&name).expect("the lock has every source of its recipe");
                for file in source.files.keys() {
                    inputs.insert(format!("source/{file}"), self.builder.fetch_source(&name, file));
                }
            }
        }
        for (at, patch) in self.compiled.patches.iter().enumerate() {
            let file = patch.value.rsplit('/').next().unwrap_or_default();
            let input = self.builder.recipe_file(self.recipe, &patch.value);
            inputs.insert(format!("patches/{at:03}-{file}"), input);
        }
        inputs
    }

    /// Kiln's own rules first, so that a recipe may overrule them; the kernel's own options last.
    fn fragments(&self) -> Vec<(String, String)> {
        let nature = policy::KernelTraits {
            debian: matches!(self.compiled.base, ConfigBase::Debian(_)),
            modules: self.compiled.modules,
            btf: self.compiled.btf,
        };
        let mut fragments = vec![("000-kiln".to_owned(), fragment::render(&policy::options(&nature)))];
        for (at, block) in self.compiled.configs.iter().enumerate() {
            fragments
                .push((format!("{:03}-{}", at + 1, block.name), fragment::render(&requested::plain(&block.options))));
        }
        let own = fragment::render(&requested::plain(&self.compiled.options));
        fragments.push((format!("{:03}-{}", fragments.len(), self.kernel.name), own));
        fragments
    }

    fn sandbox(
        &mut self,
        kind: fn(String) -> StepKind,
        argv: &[&str],
        inputs: BTreeMap<String, Input>,
        outputs: &[&str],
    ) -> usize {
        let tools = self.builder.tools(&self.compiled.build.name);
        let mut command = vec!["/bin/sh".to_owned(), format!("{IN}/{}", argv[0])];
        command.extend(argv[1..].iter().map(|&word| word.to_owned()));
        self.builder.add_step(Step {
            kind: kind(self.kernel.name.clone()),
            work: Work::Sandbox { tools, argv: command, env: BTreeMap::new(), ids: Ids::Single },
            inputs,
            outputs: outputs.iter().map(|&name| name.to_owned()).collect(),
        })
    }
}
