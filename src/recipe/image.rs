//! `image NAME extends BASE { ... }`: a Debian disk.

pub mod capability;
mod check;
mod debconf;
mod file;
mod group;
mod paths;
mod swap;
mod user;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::address::Address;
use super::build::BuildOutput;
use super::packages::PackageSet;
use crate::base::Arch;
use crate::base::span::{Span, Spanned};

pub use capability::FileCapabilities;
pub use check::check;
pub(crate) use file::MOUNTED_OVER;
pub use user::is_never_made;

/// What the shell of the initramfs comes from.
pub const BUSYBOX: &str = "busybox-static";

/// Bytes of an image's file system: less does not hold the packages that every Debian system has; more than 2 TiB is a
/// typo.
pub const SIZES: RangeInclusive<u64> = (64 << 20)..=(2 << 40);

/// The swap file of an image.
pub const SWAP_FILE: &str = "/swapfile";

/// A disk image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its name.
    pub name: String,
    /// Whose packages it is made of.
    pub architecture: Spanned<Arch>,
    /// Bytes of the file system.
    pub size: u64,
    /// Bytes of the swap file on it.
    pub swap: Option<u64>,
    /// How its disks are delivered.
    pub format: DiskFormat,
    /// What is installed.
    pub packages: PackageSet,
    /// The tools that make the disk (mke2fs, kmod, busybox ...): unpacked beside the image, never part of it.
    pub tools: PackageSet,
    /// What the initramfs runs, where `tools` are programs of another architecture than the image.
    pub initramfs: Option<PackageSet>,
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
    /// `locale`
    pub locale: Option<Span>,
    /// `timezone`
    pub timezone: Option<Span>,
    /// `dhcp`
    pub dhcp: Option<Span>,
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
    /// The set that the initramfs's shell comes from: a program of the machine, not of what builds it.
    pub fn initramfs_set(&self) -> &PackageSet {
        self.initramfs.as_ref().unwrap_or(&self.tools)
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

/// How the bytes of a disk lie in its file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskFormat {
    /// The disk's own bytes, one after the other; what holds nothing is a hole in the file.
    Raw,
    /// QEMU's own format, compressed and without the blocks that hold nothing.
    #[default]
    Qcow2,
}

impl DiskFormat {
    /// Its name in recipes, and QEMU's for it.
    pub fn name(self) -> &'static str {
        match self {
            DiskFormat::Raw => "raw",
            DiskFormat::Qcow2 => "qcow2",
        }
    }

    /// The name of a disk's file.
    pub const fn file_name(self) -> &'static str {
        match self {
            DiskFormat::Raw => "disk.raw",
            DiskFormat::Qcow2 => "disk.qcow2",
        }
    }
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
