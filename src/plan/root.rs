//! `base.json` and `root.json`: what the steps of a root file system must know besides the files that they read.
//!
//! A *base* is packages, configured in a locale and a time zone with answers to what they ask: images that differ in
//! anything else share it. It is made again under an image's own host name where it depends on that. A *root* is a base with what the recipe says of the image. Each is an input of its
//! step, so that its bytes are part of the step's id. Field order is the order below.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::base::{Arch, Timestamp};
use crate::recipe::image::{AnswerType, FileCapabilities, MachineField};

/// The output that holds the packages of an image, configured under [`PLACEHOLDER`].
pub const BASE: &str = "base.tar";
/// The same packages, configured under the host name of the image; empty where nothing in the base depends on that.
pub const NAMED: &str = "named.tar";
/// The input of a base that adds packages to another: what that one left.
pub const BELOW: &str = "below.tar";
/// The output that holds the paths of a base in which [`PLACEHOLDER`] was found, as JSON.
pub const TRACES: &str = "host-name.json";
/// The host name under which packages are configured that images of several names share. A full name, so that scripts have
/// a domain to derive something from; in a top-level domain that nobody can have (RFC 2606), of labels that nothing holds by
/// accident and no script shortens (NetBIOS has 15 characters).
pub const PLACEHOLDER: &str = "kilnhost3kq9x.kilndomain7zr2m.invalid";
/// What of the placeholder is looked for: a script may have taken either part alone.
pub const PLACEHOLDER_LABELS: [&str; 2] = ["kilnhost3kq9x", "kilndomain7zr2m"];
/// The output that holds the root file system.
pub const ROOT: &str = "root.tar";
/// The output that holds its users and groups, [`RootIds`] as JSON.
pub const USERS: &str = "users.json";

/// The output of both steps that says what is doubtful about a root file system: [`Finding`]s as JSON.
pub const WARNINGS: &str = "warnings.json";

/// The input of a root that holds what its base found.
pub const BASE_WARNINGS: &str = "base-warnings.json";

/// The same of the base that was configured under the image's own name.
pub const NAMED_WARNINGS: &str = "named-warnings.json";

/// Something about an image that stops nothing, unless the recipe says `strict = true`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// The package that it is about.
    pub package: Option<String>,
    /// The absolute path in the image that it is about.
    pub path: Option<String>,
    /// What was found, without the package.
    pub message: String,
}

