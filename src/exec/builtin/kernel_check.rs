//! Stops a build whose kernel configuration is not the one that was asked for, with the reason.

use std::collections::BTreeSet;
use std::io::BufReader;

use super::BuiltinContext;
use crate::exec::failure::{Fault, StepFailure};
use crate::kconfig::dotconfig::{self, NotAConfig};
use crate::kconfig::{DotConfig, Dropped, KconfigTree, OptionRequest, RequestKind, Tri, archive, check, explain};
use crate::plan::Statement;
use crate::plan::kernel::requested::Requested;
use crate::plan::kernel::{CONFIG, KCONFIG};
use crate::recipe::kernel::OptionValue;
use crate::world::{WorldError, fs};

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// A file could not be read or written.
    #[error(transparent)]
    World(#[from] WorldError),
    /// The final configuration does not read as one.
    #[error(transparent)]
    Config(#[from] NotAConfig),
    /// The plan's own file does not read.
    #[error("requested.json: {0}")]
    Requested(#[from] serde_json::Error),
    /// The step lacks a file.
    #[error("the step has no input `{0}`")]
    Missing(&'static str),
    /// Options did not survive, or must not be there: one line each.
    #[error("the kernel configuration does not match the recipe:\n{}", lines.join("\n"))]
    Refused {
        /// What became of each, and why.
        lines: Vec<String>,
        options: Vec<String>,
    },
}

impl From<CheckError> for StepFailure {
    fn from(error: CheckError) -> StepFailure {
        let message = error.to_string();
        match error {
            CheckError::World(_) => StepFailure::new(Fault::Host, message),
            CheckError::Config(_) => StepFailure::input(message),
            CheckError::Requested(_) | CheckError::Missing(_) => StepFailure::bug(message),
            CheckError::Refused { options, .. } => {
                let about = options.into_iter().map(Statement::Option).collect();
                StepFailure { about, ..StepFailure::new(Fault::Recipe, message) }
            }
        }
    }
}

/// Inputs `kernel.config`, `kconfig.tar`, `requested.json`; output `kernel.config`, unchanged.
pub fn run(context: &BuiltinContext<'_>) -> Result<(), CheckError> {
    let input = |name: &'static str| context.inputs.get(name).ok_or(CheckError::Missing(name));
    let bytes = fs::read(input(CONFIG)?, dotconfig::LIMIT)?;
    let config = dotconfig::read(&bytes)?;
    let requested: Requested = serde_json::from_slice(&fs::read(input("requested.json")?, dotconfig::LIMIT)?)?;
    let dropped = check(&requested.requests, &config);
    let forbidden: Vec<&(String, String)> =
        requested.forbidden.iter().filter(|(name, _)| config.tri(name) != Tri::N).collect();
    if dropped.is_empty() && forbidden.is_empty() {
        return Ok(fs::write_atomically(&context.out.join(CONFIG), &bytes)?);
    }
    // Only a mistake needs the source's Kconfig files; when they do not read, what was dropped is still said.
    let tar = BufReader::new(fs::open(input(KCONFIG)?)?);
    let source = archive::read(tar, requested.architecture.facts().kernel.source).map_err(|error| error.to_string());
    let tree = source.and_then(|source| KconfigTree::read(&source).map_err(|error| error.to_string()));
    let mut lines: Vec<String> =
        dropped.iter().map(|dropped| line(dropped, &requested.requests, tree.as_ref(), &config)).collect();
    lines.extend(forbidden.iter().map(|(name, reason)| format!("{name} must be off: {reason}")));
    let dropped = dropped.iter().map(|dropped| &dropped.request.name);
    let options = dropped.chain(forbidden.iter().map(|(name, _)| name)).cloned().collect();
    Err(CheckError::Refused { lines, options })
}

fn line(
    dropped: &Dropped,
    requests: &[OptionRequest],
    tree: Result<&KconfigTree, &String>,
    config: &DotConfig,
) -> String {
    let Dropped { request, value } = dropped;
    let asked = request.text();
    let found = if value == "n" { "is not set".to_owned() } else { format!("became {value}") };
    let reason = match (tree, wanted(&request.value)) {
        (Ok(tree), wanted) => {
            let asked: BTreeSet<String> =
                requests.iter().filter(|r| r.kind == RequestKind::Option).map(|r| r.name.clone()).collect();
            explain(tree, config, &request.name, wanted).sentence(&asked)
        }
        (Err(error), _) => format!("cannot determine the reason: {error}"),
    };
    format!("{asked} {found}: {reason}")
}

/// A text or a number is there as soon as its option is.
fn wanted(value: &OptionValue) -> Tri {
    match value {
        OptionValue::No => Tri::N,
        OptionValue::Module => Tri::M,
        OptionValue::Yes | OptionValue::Text(_) | OptionValue::Number(_) => Tri::Y,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;
    use crate::exec::event::IgnoreSteps;

    const KCONFIG: &str = "config THP\n\tbool \"thp\"\nconfig DEV_DAX\n\ttristate \"dax\"\n\tdepends on THP\n\
                           config DEV_DAX_CXL\n\ttristate \"cxl\"\n\tdepends on DEV_DAX\nconfig MODULE_SIG\n\tbool \"sign\"\n";

    fn checked(directory: &Path, config: &str) -> Result<String, String> {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(KCONFIG.len() as u64);
        tar.append_data(&mut header, "./Kconfig", KCONFIG.as_bytes()).unwrap();
        let request = |name: &str, kind| OptionRequest {
            name: name.to_owned(),
            value: OptionValue::Yes,
            by: "config cxl".to_owned(),
            kind,
        };
        let requested = Requested {
            architecture: crate::base::Arch::default(),
            requests: vec![request("DEV_DAX", RequestKind::Option), request("DEV_DAX_CXL", RequestKind::Require)],
            forbidden: vec![("MODULE_SIG".to_owned(), "it signs".to_owned())],
        };
        let files = [
            ("kconfig.tar", tar.into_inner().unwrap()),
            ("requested.json", serde_json::to_vec(&requested).unwrap()),
            ("kernel.config", config.as_bytes().to_vec()),
        ];
        let place = |(name, bytes): (&str, Vec<u8>)| {
            let path = directory.join(name);
            fs::write_atomically(&path, &bytes).unwrap();
            (name.to_owned(), path)
        };
        let inputs: BTreeMap<_, _> = files.into_iter().map(place).collect();
        let out = directory.join("out");
        fs::create_dir_all(&out).unwrap();
        let context = BuiltinContext {
            step: "kernel-check k",
            inputs: &inputs,
            out: &out,
            scratch: directory,
            variation: None,
            limits: crate::exec::sandbox::Limits::default(),
            listener: &IgnoreSteps,
        };
        run(&context).map_err(|error| error.to_string())?;
        Ok(String::from_utf8(fs::read(&out.join(CONFIG), 1 << 20).unwrap()).unwrap())
    }

    #[test]
    fn a_good_configuration_passes_and_a_bad_one_names_its_reason() {
        let directory = std::env::temp_dir().join(format!("kiln-kernel-check-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let good = "CONFIG_THP=y\nCONFIG_DEV_DAX=y\nCONFIG_DEV_DAX_CXL=y\n";
        assert_eq!(checked(&directory, good), Ok(good.to_owned()));
        assert_eq!(
            checked(&directory, "CONFIG_MODULE_SIG=y\n").unwrap_err(),
            "the kernel configuration does not match the recipe:\n\
             `option DEV_DAX = y` of config cxl is not set: DEV_DAX needs THP, which is not set; add `option THP = y`\n\
             `require DEV_DAX_CXL = y` of config cxl is not set: DEV_DAX_CXL needs DEV_DAX, which needs THP, which is \
             not set; add `option THP = y`\nMODULE_SIG must be off: it signs"
        );
        assert!(checked(&directory, "<html>").unwrap_err().contains("line 1"));
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
