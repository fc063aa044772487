//! The nouns of a plan.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::kind::{ArtifactKind, StepKind};
use crate::base::{Arch, Digest, Timestamp};
use crate::recipe::content::DiskSource;
use crate::recipe::image::DiskFormat;
use crate::recipe::local::LocalReader;

/// Everything a build does, in an order in which every input precedes its use.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Files that the lock names; only those that a step to be run needs are fetched.
    pub fetches: BTreeMap<Digest, Fetch>,
    /// Steps; inputs refer to earlier positions only.
    pub steps: Vec<Step>,
    /// What the build delivers.
    pub artifacts: Vec<Artifact>,
    /// By machine: the step whose tree has its QEMU.
    pub qemu: BTreeMap<String, usize>,
    /// Directories of whoever builds, by the name that inputs have for them. What is in them is in no static id.
    pub local: BTreeMap<String, LocalSource>,
    /// By step: how it can go on from where an earlier run ended. Part of no id.
    pub incremental: BTreeMap<usize, IncrementalRun>,
    /// Inputs that the plan itself holds and that are nobody's business but the builder's: files that in the image not
    /// everybody may read, and what holds passwords. Part of no id.
    pub private: BTreeSet<Digest>,
    /// Steps whose outputs are large, and of use to the steps that read them alone: they are handed on, and kept nowhere.
    /// Nothing of them is delivered.
    pub transient: BTreeSet<usize>,
}

/// How a step can go on from what an earlier run of it left in its build directory, instead of from nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncrementalRun {
    /// The directory below the build directory that is handed on.
    pub directory: String,
    /// The inputs in which the two runs may differ. A run is shown what changed in those of them that are local, and nothing else.
    pub changing: BTreeSet<String>,
    /// What such a run sees instead of some of its inputs.
    pub instead: BTreeMap<String, Vec<u8>>,
}

/// A directory of whoever builds, or a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalSource {
    /// Where it is, without links.
    pub path: PathBuf,
    /// What of it is read.
    pub part: SourcePart,
}

/// No name of a kernel has a dot. Those of sources may, but have the name of their build before a slash.
const KCONFIG_PART: &str = ".kconfig";

/// What of a directory a step reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourcePart {
    /// Everything.
    Whole,
    /// What decides the configuration of Linux, for the architecture that it calls by this name: what `kconfig.sh` packs.
    Kconfig(String),
}

impl SourcePart {
    /// What this part of the directory of a kernel, or of a source of a build, is called in [`Plan::local`].
    pub fn name(&self, reader: &LocalReader) -> String {
        match self {
            SourcePart::Whole => reader.to_string(),
            SourcePart::Kconfig(_) => format!("{reader}{KCONFIG_PART}"),
        }
    }

    /// The name of the [`LocalReader`] that such a name is about.
    pub fn owner(name: &str) -> &str {
        match LocalReader::named(name) {
            LocalReader::Kernel(_) => name.strip_suffix(KCONFIG_PART).unwrap_or(name),
            LocalReader::Build { .. } => name,
        }
    }

    /// Whether a path belongs to it.
    pub fn has(&self, path: &[u8]) -> bool {
        let SourcePart::Kconfig(arch) = self else { return true };
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let below = |directory: &str| path.starts_with(directory.as_bytes());
        ["Kconfig", "Makefile", "Kbuild"].iter().any(|prefix| name.starts_with(prefix.as_bytes()))
            || below("scripts/")
            || below("kernel/configs/")
            || below(&format!("arch/{arch}/configs/"))
    }
}

/// A file that the lock names by digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// What progress shows: `bash 5.2.37-2 (amd64)`.
    pub label: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256.
    pub digest: Digest,
    /// Where it may be had.
    pub place: FetchPlace,
}

/// Where a file may be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchPlace {
    /// A file of a repository: asked from mirrors, then from the snapshot service.
    Repository {
        /// `debian`
        repository: String,
        /// `pool/main/b/bash/bash_5.2.37-2_amd64.deb`
        path: String,
        /// When the snapshot service had it there.
        snapshot: Timestamp,
    },
    /// A published URL.
    Url(String),
    /// A file that the recipe brings along.
    Recipe(DiskSource),
}

