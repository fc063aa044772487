//! From recipe, lock and plan to a bill of materials.
//!
//! Input: a plan, which says of every artifact what it is made of. Output: [`Bill`]. Steps that have a name in the recipe (images,
//! kernels, builds, QEMU) become components; the steps between them only hand on what they read. What a compiler reads is
//! what its output was made from; what any other step reads is inside its output. Tool trees are neither.

use std::collections::{BTreeMap, BTreeSet};

use super::facts::{CopyrightFile, Facts};
use super::license;
use super::model::{Bill, Component, ComponentKind, Relation, RelationKind};
use crate::base::Digest;
use crate::base::purl::Purl;
use crate::lock::{self, Lock, LockedArchive, LockedFile, LockedPackage, LockedSourceFile};
use crate::plan::{Artifact, Input, Plan, StepKind};

/// What a bill is made from.
pub(super) struct Material<'a> {
    pub(super) lock: &'a Lock,
    pub(super) plan: &'a Plan,
    /// Steps of which nobody knows what artifact they are in.
    pub(super) loose: &'a [usize],
    pub(super) facts: &'a Facts,
    /// Artifacts by name, as far as they are known.
    pub(super) outputs: &'a BTreeMap<String, LockedFile>,
    /// All files of a result directory by their names there, those among them, each with the name that locks have for it.
    pub(super) others: &'a BTreeMap<String, (String, LockedFile)>,
}

/// What is known of a file that the plan names by digest.
enum Known<'a> {
    Package(&'a LockedPackage),
    Source(&'a str, &'a LockedSourceFile),
    Recipe(&'a str),
}

/// What a step's output has in it, and what it was made with.
#[derive(Debug, Clone, Default)]
struct Inside {
    parts: BTreeSet<String>,
    tools: BTreeSet<String>,
}

struct Collector<'a> {
    material: &'a Material<'a>,
    /// Files of equal content are several: each has its own name.
    known: BTreeMap<Digest, Vec<Known<'a>>>,
    emulators: BTreeSet<usize>,
    bill: Bill,
    inside: BTreeMap<usize, Inside>,
    named: BTreeMap<usize, String>,
}

/// The bill of all that a recipe builds and runs on.
pub(super) fn bill(material: &Material<'_>) -> Bill {
    let lock = material.lock;
    let inputs = lock::inputs_digest(lock);
    let root = Component { version: Some(inputs.short()), ..Component::new(ComponentKind::Recipe, &lock.recipe.name) };
    let bill = Bill {
        name: lock.recipe.name.clone(),
        lock: inputs,
        created: lock.epoch,
        root: root.id(),
        components: BTreeMap::from([(root.id(), root)]),
        relations: BTreeSet::new(),
        licenses: BTreeMap::new(),
    };
    let mut collector = Collector {
        material,
        known: known(lock),
        emulators: material.plan.qemu.values().copied().collect(),
        bill,
        inside: BTreeMap::new(),
        named: BTreeMap::new(),
    };
    let root = collector.bill.root.clone();
    for artifact in &material.plan.artifacts {
        let id = collector.artifact(artifact);
        collector.bill.relate(&root, RelationKind::Contains, &id);
    }
    for step in material.loose {
        let id = collector.component(*step);
        collector.bill.relate(&root, RelationKind::Contains, &id);
    }
    collector.others(&root);
    for (machine, step) in &material.plan.qemu {
        let id = collector.component(*step);
        if let Some(version) = lock.machines.get(machine).map(|machine| machine.qemu.clone())
            && let Some(component) = collector.bill.components.get_mut(&id)
        {
            component.version = Some(version);
        }
        collector.bill.relate(&root, RelationKind::RunsOn, &id);
    }
    collector.bill
}