impl Finding {
    /// About a package as such.
    pub fn of_package(package: &str, message: impl Into<String>) -> Finding {
        Finding { package: Some(package.to_owned()), path: None, message: message.into() }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.package {
            Some(package) => write!(f, "package {package}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// The packages of a root file system as data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaseSpec {
    /// Whose packages these are.
    #[serde(default, skip_serializing_if = "Arch::is_default")]
    pub architecture: Arch,
    /// Version of the normalisation rules ([`RULES`]) that the plan was made for.
    pub rules: u32,
    /// Packages in configure order.
    pub packages: Vec<RootPackage>,
    /// How many of them this step configures at a time, the last ones of the list: those before them are in [`BELOW`]. All at
    /// once where this is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<usize>,
    /// Files of theirs that are left out.
    #[serde(default, skip_serializing_if = "PathFilters::is_empty")]
    pub paths: PathFilters,
    /// No file is younger.
    pub epoch: Timestamp,
    /// The name of the machine that scripts see: [`PLACEHOLDER`], or that of an image.
    pub hostname: String,
    /// The locale that scripts see.
    pub locale: String,
    /// The time zone that scripts see.
    pub timezone: String,
    /// What scripts that ask are answered, by question.
    pub answers: Vec<RootAnswer>,
}

impl BaseSpec {
    /// The packages of each layer that the step configures; nothing where the numbers contradict the list.
    pub fn ranges(&self) -> Option<Vec<Range<usize>>> {
        let all = self.packages.len();
        if self.layers.is_empty() {
            return Some(std::iter::once(0..all).collect());
        }
        let own = self.layers.iter().try_fold(0usize, |sum, count| sum.checked_add(*count))?;
        let mut from = all.checked_sub(own)?;
        let next = |count: &usize| {
            let range = from..from + count;
            from = range.end;
            range
        };
        Some(self.layers.iter().map(next).collect())
    }
}

/// An answer to a question of debconf.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RootAnswer {
    /// The package that asks.
    pub package: String,
    /// The name of the question.
    pub question: String,
    /// What kind of answer it takes.
    #[serde(rename = "type")]
    pub kind: AnswerType,
    /// The answer.
    pub value: String,
}

/// Which files of packages are left out, as patterns of [`crate::base::glob`].
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathFilters {
    /// These are.
    pub exclude: Vec<String>,
    /// But not those.
    pub include: Vec<String>,
}

impl PathFilters {
    /// Whether all files are unpacked.
    pub fn is_empty(&self) -> bool {
        self.exclude.is_empty()
    }
}

/// What a recipe makes of a base, as data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RootSpec {
    /// Whose programs the base is made of.
    #[serde(default, skip_serializing_if = "Arch::is_default")]
    pub architecture: Arch,
    /// Version of the normalisation rules ([`RULES`]) that the plan was made for.
    pub rules: u32,
    /// No file is younger.
    pub epoch: Timestamp,
    /// `/etc/hostname`
    pub hostname: String,
    /// Fields that are stated, where the recipe has trees: no tree may replace what is written for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stated: Vec<MachineField>,
    /// Patterns of what is removed before anything is added.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
    /// Groups to add, whatever they are needed for.
    pub groups: Vec<RootGroup>,
    /// Users to add, or to change when the packages made them.
    pub users: Vec<RootUser>,
    /// Files to write, after everything else.
    pub files: Vec<RootFile>,
    /// systemd units.
    pub units: RootUnits,
    /// A login on the first serial port.
    pub serial_console: bool,
    /// Addresses by DHCP from systemd-networkd.
    pub dhcp: bool,
    /// `/etc/default/locale`
    pub locale: String,
    /// Name below `/usr/share/zoneinfo`.
    pub timezone: String,
    /// What `/etc/fstab` mounts as `/`: `/dev/vda`, `UUID=...`; no entry when absent.
    pub root_device: Option<String>,
    /// A swap file that `/etc/fstab` names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swap_file: Option<String>,
    /// How the root grows with the disk that it is on, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grow: Option<RootGrowth>,
    /// The numbers that users and groups get, whatever the packages' scripts were given.
    pub ids: RootIds,
    /// Whether the packages may make users and groups that are not among `ids`.
    pub new_ids: bool,
    /// Whether [`Finding`]s are errors.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub strict: bool,
}

/// The table of file systems of an image.
#[derive(Debug, Clone, Copy)]
pub struct Fstab<'a> {
    /// What is mounted as `/`.
    pub root: &'a str,
    /// Whether that grows to the size of its partition or disk.
    pub grow: bool,
    /// A swap file.
    pub swap_file: Option<&'a str>,
}

impl Fstab<'_> {
    /// The text, fstab(5).
    pub fn text(&self) -> String {
        let Fstab { root, grow, swap_file } = self;
        let grow = if *grow { ",x-systemd.growfs" } else { "" };
        let swap = swap_file.map(|file| format!("{file}\tnone\tswap\tsw\t0\t0\n")).unwrap_or_default();
        format!("{root}\t/\text4\tdefaults,errors=remount-ro{grow}\t0\t1\n{swap}")
    }
}

/// What grows at boot where a disk is larger than its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RootGrowth {
    /// The file system, which is the whole disk.
    FileSystem,
    /// Its partition, and then the file system.
    Partition,
}

/// Version of the normalisation rules of both steps: rises whenever one of them would change a byte.
pub const RULES: u32 = 9;

/// A package and the step's input that holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RootPackage {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// `amd64` or `all`.
    pub architecture: String,
    /// Input path of its `.deb`.
    pub input: String,
}