impl FetchPlace {
    /// Whether it is on this machine: nothing is downloaded.
    pub fn is_local(&self) -> bool {
        matches!(self, FetchPlace::Recipe(_))
    }
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What it makes; unique within the plan.
    pub kind: StepKind,
    /// What is done.
    pub work: Work,
    /// What it sees, by path relative to its input root.
    pub inputs: BTreeMap<String, Input>,
    /// Paths it must leave behind, relative to its build directory.
    pub outputs: Vec<String>,
}

impl Step {
    /// What locks, manifests and people call it: `root debian-cxl`, `disk expander`.
    pub fn name(&self) -> String {
        self.kind.to_string()
    }

    /// The steps that it reads, its tools among them.
    pub fn dependencies(&self) -> BTreeSet<usize> {
        let inputs = self.inputs.values().filter_map(|input| match input {
            Input::Output { step, .. } => Some(*step),
            Input::Fetched(_) | Input::Inline(_) | Input::Local(_) => None,
        });
        inputs.chain(self.tools()).collect()
    }

    /// The step whose tree is the root of the step's sandbox.
    pub fn tools(&self) -> Option<usize> {
        match &self.work {
            Work::Sandbox { tools, .. } => Some(*tools),
            Work::Builtin(_) => None,
        }
    }
}

impl Plan {
    /// The position of the step of this kind.
    pub fn position(&self, kind: &StepKind) -> Option<usize> {
        self.steps.iter().position(|step| step.kind == *kind)
    }
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Kiln's own code, in process.
    Builtin(Builtin),
    /// A command in a sandbox whose `/usr` is a tree of unpacked packages.
    Sandbox {
        /// The step whose output `tree` is the sandbox's root.
        tools: usize,
        /// What runs; relative paths are relative to the build directory.
        argv: Vec<String>,
        /// Besides the sandbox's own environment. How many processors there are is no part of it, since that must not
        /// change a bit: whoever runs the step lets it see fewer.
        env: BTreeMap<String, String>,
        /// Whether the sandbox has a range of user ids.
        ids: Ids,
    },
}

impl Work {
    /// The processor that it takes.
    pub fn arch(&self) -> Arch {
        match self {
            Work::Builtin(builtin) => builtin.arch(),
            Work::Sandbox { .. } => Arch::BUILD,
        }
    }
}

impl Builtin {
    /// The processor that it takes: kiln's own code runs on any, the programs of an image on theirs alone.
    pub fn arch(&self) -> Arch {
        match self {
            Builtin::Base(arch) | Builtin::Named(arch) | Builtin::Root(arch) => *arch,
            _ => Arch::BUILD,
        }
    }
}

/// User ids in a sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Ids {
    /// Only root: enough for everything that changes no owners.
    Single,
    /// 0 to 65535.
    Range,
}

