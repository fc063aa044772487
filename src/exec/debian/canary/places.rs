//! Where things lie in a tree: a skeleton of Debian's directories, and every path that stands in the code.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::exec::debian::rules::keystore;

/// What is at the top of every system.
const TOP: [&str; 14] =
    ["boot", "dev", "etc", "home", "lib", "opt", "proc", "root", "run", "srv", "sys", "tmp", "usr", "var"];

/// Directories that code lists or empties without naming anything in them, and what [`super::subjects`] asks for.
const SKELETON: [&str; 27] = [
    "etc/apt/apt.conf.d/x",
    "etc/default/locale",
    "etc/skel/.bashrc",
    "etc/ssh/ssh_host_rsa_key",
    "etc/ssl/certs/java/cacerts",
    "etc/systemd/system/x.service",
    "home/bob/.ssh/authorized_keys",
    "opt/hello/text",
    "run/lock/x",
    "srv/key",
    "tmp/x",
    "usr/bin/mawk",
    "usr/lib/postgresql/17/bin/initdb",
    "usr/lib/python3/__pycache__/x.pyc",
    "usr/lib/sysusers.d/x.conf",
    "usr/share/doc/x/copyright",
    "var/backups/x",
    "var/cache/apt/archives/x.deb",
    "var/cache/fontconfig/x",
    "var/cache/man/x",
    "var/lib/apt/lists/x",
    "var/lib/dpkg/alternatives/x",
    "var/lib/dpkg/info/x.list",
    "var/lib/dpkg/parts/x",
    "var/lib/dpkg/updates/x",
    "var/log/apt/term.log",
    "var/tmp/x",
];

/// Paths without a leading slash.
pub(super) struct Places {
    all: BTreeSet<String>,
}

impl Places {
    /// Those in the source files of everything that works on trees by names.
    pub(super) fn of_the_code() -> Places {
        let mut found: BTreeSet<String> = SKELETON.map(str::to_owned).into();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/exec");
        let mut left = ["debian", "tree", "builtin/tools", "builtin/tools.rs"].map(|name| source.join(name)).to_vec();
        while let Some(path) = left.pop() {
            if path.is_dir() {
                left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            } else if !path.to_string_lossy().contains("canary") && !path.ends_with("tree/tests.rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.extend(named(text.split("#[cfg(test)]").next().unwrap()));
            }
        }
        // With all directories above them.
        let above = |path: &String| {
            let ends = path.match_indices('/').map(|(end, _)| path[..end].to_owned());
            ends.chain([path.clone()]).collect::<Vec<_>>()
        };
        Places { all: found.iter().flat_map(above).collect() }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(String::as_str)
    }

    /// Those that nothing lies below.
    pub(super) fn leaves(&self) -> impl Iterator<Item = &str> {
        let above = |path: &str| self.all.range(format!("{path}/")..format!("{path}0")).next().is_some();
        self.all().filter(move |path| !above(path))
    }

    /// Makes a system of them.
    pub(super) fn fill(&self, at: &Path) {
        for place in self.leaves() {
            let file = at.join(place);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            if TOP.contains(&place) {
                fs::create_dir(file).unwrap();
            } else {
                fs::write(file, content(place, "tree")).unwrap();
            }
        }
    }
}

/// The paths in a source file. What it puts together of a path and a name is tried with every name in the file.
fn named(text: &str) -> BTreeSet<String> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let words: Vec<&str> = lines.flat_map(|line| line.split('"').skip(1).step_by(2)).collect();
    let plain = |word: &str| word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-+._/:@".contains(&byte));
    let names: Vec<&str> = words.iter().copied().filter(|word| plain(word) && word.len() > 2).collect();
    let mut paths = BTreeSet::new();
    for word in words {
        let word = word.trim_matches('/');
        if !TOP.contains(&word.split('/').next().unwrap_or_default()) || word.split('/').any(|part| part == "..") {
            continue;
        }
        match word.split_once('{') {
            None if plain(word) => drop(paths.insert(word.to_owned())),
            Some((start, _)) if plain(start) && start.ends_with('/') => {
                let relative = names.iter().filter(|name| !TOP.contains(&name.split('/').next().unwrap_or_default()));
                paths.extend(relative.map(|name| format!("{start}{}", name.trim_matches('/'))));
            }
            _ => {}
        }
    }
    paths
}

/// Something that the code which looks for this file understands, and finds something to change in.
pub(super) fn content(place: &str, mark: &str) -> Vec<u8> {
    let lines = |lines: &[&str]| lines.iter().map(|line| format!("{line}\n")).collect::<String>().into_bytes();
    match place.rsplit('/').next().unwrap_or_default() {
        "passwd" => lines(&[
            "b:x:999:999::/home/new:/usr/bin/mawk",
            "root:x:0:0:root:/root:/usr/bin/mawk",
            &format!("{mark}:x:997:997:{mark}:/:/bin/sh"),
        ]),
        "group" => lines(&["b:x:999:", "root:x:0:", &format!("{mark}:x:997:"), "adm:x:4:b"]),
        "shadow" => lines(&["b:!:20000::::::", "root:*:1:0:99999:7:::", &format!("{mark}:*:1:0:99999:7:::")]),
        "gshadow" => lines(&["b:!::", "root:*::", &format!("{mark}:*::"), "adm:*::b"]),
        "cacerts" => keystore::tests::store(&[(mark, 9), ("a", 3)]),
        "key" if mark == super::MARK => lines(&["-----BEGIN PRIVATE KEY-----", mark]),
        _ => lines(&["z: z", &format!("{mark}: x"), "", "a: a"]),
    }
}
