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

use std::collections::{BTreeMap, BTreeSet};

use super::builder::Builder;
use super::kind::{ArtifactKind, StepKind};
use super::step::{Builtin, Ids, IncrementalRun, Input, SourcePart, Step, Work};
use crate::base::Arch;
use crate::base::arch::ArchFacts;
use crate::kconfig::fragment;
use crate::recipe::Recipe;
use crate::recipe::kernel::{Compiled, ConfigBase, Kernel, KernelSource};
use crate::recipe::local::LocalReader;
use crate::recipe::packages::source::DebianPart;

/// Input and output: the Kconfig files of a source.
pub const KCONFIG: &str = "kconfig.tar";
/// Input and output: a configuration.
pub const CONFIG: &str = "kernel.config";

/// Output: what modules of others are compiled against.
pub const HEADERS: &str = "headers.tar";
const SYSTEM_MAP: &str = "System.map";
/// Input: an archive of a directory that the kernel is compiled from.
const SOURCE: &str = "source.tar";
/// Input: what a build left as the source, an archive or a directory.
const BUILT: &str = "built";

/// Options of a kernel with debug information. BTF alone needs one of them, too, but is not for gdb.
const DEBUG_INFO: [&str; 3] = ["DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT", "DEBUG_INFO_DWARF4", "DEBUG_INFO_DWARF5"];
/// The option of the kernel's own commands for gdb.
const GDB_SCRIPTS: &str = "GDB_SCRIPTS";

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
    /// What gdb reads, if the recipe asks for it.
    pub debug: Vec<(ArtifactKind, Input)>,
}

/// Outputs that gdb reads, by the option that asks for them; scripts are of no use without symbols.
fn debug_outputs(compiled: &Compiled) -> Vec<ArtifactKind> {
    if !DEBUG_INFO.iter().any(|option| compiled.asks_for(option)) {
        return Vec::new();
    }
    let scripts = compiled.asks_for(GDB_SCRIPTS).then_some(ArtifactKind::GdbScripts);
    [ArtifactKind::SystemMap, ArtifactKind::Vmlinux].into_iter().chain(scripts).collect()
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
    let debug = debug_outputs(compiled).into_iter().map(|kind| (kind, output(kind.file_name()))).collect();
    let with_modules = |name: &str| compiled.modules.then(|| output(name));
    CompiledParts {
        vmlinuz: output("vmlinuz"),
        config,
        modules: with_modules("modules.tar"),
        headers: with_modules(HEADERS),
        debug,
    }
}

/// `build.sh`, which keeps what gdb reads before it goes on with modules.
fn build_script(debug: &[ArtifactKind]) -> String {
    const AFTER: &str = "cp System.map ../System.map\n";
    let vmlinux = if debug.contains(&ArtifactKind::Vmlinux) { "cp vmlinux ../vmlinux\n" } else { "" };
    let scripts = if debug.contains(&ArtifactKind::GdbScripts) { include_str!("gdb.sh") } else { "" };
    include_str!("build.sh").replacen(AFTER, &format!("{AFTER}{vmlinux}{scripts}"), 1)
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
        // A patch may reach any file; without one, the files that decide a configuration are enough.
        let part = match self.compiled.patches.is_empty() {
            true => SourcePart::Kconfig(self.kernel.architecture.value.facts().kernel.source.to_owned()),
            false => SourcePart::Whole,
        };
        let mut inputs = self.source(part);
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
        let debug = debug_outputs(self.compiled);
        let headers = if self.compiled.modules { include_str!("headers.sh") } else { "" };
        let script = self.script(&(build_script(&debug) + headers));
        let mut inputs = self.source(SourcePart::Whole);
        inputs.insert("build.sh".to_owned(), script);
        inputs.insert(CONFIG.to_owned(), config);
        let mut outputs = vec![SYSTEM_MAP, "kernel.release", "vmlinuz"];
        if self.compiled.modules {
            outputs.extend([HEADERS, "modules.tar"]);
        }
        outputs.extend(debug.iter().map(|kind| kind.file_name()).filter(|name| *name != SYSTEM_MAP));
        let Some(Input::Inline(mut instead)) = inputs.get("source.sh").cloned() else {
            unreachable!("source() has it")
        };
        instead.extend_from_slice(include_bytes!("incremental.sh"));
        let mut changing = BTreeSet::from([CONFIG.to_owned()]);
        // Patches are applied to a whole tree, so with them another tree is another directory.
        if inputs.contains_key(SOURCE) && self.compiled.patches.is_empty() {
            instead.extend_from_slice(include_bytes!("local_incremental.sh"));
            changing.insert(SOURCE.to_owned());
        }
        let step = self.sandbox(StepKind::KernelBuild, &["build.sh"], inputs, &outputs);
        let incremental = IncrementalRun {
            directory: "linux".to_owned(),
            changing,
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

    /// What `source.sh` reads: itself, the source, the patches in order. `part` is what a step needs of a directory.
    fn source(&mut self, part: SourcePart) -> BTreeMap<String, Input> {
        let debian = |source: &KernelSource| match source {
            KernelSource::DebianSource(source) => source.part == DebianPart::Whole,
            KernelSource::Package(_)
            | KernelSource::Url { .. }
            | KernelSource::Output(_)
            | KernelSource::Directory(..) => false,
        };
        let patched = !self.compiled.patches.is_empty() || debian(&self.compiled.source);
        let mut script = include_bytes!("source.sh").to_vec();
        if patched {
            script.extend_from_slice(include_bytes!("apply.sh"));
        }
        if matches!(self.compiled.source, KernelSource::Directory(..)) {
            script.extend_from_slice(include_bytes!("local.sh"));
        }
        if matches!(self.compiled.source, KernelSource::Output(_)) {
            script.extend_from_slice(include_bytes!("built.sh"));
        }
        let mut inputs = BTreeMap::from([("source.sh".to_owned(), Input::Inline(script))]);
        match &self.compiled.source {
            KernelSource::Package(set) => {
                let packages = self.builder.set(&set.name);
                let package = packages.iter().find(|package| package.name.starts_with("linux-source-"));
                let package = package.or(packages.last()).expect("a locked set is not empty");
                inputs.insert("source.deb".to_owned(), self.builder.fetch(package));
            }
            KernelSource::Output(output) => {
                let build = StepKind::Build(output.value.build.clone());
                let step = self.builder.plan.position(&build);
                let step = step.expect("builds come before the kernels that are compiled from what they leave");
                inputs.insert(BUILT.to_owned(), Input::Output { step, name: output.value.name.clone() });
            }
            KernelSource::Directory(place, _) => {
                let reader = LocalReader::Kernel(self.kernel.name.clone());
                let source = self.builder.local(place, (&reader, part));
                inputs.insert(SOURCE.to_owned(), source);
            }
            KernelSource::DebianSource(..) | KernelSource::Url { .. } => {
                let name = self.kernel.source_name();
                let source = self.builder.lock.sources.get(&name).expect("the lock has every source of its recipe");
                for file in source.files.keys() {
                    inputs.insert(format!("source/{file}"), self.builder.fetch_source(&name, file));
                }
            }
        }
        self.patches(&mut inputs);
        inputs
    }

    fn patches(&mut self, inputs: &mut BTreeMap<String, Input>) {
        for (at, patch) in self.compiled.patches.iter().enumerate() {
            let file = patch.value.rsplit('/').next().unwrap_or_default();
            let input = self.builder.recipe_file(self.recipe, &patch.value);
            inputs.insert(format!("patches/{at:03}-{file}"), input);
        }
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
