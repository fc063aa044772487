//! The configuration of a kernel that a build left, held against the machines that boot it.

use std::io::Read;

use super::{BuiltinContext, BuiltinError, file, input, wrong};
use crate::base::Arch;
use crate::exec::failure::{Fault, StepFailure};
use crate::kconfig::{self, DotConfig, Dropped, Tri, dotconfig};
use crate::plan::Statement;
use crate::plan::kernel::CONFIG;
use crate::plan::kernel::needs::{self, MachineNeed};
use crate::plan::ready::{MODULES, OPTIONS, ReadyFile, ReadyKernel};
use crate::world::fs;

/// Input `config`, output `kernel.config`, unchanged. `release` is what the kernel calls itself.
pub(super) fn run(context: &BuiltinContext<'_>, spec: &ReadyKernel, release: Option<&str>) -> Result<(), BuiltinError> {
    let path = input(context, OPTIONS)?;
    let mut bytes = Vec::new();
    let file = file(path, ReadyFile::Config, "configuration")?;
    fs::context("read", path, file.take(dotconfig::LIMIT + 1).read_to_end(&mut bytes))?;
    let odd = |message: String| BuiltinError::from(wrong(ReadyFile::Config, message));
    if bytes.len() as u64 > dotconfig::LIMIT {
        return Err(odd(format!("the configuration has more than {} bytes", dotconfig::LIMIT)));
    }
    let config = dotconfig::read(&bytes).map_err(|error| odd(error.to_string()))?;
    if config.values.is_empty() {
        return Err(odd("the configuration sets no option".to_owned()));
    }
    if let Some((arch, version)) = heading(&bytes) {
        belongs(spec.architecture, (arch, version), release).map_err(odd)?;
    }
    let dropped = kconfig::check(&spec.requests, &config);
    if !dropped.is_empty() {
        let lines: Vec<String> = dropped.iter().map(differs).collect();
        let about = dropped.into_iter().map(|dropped| Statement::Option(dropped.request.name)).collect();
        let message = format!("the kernel configuration does not match the recipe:\n{}", lines.join("\n"));
        return Err(StepFailure { about, ..StepFailure::new(Fault::Recipe, message) }.into());
    }
    let lines = unmet(spec, &config, context.inputs.contains_key(MODULES));
    if let Some((first, _)) = lines.first() {
        let about = vec![Statement::Ready(ReadyFile::Config), Statement::Machine(first.machine.clone())];
        let lines: Vec<&str> = lines.iter().map(|(_, line)| line.as_str()).collect();
        let message = format!("the kernel lacks what its machines need:\n{}", lines.join("\n"));
        let help = format!(
            "turn these options on where the build configures the kernel, with what they depend on; of what the kernel does without, write \
             `require {} = n` in the kernel",
            first.option
        );
        return Err(StepFailure { about, ..StepFailure::new(Fault::Recipe, message) }.help(help).into());
    }
    Ok(fs::write_atomically(&context.out.join(CONFIG), &bytes)?)
}

/// `# Linux/x86 6.12.57 Kernel Configuration`, which the kernel's own program writes at the top.
fn heading(bytes: &[u8]) -> Option<(&str, &str)> {
    let line = bytes.split(|byte| *byte == b'\n').take(8).find(|line| line.starts_with(b"# Linux/"))?;
    let line = std::str::from_utf8(line).ok()?.strip_suffix(" Kernel Configuration")?;
    line.strip_prefix("# Linux/")?.split_once(' ')
}

/// A configuration of another kernel says nothing of this one.
fn belongs(arch: Arch, (made_for, version): (&str, &str), release: Option<&str>) -> Result<(), String> {
    let source = arch.facts().kernel.source;
    if made_for != source {
        return Err(format!("this is a configuration for {made_for}, and the kernel runs on {source}"));
    }
    match release.map(|release| (release, release.strip_prefix(version))) {
        Some((release, None)) => {
            Err(format!("this is a configuration of Linux {version}, and the kernel is {release}"))
        }
        Some((release, Some(rest))) if rest.starts_with(|c: char| c.is_ascii_digit() || c == '.') => {
            Err(format!("this is a configuration of Linux {version}, and the kernel is {release}"))
        }
        _ => Ok(()),
    }
}

fn differs(Dropped { request, value }: &Dropped) -> String {
    format!("{} {}", request.text(), if value == "n" { "is not set".to_owned() } else { format!("is {value}") })
}

/// What the machines need and the configuration has not, in the words that compiled kernels get.
fn unmet<'a>(spec: &'a ReadyKernel, config: &DotConfig, modules: bool) -> Vec<(&'a MachineNeed, String)> {
    let enough = if modules { Tri::M } else { Tri::Y };
    let lacking = spec.needs.iter().filter(|need| config.tri(&need.option) < enough && !is_unknown(need, config));
    lacking.map(|need| (need, sentence(need, config))).collect()
}

fn sentence(MachineNeed { machine, option, purpose }: &MachineNeed, config: &DotConfig) -> String {
    let found = match config.tri(option) {
        Tri::M => "it is a module, and the kernel has no `modules`",
        _ if config.values.contains_key(option) => "it is not set",
        // Kconfig writes no line where something that the option depends on is off.
        _ => "it is not in the configuration",
    };
    format!("machine `{machine}` needs {option} {purpose}: {found}")
}

/// An option that the source does not have is not needed, as for kernels that kiln compiles; there Kconfig files say so.
fn is_unknown(need: &MachineNeed, config: &DotConfig) -> bool {
    let on = |option: &&str| config.tri(option) != Tri::N;
    !config.values.contains_key(&need.option)
        && needs::young(&need.option).is_some_and(|dependencies| dependencies.iter().all(on))
}