/// Steps that kiln carries out itself. Parameters that are not here are inputs.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Builtin {
    /// Inputs `*.deb`: their files merged into one tree (output `tree`), for use as a sandbox's root.
    Tools,
    /// Inputs `*.deb` and `base.json` (see [`super::root`]): the packages, configured by their own scripts, which are
    /// programs of the architecture (outputs `base.tar`, and `host-name.json`: the paths that depend on the host name).
    Base(Arch),
    /// The same inputs, with another host name in `base.json`, and `host-name.json`: output `named.tar`, which is empty where
    /// nothing depends on it.
    Named(Arch),
    /// Inputs `base.tar`, `named.tar`, `root.json` and the files that it names: the root file system of an image (outputs `root.tar`,
    /// `users.json`). Runs programs of the image.
    Root(Arch),
    /// Input `kernel.deb`, and perhaps `epoch` (RFC 3339), which no module is then younger than: outputs `vmlinuz`,
    /// `kernel.config`, `modules.tar`.
    StockKernel,
    /// Inputs `kernel.json` (see [`super::ready`]), `image`, perhaps `modules` and `config`, which builds left: outputs `vmlinuz`,
    /// perhaps `modules.tar` and `kernel.config`.
    ReadyKernel,
    /// Inputs `code` and `variables`, which builds left: outputs `ovmf-code.fd` and `ovmf-vars.fd`.
    ReadyFirmware,
    /// Inputs `modules.tar`, `busybox.deb`, `initrd.json`: output `initrd.img`.
    Initrd,
    /// Inputs `kernel.config`, `kconfig.tar` and `requested.json` (see [`super::kernel::requested`]): output
    /// `kernel.config`, unchanged, if every option that was asked for is in it.
    KernelCheck,
    /// Input `tree`, a directory that a build left: output `tree.tar`, with the modes that a tree of the recipe has.
    Pack,
    /// Inputs `*.tar`, later ones on top: output `merged.tar`.
    MergeTars,
    /// Inputs `*.tar`, later ones on top, and `disk.json` (see [`super::disk`]): outputs the file system of the root, in the
    /// format that is asked for, and `partition-N.raw` for each of the partitions, by its place among them.
    Disk,
    /// Inputs `boot.json` (see [`super::boot`]), `root.raw`, perhaps `partition-N.raw`, `vmlinuz`, perhaps `initrd.img`; for UEFI `stub.deb` and
    /// `cmdline`, for a BIOS `grub.deb`, `core.img` and `grub.cfg`: output `disk.raw`, with partitions.
    BootDisk,
    /// Input `disk.raw`: the same disk in another format (see [`super::disk`]).
    Convert {
        /// That format.
        format: DiskFormat,
    },
    /// Input `ovmf.deb`: outputs `ovmf-code.fd` and `ovmf-vars.fd`.
    Firmware,
    /// Inputs `*.deb` and `built`, a directory that a build left: output `tree`, the packages' files with that directory over
    /// them, in which QEMU runs.
    QemuTree,
    /// Inputs `qemu`, a tree, and `questions.json` (see [`super::qemu`]): output `facts.json`.
    QemuFacts,
}

/// What a step reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A file of [`Plan::fetches`].
    Fetched(Digest),
    /// Bytes that the plan itself holds: scripts, configuration.
    Inline(Vec<u8>),
    /// An archive of one of [`Plan::local`], which is read when the step runs.
    Local(String),
    /// What an earlier step left behind.
    Output {
        /// Position in [`Plan::steps`].
        step: usize,
        /// One of its outputs.
        name: String,
    },
}

/// A file that the build delivers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// What it belongs to.
    pub owner: ArtifactOwner,
    /// Which of the owner's files it is.
    pub kind: ArtifactKind,
    /// Where it comes from.
    pub from: Input,
}

/// What a file that is delivered belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArtifactOwner {
    /// A machine, which has several files.
    Machine(String),
    /// An image that no machine uses, which is one file.
    Image(String),
    /// A kernel that no machine uses, which has several.
    Kernel(String),
}

impl Artifact {
    /// Its name in the directory of its owner: `disk.qcow2` of a machine, `IMAGE.qcow2` of an image, `KERNEL.vmlinuz` and
    /// `KERNEL.config` of a kernel.
    pub fn file_name(&self) -> String {
        let name = self.kind.file_name();
        match &self.owner {
            ArtifactOwner::Machine(_) => name.to_owned(),
            ArtifactOwner::Image(image) => {
                let (_, suffix) = name.rsplit_once('.').expect("disks and archives have a suffix");
                format!("{image}.{suffix}")
            }
            ArtifactOwner::Kernel(kernel) if self.kind == ArtifactKind::KernelConfig => format!("{kernel}.config"),
            ArtifactOwner::Kernel(kernel) => format!("{kernel}.{name}"),
        }
    }

    /// The machine that it belongs to.
    pub fn machine(&self) -> Option<&str> {
        match &self.owner {
            ArtifactOwner::Machine(machine) => Some(machine),
            ArtifactOwner::Image(_) | ArtifactOwner::Kernel(_) => None,
        }
    }
}