fn known(lock: &Lock) -> BTreeMap<Digest, Vec<Known<'_>>> {
    let files = lock.recipe.files.iter().map(|(key, digest)| (*digest, Known::Recipe(key)));
    let sources = lock.sources.values().flat_map(|source| &source.files);
    let sources = sources.map(|(name, file)| (file.file.sha256, Known::Source(name, file)));
    let packages = lock.sets.values().flatten().map(|package| (package.file.sha256, Known::Package(package)));
    let mut known: BTreeMap<Digest, Vec<Known<'_>>> = BTreeMap::new();
    for (digest, one) in files.chain(sources).chain(packages) {
        known.entry(digest).or_default().push(one);
    }
    known
}

/// What a step is called in the recipe, where it is anything there.
fn name_of(kind: &StepKind, is_emulator: bool) -> Option<(ComponentKind, &str)> {
    match kind {
        StepKind::Root(image) => Some((ComponentKind::Image, image)),
        StepKind::StockKernel(kernel) | StepKind::ReadyKernel(kernel) | StepKind::KernelBuild(kernel) => {
            Some((ComponentKind::Kernel, kernel))
        }
        StepKind::Build(build) => Some((ComponentKind::Build, build)),
        StepKind::Qemu(qemu) => Some((ComponentKind::Emulator, qemu)),
        StepKind::Tools(set) if is_emulator => Some((ComponentKind::Emulator, set)),
        StepKind::Tools(set) => Some((ComponentKind::Tools, set)),
        _ => None,
    }
}

impl Collector<'_> {
    fn artifact(&mut self, artifact: &Artifact) -> String {
        let directory = artifact.machine().map(|machine| format!("{machine}/")).unwrap_or_default();
        let name = format!("{directory}{}", artifact.file_name());
        let sha256 = self.material.outputs.get(&name).map(|file| file.sha256);
        let id = self.bill.add(Component { sha256, ..Component::new(ComponentKind::Artifact, name) });
        let mut inside = Inside::default();
        self.input(&artifact.from, &mut inside);
        self.relate(&id, RelationKind::Contains, inside);
        id
    }

    /// What a build delivers beside the artifacts of its plan: what starts machines.
    fn others(&mut self, root: &str) {
        let artifacts = self.bill.components.values().filter(|component| component.kind == ComponentKind::Artifact);
        let known: BTreeSet<String> = artifacts.map(|component| component.name.clone()).collect();
        let others = self.material.others.iter().filter(|(_, (locked, _))| !known.contains(locked));
        for (name, (_, file)) in others {
            let sha256 = Some(file.sha256);
            let id = self.bill.add(Component { sha256, ..Component::new(ComponentKind::Artifact, name) });
            self.bill.relate(root, RelationKind::Contains, &id);
        }
    }

    /// The component that a step with a name is.
    fn component(&mut self, step: usize) -> String {
        if let Some(id) = self.named.get(&step) {
            return id.clone();
        }
        let plan = self.material.plan;
        let kind = &plan.steps[step].kind;
        let (component, name) = name_of(kind, self.emulators.contains(&step)).unwrap_or((ComponentKind::Build, ""));
        let lock = self.material.lock;
        let version = match kind {
            StepKind::StockKernel(name) | StepKind::ReadyKernel(name) | StepKind::KernelBuild(name) => {
                lock.kernels.get(name).and_then(|kernel| kernel.release.clone())
            }
            _ => None,
        };
        let locked = lock.steps.get(&plan.steps[step].name()).copied();
        let id = self.bill.add(Component { version, step: locked, ..Component::new(component, name) });
        self.named.insert(step, id.clone());
        let compiled = matches!(kind, StepKind::KernelBuild(_) | StepKind::Build(_));
        let inside = self.inside(step);
        self.relate(&id, if compiled { RelationKind::MadeFrom } else { RelationKind::Contains }, inside);
        id
    }

    fn relate(&mut self, id: &str, kind: RelationKind, inside: Inside) {
        let parts = inside.parts.into_iter().map(|to| Relation { from: id.to_owned(), kind, to });
        let with = RelationKind::BuiltWith;
        let tools = inside.tools.into_iter().map(|to| Relation { from: id.to_owned(), kind: with, to });
        self.bill.relations.extend(parts.chain(tools));
    }

    /// What a step hands on: every step that it reads comes earlier in the plan, so this ends.
    fn inside(&mut self, step: usize) -> Inside {
        if let Some(known) = self.inside.get(&step) {
            return known.clone();
        }
        let plan = self.material.plan;
        let mut inside = Inside::default();
        if let Some(tools) = plan.steps[step].tools() {
            inside.tools.insert(self.component(tools));
        }
        plan.steps[step].inputs.values().for_each(|input| self.input(input, &mut inside));
        self.inside.insert(step, inside.clone());
        inside
    }

    fn input(&mut self, input: &Input, inside: &mut Inside) {
        match input {
            Input::Output { step, .. } => {
                let kind = &self.material.plan.steps[*step].kind;
                if name_of(kind, self.emulators.contains(step)).is_some() {
                    inside.parts.insert(self.component(*step));
                } else {
                    let Inside { parts, tools } = self.inside(*step);
                    inside.parts.extend(parts);
                    inside.tools.extend(tools);
                }
            }
            Input::Fetched(digest) => inside.parts.extend(self.file(digest)),
            Input::Inline(bytes) => inside.parts.extend(self.file(&Digest::of(bytes))),
            Input::Local(_) => {}
        }
    }

    /// The files of the lock that have this content; kiln's own scripts are none.
    fn file(&mut self, digest: &Digest) -> BTreeSet<String> {
        let component = |known: &Known<'_>| match known {
            Known::Package(package) => self.package(package),
            Known::Source(name, file) => source(name, file),
            Known::Recipe(key) => Component::new(ComponentKind::RecipeFile, *key),
        };
        let components: Vec<Component> = self.known.get(digest).into_iter().flatten().map(component).collect();
        let add = |component| self.bill.add(Component { sha256: Some(*digest), ..component });
        components.into_iter().map(add).collect()
    }

    fn package(&self, package: &LockedPackage) -> Component {
        let archive = self.material.lock.archives.get(&package.archive);
        let mut component = Component {
            version: Some(package.version.clone()),
            purl: Some(package_url(package, archive, self.material.facts)),
            ..Component::new(ComponentKind::Package, &package.name)
        };
        if let Some(facts) = self.material.facts.get(&package.file.sha256) {
            component.source = Some(facts.source.clone());
            component.maintainer = facts.maintainer.clone();
            if let CopyrightFile::Readable(copyright) = &facts.copyright {
                component.license = Some(license::declared(copyright).expression);
            }
        }
        component
    }
}

