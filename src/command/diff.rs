//! `kiln diff A B`: what differs, a line each, or JSON.

use super::failure::Failure;
use super::output;
use crate::base::{ByteSize, Foreign};
use crate::cli;
use crate::ops::Session;
use crate::ops::diff::{self, ArtifactChange, MachineChange, OptionChange, SideDifferences, ValueChange};

/// Carries the verb out.
pub fn run(session: &Session<'_>, args: &cli::DiffArgs) -> Result<(), Failure> {
    let found = diff::diff(session, &args.a, &args.b)?;
    if args.json {
        output::json(&found)?;
    } else {
        output::print(&lines(&found).into_iter().map(|line| line + "\n").collect::<String>())?;
    }
    if args.exit_code && !found.is_empty() { Err(Failure::mismatch("they differ")) } else { Ok(()) }
}

fn lines(found: &SideDifferences) -> Vec<String> {
    let mut lines: Vec<String> = found.inputs.iter().map(ToString::to_string).collect();
    lines.extend(
        found.parameters.iter().map(|ValueChange { name, from, to }| changed(&format!("parameter {name}"), from, to)),
    );
    lines.extend(found.builds.iter().map(|ValueChange { name, from, to }| {
        let [from, to] = [from, to].map(|id| id.as_ref().map(|id| format!("step {id}")));
        changed(&format!("build {name}"), &from, &to)
    }));
    lines.extend(
        found
            .options
            .iter()
            .map(|OptionChange { kernel, option, from, to }| changed(&format!("kernel {kernel}: {option}"), from, to)),
    );
    for MachineChange { machine, removed, added } in &found.machines {
        let line = |sign: char, option: &String| Foreign(format!("machine {machine}: {sign} {option}")).to_string();
        lines.extend(removed.iter().map(|option| line('-', option)));
        lines.extend(added.iter().map(|option| line('+', option)));
    }
    let rounded = |bytes: &Option<u64>| bytes.map(|bytes| ByteSize(bytes).rounded());
    lines.extend(found.artifacts.iter().map(|ArtifactChange { file, from, to }| match (rounded(from), rounded(to)) {
        (Some(from), Some(to)) if from == to => Foreign(format!("{file}: {to}, content changed")).to_string(),
        (from, to) => changed(file, &from, &to),
    }));
    lines.extend(found.files.iter().map(ToString::to_string));
    if let Some((before, after)) = found.size {
        let [before, after] = [before, after].map(|bytes| ByteSize(bytes).rounded());
        lines.extend((before != after).then(|| format!("size of all inputs: {before} -> {after}")));
    }
    lines
}

/// One that is new, gone, or another.
fn changed(what: &str, from: &Option<String>, to: &Option<String>) -> String {
    let text = match (from, to) {
        (Some(from), Some(to)) => format!("{what}: {from} -> {to}"),
        (Some(from), None) => format!("{what}: {from} is gone"),
        (None, Some(to)) => format!("{what}: {to} is new"),
        (None, None) => what.to_owned(),
    };
    Foreign(text).to_string()
}
