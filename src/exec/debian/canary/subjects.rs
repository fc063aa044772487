//! Everything that works on a tree by names, in one list.

#![allow(clippy::disallowed_methods, reason = "tests write files as anybody does, and without waiting for a disk")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::base::{Arch, Timestamp};
use crate::debian::deb::{self, Control};
use crate::exec::builtin::tools;
use crate::exec::debian::rules::{RuleInput, Stage};
use crate::exec::debian::{Deb, database, origin, parts, rules};
use crate::exec::failure::StepFailure;
use crate::exec::tree::parts::Addition;
use crate::exec::tree::{RootError, Times, Tree, UnpackMode, Unpacked, Verdict, numbers, pack, restore, unpack};
use crate::format::tar::{TarEntry, TarPath, TarWriter};
use crate::plan::root::{RULES, RootContent, RootFile, RootGroup, RootIds, RootSpec, RootUnits, RootUser};

const EPOCH: Timestamp = Timestamp(1_700_000_000);

type Act = Box<dyn Fn(&Tree) -> Result<(), RootError> + Send + Sync>;

pub(super) struct Subject {
    pub(super) name: String,
    pub(super) act: Act,
    /// Whether a good tree is another one afterwards.
    pub(super) changes: bool,
    /// Whether a tree that is not empty, or belongs to a normal user, makes it fail.
    pub(super) refuses: bool,
}

/// `work` is for files beside the tree.
pub(super) fn all(work: &Path) -> Vec<Subject> {
    let mut subjects = Vec::new();
    // They find none.
    let idle = ["private-keys", "resolver"];
    for (name, rule) in rules::ALL {
        let act = move |tree: &Tree| {
            let input = |stage| RuleInput { rules: RULES, epoch: EPOCH, stage, files: &[] };
            rule(&input(Stage::Base), tree).and_then(|()| rule(&input(Stage::Root), tree))
        };
        subjects.push(subject(&format!("rule {name}"), act, !idle.contains(&name) || name == "resolver"));
    }
    for (name, part) in parts::ALL {
        let work = work.to_owned();
        let act = move |tree: &Tree| with(&work, tree, &|addition| part(addition));
        subjects.push(Subject { refuses: true, ..subject(&format!("part {name}"), act, true) });
    }
    let services = work.to_owned();
    let act = move |tree: &Tree| with(&services, tree, &|addition| parts::services(addition).map(drop));
    subjects.push(subject("services", act, true));
    subjects.push(subject("foresight", |tree| rules::foresee(tree, &["openssh-server", "postgresql-common"]), true));
    subjects.push(subject("database", |tree| database::write(tree, &[unpacked()]), true));
    let settle = |tree: &Tree| numbers::settle(&spec(), tree, origin::of);
    subjects.push(Subject { refuses: true, ..subject("numbers", settle, true) });
    subjects.push(subject("origin", |tree| origin::of(tree, "b").map(drop), false));
    subjects.push(subject("times", |tree| Times::begin(tree, EPOCH).map(drop), true));
    subjects.extend([archive(work), restored(work), packages(work), of_tools(work)]);
    subjects
}

fn subject(name: &str, act: impl Fn(&Tree) -> Result<(), RootError> + Send + Sync + 'static, changes: bool) -> Subject {
    Subject { name: name.to_owned(), act: Box::new(act), changes, refuses: false }
}