/// Licences off SPDX's list that the packages of a bill refer to.
pub(super) fn licenses(bill: &mut Bill, facts: &Facts) {
    let used: BTreeSet<Digest> = bill.components.values().filter_map(|component| component.sha256).collect();
    for facts in facts.iter().filter(|(digest, _)| used.contains(*digest)).map(|(_, facts)| facts) {
        if let CopyrightFile::Readable(copyright) = &facts.copyright {
            bill.licenses.extend(license::declared(copyright).others);
        }
    }
}

fn source(name: &str, file: &LockedSourceFile) -> Component {
    let url = file.place.public_url().map(str::to_owned);
    let purl = Purl::new("generic", &[], name).checksum(&file.file.sha256);
    let purl = purl.with("download_url", url.as_deref().unwrap_or_default()).write();
    Component { purl: Some(purl), download: url, ..Component::new(ComponentKind::Source, name) }
}

/// `pkg:deb/debian/bash@5.2.37-2?arch=amd64&distro=trixie`. What the recipe brings along is nobody's package.
fn package_url(package: &LockedPackage, archive: Option<&LockedArchive>, facts: &Facts) -> String {
    let Some(archive) = archive else {
        let purl = Purl::new("generic", &[], &package.name).version(&package.version);
        return purl.checksum(&package.file.sha256).write();
    };
    let source = facts.get(&package.file.sha256).map(|facts| &facts.source);
    let upstream = match source {
        Some(source) if source.version != package.version => format!("{}@{}", source.name, source.version),
        Some(source) if source.name != package.name => source.name.clone(),
        _ => String::new(),
    };
    lock::package_url(package, archive).with("upstream", &upstream).write()
}