/// A group of the recipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RootGroup {
    /// Its name.
    pub name: String,
    /// Fixed gid; else the table's, else the first free one from 1000 on.
    pub gid: Option<u32>,
}

/// A user of the recipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RootUser {
    /// Login name.
    pub name: String,
    /// Fixed uid; else the table's, else the first free one from 1000 on.
    pub uid: Option<u32>,
    /// A crypt(3) hash; `*` when absent; the empty string logs in without one.
    pub password_hash: Option<String>,
    /// Lines of `authorized_keys`.
    pub authorized_keys: Vec<String>,
    /// Supplementary groups.
    pub groups: Vec<String>,
    /// Login shell; absent: `/bin/bash` for a new user, else as it is.
    pub shell: Option<String>,
    /// Home directory; absent: `/home/NAME` for a new user, else as it is.
    pub home: Option<String>,
}

/// A file, directory or link of the recipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RootFile {
    /// Absolute path in the image.
    pub path: String,
    /// What is there.
    pub content: RootContent,
    /// Permission bits.
    pub mode: u32,
    /// User name or number.
    pub owner: String,
    /// Group name or number.
    pub group: String,
    /// What a program may do without being root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<FileCapabilities>,
}

/// What a [`RootFile`] holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RootContent {
    /// The bytes of the input at this path.
    Input(String),
    /// Everything in the archive that is the input at this path.
    Tree(String),
    /// A directory.
    Directory,
    /// A symbolic link to this target.
    Link(String),
}

/// What happens to systemd units.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RootUnits {
    /// Started at boot.
    pub enable: Vec<String>,
    /// Not started at boot.
    pub disable: Vec<String>,
    /// Cannot be started.
    pub mask: Vec<String>,
}

/// Users and groups by name, each with its number below 65535: the lock's table, and the step's output [`USERS`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RootIds {
    /// uid by user name.
    pub users: BTreeMap<String, u32>,
    /// gid by group name.
    pub groups: BTreeMap<String, u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_the_last_packages_of_a_list() {
        let package = |name: &str| RootPackage {
            name: name.to_owned(),
            version: "1".to_owned(),
            architecture: "all".to_owned(),
            input: format!("{name}.deb"),
        };
        let mut spec = BaseSpec {
            architecture: Arch::default(),
            rules: RULES,
            packages: ["a", "b", "c", "d", "e"].map(package).to_vec(),
            layers: Vec::new(),
            paths: PathFilters::default(),
            epoch: Timestamp(0),
            hostname: "h".to_owned(),
            locale: "C.UTF-8".to_owned(),
            timezone: "UTC".to_owned(),
            answers: Vec::new(),
        };
        let ends = |spec: &BaseSpec| {
            let ranges = spec.ranges()?;
            Some(ranges.iter().map(|range| (range.start, range.end)).collect::<Vec<_>>())
        };
        assert_eq!(ends(&spec).unwrap(), [(0, 5)]);
        for (layers, ranges) in
            [(vec![2], vec![(3, 5)]), (vec![2, 2], vec![(1, 3), (3, 5)]), (vec![4, 1], vec![(0, 4), (4, 5)])]
        {
            spec.layers = layers;
            assert_eq!(ends(&spec).unwrap(), ranges);
        }
        for wrong in [vec![6], vec![usize::MAX, 1]] {
            spec.layers = wrong;
            assert_eq!(spec.ranges(), None);
        }
    }

    #[test]
    fn a_swap_file_is_a_line_of_the_table() {
        let root = "/dev/vda\t/\text4\tdefaults,errors=remount-ro\t0\t1\n";
        let table = Fstab { root: "/dev/vda", grow: false, swap_file: None };
        assert_eq!(table.text(), root);
        let with_swap = Fstab { swap_file: Some("/swapfile"), ..table };
        assert_eq!(with_swap.text(), format!("{root}/swapfile\tnone\tswap\tsw\t0\t0\n"));
        assert!(Fstab { grow: true, ..table }.text().contains("\tdefaults,errors=remount-ro,x-systemd.growfs\t"));
    }
}