fn with(work: &Path, tree: &Tree, part: &dyn Fn(&Addition<'_>) -> Result<(), RootError>) -> Result<(), RootError> {
    let text = work.join("text");
    std::fs::write(&text, "of the recipe").unwrap();
    let archive = work.join("tree");
    std::fs::write(&archive, tree_of_a_recipe()).unwrap();
    let inputs = BTreeMap::from([("text".to_owned(), text), ("tree".to_owned(), archive)]);
    part(&Addition::new(&spec(), &inputs, tree)?)
}

fn spec() -> RootSpec {
    let me = |name: &str| std::fs::symlink_metadata("/proc/self").map_or(name.to_owned(), |data| owner(&data));
    let file = |path: &str, content| RootFile {
        path: path.to_owned(),
        content,
        mode: 0o640,
        owner: me("root"),
        group: me("root"),
        capabilities: None,
    };
    let user = |name: &str, home: &str| RootUser {
        name: name.to_owned(),
        uid: None,
        password_hash: None,
        authorized_keys: vec!["ssh-ed25519 AAAA".to_owned()],
        groups: vec!["adm".to_owned()],
        shell: Some("/usr/bin/mawk".to_owned()),
        home: Some(home.to_owned()),
    };
    RootSpec {
        architecture: Arch::default(),
        rules: RULES,
        epoch: EPOCH,
        hostname: "host".to_owned(),
        stated: Vec::new(),
        remove: vec!["/usr/share/doc/*".to_owned()],
        groups: vec![RootGroup { name: "team".to_owned(), gid: Some(2001) }],
        users: vec![user("root", "/root"), RootUser { home: None, ..user("b", "") }, user("bob", "/home/bob")],
        files: vec![
            file("/opt/hello/text", RootContent::Input("text".to_owned())),
            file("/etc/motd", RootContent::Link("/run/motd".to_owned())),
            file("/srv/new", RootContent::Directory),
            file("/var", RootContent::Tree("tree".to_owned())),
        ],
        units: RootUnits { mask: vec!["x.timer".to_owned()], ..RootUnits::default() },
        serial_console: true,
        dhcp: true,
        locale: "C.UTF-8".to_owned(),
        timezone: "Etc/UTC".to_owned(),
        root_device: Some("/dev/vda".to_owned()),
        swap_file: Some("/swapfile".to_owned()),
        grow: None,
        ids: RootIds { users: BTreeMap::from([("b".to_owned(), 900)]), groups: BTreeMap::new() },
        new_ids: true,
        strict: false,
    }
}

/// Files where the canary's links may be.
fn tree_of_a_recipe() -> Vec<u8> {
    let path = |name: &str| TarPath::new(name).unwrap();
    let mut writer = TarWriter::new(Vec::new());
    let directories = ["", "lib", "lib/dpkg"].map(|name| TarEntry::directory(path(name), 0o755, 0));
    directories.iter().for_each(|entry| writer.append_empty(entry).unwrap());
    writer.append(&TarEntry::file(path("lib/dpkg/status"), 0o644, 0, 6), b"status".as_slice()).unwrap();
    writer.finish().unwrap()
}

/// The number of whoever runs the test, who may give nothing to anybody else.
fn owner(data: &std::fs::Metadata) -> String {
    std::os::unix::fs::MetadataExt::uid(data).to_string()
}

fn unpacked() -> Unpacked<Control> {
    let paths = ["etc", "etc/motd"].map(str::to_owned).to_vec();
    Unpacked { head: control(), paths, times: BTreeSet::new() }
}

fn control() -> Control {
    let archive = package(&[]);
    deb::control(archive.as_slice()).unwrap()
}

fn archive(work: &Path) -> Subject {
    let out = work.join("packed.tar");
    let act = move |tree: &Tree| {
        let times = Times::begin(tree, EPOCH)?;
        pack::write(tree, (EPOCH, &times), &out, &mut ())?;
        let bytes = crate::world::fs::read(&out, 1 << 30)?;
        let mark = format!("{}:", super::MARK);
        let leaked = bytes.windows(mark.len()).any(|window| window == mark.as_bytes());
        if leaked { Err(RootError::from(StepFailure::input(format!("{mark} is in the archive")))) } else { Ok(()) }
    };
    subject("pack", act, true)
}

fn restored(work: &Path) -> Subject {
    let file = work.join("restored.tar");
    let act = move |tree: &Tree| {
        // Beside what is there, and through every directory of the skeleton.
        for path in ["etc/new", "etc/skel/new", "usr/lib/sysusers.d/new", "var/lib/dpkg/info/new", "var/log/apt/new"] {
            let mut writer = TarWriter::new(Vec::new());
            writer.append(&TarEntry::file(TarPath::new(path)?, 0o600, 5, 4), &b"text"[..])?;
            std::fs::write(&file, writer.finish()?).unwrap();
            let _ = restore::restore(&file, tree, &mut Times::begin(tree, EPOCH)?);
        }
        Ok(())
    };
    subject("restore", act, true)
}

/// A package that ships files in every place of a system.
fn files() -> [(&'static str, tar::EntryType, &'static str); 8] {
    use tar::EntryType::{Directory, Link, Regular, Symlink};
    [
        ("./etc/apt/apt.conf.d/", Directory, ""),
        ("./etc/apt/apt.conf.d/shipped", Regular, "text"),
        ("./etc/skel/shipped", Regular, "text"),
        ("./home/shipped", Regular, "text"),
        ("./var/lib/dpkg/info/shipped", Symlink, "/etc"),
        ("./usr/share/doc/shipped", Regular, "text"),
        ("./usr/bin/shipped", Link, "./etc/skel/shipped"),
        ("./var/tmp/shipped", Regular, "text"),
    ]
}

fn packages(work: &Path) -> Subject {
    let list = written(work, "a");
    let act = move |tree: &Tree| {
        let manner = UnpackMode { arch: Arch::default(), faithful: true, mtime: None };
        let deb = |(name, file): &(String, PathBuf)| Deb { name: name.clone(), file: file.clone(), filter: None };
        let debs: Vec<Deb> = list.iter().map(deb).collect();
        unpack(tree, &debs, manner, &|_, _| Verdict::Second).map(drop)
    };
    Subject { refuses: true, ..subject("unpack", act, true) }
}

fn of_tools(work: &Path) -> Subject {
    let list = written(work, "b");
    Subject { refuses: true, ..subject("tools", move |tree| tools::fill(&list, tree), true) }
}

fn written(work: &Path, name: &str) -> Vec<(String, PathBuf)> {
    let file = work.join(format!("{name}.deb"));
    std::fs::write(&file, package(&files())).unwrap();
    vec![(name.to_owned(), file)]
}

fn package(files: &[(&str, tar::EntryType, &str)]) -> Vec<u8> {
    let control = "Package: a\nVersion: 1\nArchitecture: all\n";
    let triggers = "interest /usr/share\ninterest named\n";
    let postinst = "update-alternatives --install /usr/bin/awk awk /usr/bin/mawk 5\n";
    let regular = tar::EntryType::Regular;
    let control = archived(&[
        ("./control", regular, control),
        ("./triggers", regular, triggers),
        ("./postinst", regular, postinst),
    ]);
    let mut bytes = b"!<arch>\n".to_vec();
    for (member, content) in
        [("debian-binary", b"2.0\n".to_vec()), ("control.tar", control), ("data.tar", archived(files))]
    {
        bytes.extend(format!("{member:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 0, content.len()).bytes());
        bytes.extend(content);
    }
    bytes
}

fn archived(files: &[(&str, tar::EntryType, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, kind, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_path(path).unwrap();
        let content = if kind.is_file() { text.as_bytes() } else { b"" };
        if matches!(kind, tar::EntryType::Link | tar::EntryType::Symlink) {
            header.set_link_name(text).unwrap();
        }
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, content).unwrap();
    }
    builder.into_inner().unwrap()
}
