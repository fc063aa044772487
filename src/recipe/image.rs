//! `image NAME extends BASE { ... }`: a Debian disk.

pub mod capability;
mod check;
mod debconf;
mod disk;
mod file;
mod group;
mod machine_files;
mod overlap;
mod partition;
mod paths;
mod size;
mod swap;
mod user;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::address::Address;
use super::build::BuildOutput;
use super::packages::PackageSet;
use crate::base::Arch;
use crate::base::span::{Span, Spanned};

pub use capability::FileCapabilities;
pub use check::check;
pub use disk::{DiskFormat, ImageDisk, ImageForm, REPART_FILE};
pub(crate) use file::MOUNTED_OVER;
pub use machine_files::MachineField;
pub use partition::ImagePartition;
pub use size::SIZES;
pub use swap::SWAP_FILE;
pub use user::is_never_made;

/// What the shell of the initramfs comes from.
pub const BUSYBOX: &str = "busybox-static";

/// A root file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its name.
    pub name: String,
    /// Whose packages it is made of.
    pub architecture: Spanned<Arch>,
    /// What it is delivered as.
    pub form: ImageForm,
    /// What is installed.
    pub packages: PackageSet,
    /// What of the packages is not in it.
    pub paths: PathPatterns,
    /// `/etc/hostname`
    pub hostname: String,
    /// Groups to add.
    pub groups: Vec<Group>,
    /// Users to add, or to change when they exist (root).
    pub users: Vec<User>,
    /// Files to write, in path order.
    pub files: Vec<ImageFile>,
    /// Kernel modules of builds, for whatever kernel the machine boots.
    pub modules: Vec<Spanned<BuildOutput>>,
    /// systemd units to enable.
    pub enable: Vec<String>,
    /// systemd units to disable.
    pub disable: Vec<String>,
    /// systemd units to mask.
    pub mask: Vec<String>,
    /// A login on the first serial port.
    pub serial_console: bool,
    /// Network interfaces get their address by DHCP from systemd-networkd.
    pub dhcp: bool,
    /// Locale for `/etc/default/locale`.
    pub locale: String,
    /// Time zone name.
    pub timezone: String,
    /// Answers to what packages ask while they are configured, by question.
    pub debconf: Vec<DebconfAnswer>,
    /// Whether what is doubtful about the packages' files is an error.
    pub strict: bool,
    /// Where it was declared.
    pub span: Span,
    /// Where those of its fields stand that only a build can find wrong.
    pub spans: FieldSpans,
}

/// Where fields of an image stand; `None` for what the recipe does not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldSpans {
    /// `size`
    pub size: Span,
    /// `format`
    pub format: Option<Span>,
    /// `grow`
    pub grow: Option<Span>,
    /// What describes the machine to its programs, as far as it is stated.
    pub machine: BTreeMap<MachineField, Span>,
    /// Every unit of `enable`, `disable` and `mask`, by name.
    pub units: BTreeMap<String, Span>,
    /// Every pattern of [`PathPatterns`].
    pub patterns: BTreeMap<String, Span>,
}

/// Files of packages that are not in an image, as patterns of [`crate::base::glob`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PathPatterns {
    /// Never unpacked, now and when dpkg in the machine unpacks a package.
    pub exclude: Vec<String>,
    /// Unpacked all the same.
    pub include: Vec<String>,
    /// Removed before the recipe's files are added.
    pub remove: Vec<String>,
}

impl Image {
    /// The disk that it becomes, unless it is an archive.
    pub fn disk(&self) -> Option<&ImageDisk> {
        match &self.form {
            ImageForm::Disk(disk) => Some(disk),
            ImageForm::Tar => None,
        }
    }

    /// The disk of an image that a machine uses.
    pub fn machine_disk(&self) -> &ImageDisk {
        self.disk().expect("the image of a machine in a checked recipe is a disk")
    }

    /// Every package set that it is made of, and made with.
    pub fn sets(&self) -> Vec<&PackageSet> {
        let disk = self.disk().into_iter().flat_map(|disk| std::iter::once(&disk.tools).chain(&disk.initramfs));
        std::iter::once(&self.packages).chain(disk).collect()
    }

    /// What it takes from builds.
    pub fn build_outputs(&self) -> impl Iterator<Item = &BuildOutput> {
        let files = self.files.iter().filter_map(|file| match &file.content {
            Content::Output(output) | Content::OutputTree(output) => Some(output),
            _ => None,
        });
        files.chain(self.modules.iter().map(|module| &module.value))
    }

    /// The key of a fetched file among the lock's sources.
    pub fn source_name(&self, file: &ImageFile) -> String {
        format!("{}:{}", self.name, file.path)
    }
}

/// One answer to a question of debconf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebconfAnswer {
    /// The package that asks.
    pub package: String,
    /// The name of the question: `wireshark-common/install-setuid`.
    pub question: String,
    /// What kind of answer it takes.
    pub kind: AnswerType,
    /// The answer.
    pub value: String,
    /// Where it stands.
    pub span: Span,
}

/// The types of questions that take an answer (debconf-devel(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerType {
    /// `true` or `false`.
    Boolean,
    /// Any of several choices, separated by commas.
    Multiselect,
    /// A text that debconf keeps in a file for root alone.
    Password,
    /// One of several choices.
    Select,
    /// Any text.
    String,
}

impl AnswerType {
    /// Each of them.
    pub const ALL: [AnswerType; 5] =
        [AnswerType::Boolean, AnswerType::Multiselect, AnswerType::Password, AnswerType::Select, AnswerType::String];

    /// Debconf's name for it.
    pub const fn name(self) -> &'static str {
        match self {
            AnswerType::Boolean => "boolean",
            AnswerType::Multiselect => "multiselect",
            AnswerType::Password => "password",
            AnswerType::Select => "select",
            AnswerType::String => "string",
        }
    }
}

/// One group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Fixed gid, else the lock's table.
    pub gid: Option<u32>,
    /// Where it was declared.
    pub span: Span,
}

/// One user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Login name.
    pub name: String,
    /// Fixed uid, else the lock's table.
    pub uid: Option<u32>,
    /// A crypt(3) hash; `*` when absent, so that no password works; the empty string logs in without one.
    pub password_hash: Option<String>,
    /// Lines of `authorized_keys`.
    pub authorized_keys: Vec<String>,
    /// Supplementary groups.
    pub groups: Vec<String>,
    /// Login shell: `/bin/bash` for a new user, else as it is.
    pub shell: Option<String>,
    /// Home directory: `/home/NAME` for a new user, else as it is.
    pub home: Option<String>,
    /// Where it was declared.
    pub span: Span,
}

/// One file, tree, directory or link to put into the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFile {
    /// Absolute path in the image.
    pub path: String,
    /// What is there.
    pub content: Content,
    /// Permission bits; 0644 or 0755 unless said.
    pub mode: u32,
    /// `user`, or a number.
    pub owner: String,
    /// `group`, or a number.
    pub group: String,
    /// What a program may do without being root.
    pub capabilities: Option<FileCapabilities>,
    /// Where it was declared.
    pub span: Span,
}

/// What an [`ImageFile`] holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Text in the recipe.
    Text(String),
    /// A path in `Recipe::files`.
    File(String),
    /// A file on the network; [`Image::source_name`] names it in the lock.
    Url(Address),
    /// A directory with everything in it: its key in `Recipe::files`.
    Tree(String),
    /// A file that a build left.
    Output(BuildOutput),
    /// A directory that a build left, with everything in it.
    OutputTree(BuildOutput),
    /// A directory.
    Directory,
    /// A symbolic link to this target.
    Link(String),
}
