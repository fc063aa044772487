//! What builds of the recipe read, what they leave, and what takes it: images, kernels, firmware, QEMUs.
//!
//! Input: a recipe. Output: a section, where the recipe has builds or reads directories that no lock pins.

use std::collections::BTreeMap;

use super::html::{Cell, Section, Table, paragraph};
use crate::recipe::Recipe;
use crate::recipe::build::{Build, BuildOutput, BuildSource};
use crate::recipe::image::Content;
use crate::recipe::kernel::{KernelSource, Origin};

pub(super) fn section(recipe: &Recipe) -> Option<Section> {
    let local: Vec<String> = recipe.local().map(|local| local.reader.words().replace('`', "")).collect();
    if recipe.builds.is_empty() && local.is_empty() {
        return None;
    }
    let mut parts = Vec::new();
    if !recipe.builds.is_empty() {
        let rows = recipe.builds.values().map(row).collect();
        let caption = "Builds: commands of the recipe's own".to_owned();
        parts.push(Table { caption, columns: &["Build", "Tools", "Reads", "Leaves"], rows }.html());
        let rows = takers(recipe)
            .into_iter()
            .map(|(output, by)| vec![Cell::text(&output.name), Cell::text(&output.build), Cell::Text(by.join(", "))]);
        let caption = "What their outputs are".to_owned();
        parts.push(Table { caption, columns: &["Output", "Build", "Is"], rows: rows.collect() }.html());
    }
    if !local.is_empty() {
        let words = format!(
            "No lock pins the directories that these are read from, so nothing here says what is in them: {}.",
            local.join(", ")
        );
        parts.push(paragraph(&words));
    }
    Some(Section { id: "builds", heading: "Builds of the recipe's own", parts })
}

fn row(build: &Build) -> Vec<Cell> {
    let reads: Vec<String> =
        build.sources.iter().map(|(name, source)| format!("{name}: {}", words(&source.value))).collect();
    let leaves: Vec<&str> = build.outputs.iter().map(|output| output.value.as_str()).collect();
    [&build.name, &build.tools.name, &reads.join("; "), &leaves.join(", ")].map(Cell::text).into()
}

fn words(source: &BuildSource) -> String {
    match source {
        BuildSource::Text(_) => "text in the recipe".to_owned(),
        BuildSource::File(key) => format!("the file {key}"),
        BuildSource::Directory(key) => format!("the directory {key}"),
        BuildSource::Local { .. } => "a directory that no lock pins".to_owned(),
        BuildSource::Url(address) => super::address(&address.url),
        BuildSource::DebianSource(source) => format!("Debian's source package {}", source.request.name),
        BuildSource::Output(output) => format!("the output {} of build {}", output.name, output.build),
        BuildSource::Kernel(kernel) => format!("what modules of kernel {kernel} are compiled against"),
    }
}

/// What each output that something takes is there.
fn takers(recipe: &Recipe) -> BTreeMap<&BuildOutput, Vec<String>> {
    let mut takers: BTreeMap<&BuildOutput, Vec<String>> = BTreeMap::new();
    let mut take = |output, is: String| takers.entry(output).or_default().push(is);
    for image in recipe.images.values() {
        for file in &image.files {
            if let Content::Output(output) | Content::OutputTree(output) = &file.content {
                take(output, format!("{} of image {}", file.path, image.name));
            }
        }
        image.modules.iter().for_each(|module| take(&module.value, format!("modules of image {}", image.name)));
    }
    for kernel in recipe.kernels.values() {
        match &kernel.origin {
            Origin::Built(built) => {
                take(&built.image.value, format!("kernel {}", kernel.name));
                let others = [(&built.modules, "modules"), (&built.config, "configuration")];
                let others = others.into_iter().filter_map(|(output, what)| Some((output.as_ref()?, what)));
                others.for_each(|(output, what)| take(&output.value, format!("{what} of kernel {}", kernel.name)));
            }
            Origin::Compiled(compiled) => {
                if let KernelSource::Output(output) = &compiled.source {
                    take(&output.value, format!("source of kernel {}", kernel.name));
                }
            }
            Origin::Stock { .. } => {}
        }
    }
    for (machine, uefi) in recipe.machines.values().filter_map(|machine| Some((machine, machine.uefi.as_ref()?))) {
        take(&uefi.code.value, format!("firmware of machine {}", machine.name));
        take(&uefi.variables.value, format!("variables of the firmware of machine {}", machine.name));
    }
    recipe.qemus.values().for_each(|qemu| take(&qemu.output, format!("QEMU {} {}", qemu.name, qemu.version.value)));
    for build in recipe.builds.values() {
        for (name, source) in &build.sources {
            if let BuildSource::Output(output) = &source.value {
                take(output, format!("source {name} of build {}", build.name));
            }
        }
    }
    takers
}
