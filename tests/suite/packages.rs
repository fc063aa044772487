//! Real packages for live tests, by the host's apt with a state of its own; kiln's resolver is judged elsewhere.

use std::path::{Path, PathBuf};
use std::process::Command;

use kiln::plan::root::RootPackage;

/// A package at hand.
pub(in crate::suite) struct Package {
    pub(in crate::suite) locked: RootPackage,
    pub(in crate::suite) file: PathBuf,
}

/// The named packages with everything required, in the order in which apt would configure them.
pub(in crate::suite) fn fetch(suite: &str, names: &[&str]) -> Vec<Package> {
    let apt = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("apt-{suite}"));
    std::fs::create_dir_all(&apt).unwrap();
    // Tests run side by side, some in processes of their own, and apt does not wait for another.
    let turn = std::fs::File::create(apt.join("turn")).unwrap();
    rustix::fs::flock(&turn, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let config = prepare(&apt, suite);
    let mut wanted = required(&apt);
    wanted.extend(names.iter().map(|name| (*name).to_owned()));
    let run = |args: &[&str]| {
        let output = Command::new("apt-get").env("APT_CONFIG", &config).args(args).args(&wanted).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    run(&["-qq", "-y", "-d", "install"]);
    let order = run(&["-s", "install"]);
    let conf = order.lines().filter_map(|line| line.strip_prefix("Conf "));
    conf.map(|line| package(&apt, line)).collect()
}

/// `NAME (VERSION ARCHIVE [ARCH])`
fn package(apt: &Path, line: &str) -> Package {
    let words: Vec<&str> = line.split([' ', '(', ')', '[', ']']).filter(|word| !word.is_empty()).collect();
    let (name, version, architecture) = (words[0], words[1], *words.last().unwrap());
    let file = format!("{name}_{}_{architecture}.deb", version.replace(':', "%3a"));
    let locked = RootPackage {
        name: name.to_owned(),
        version: version.to_owned(),
        architecture: architecture.to_owned(),
        input: format!("debs/{file}"),
    };
    Package { locked, file: apt.join("cache/archives").join(file) }
}

fn prepare(apt: &Path, suite: &str) -> PathBuf {
    for directory in ["etc/preferences.d", "etc/apt.conf.d", "state/lists/partial", "cache/archives/partial"] {
        std::fs::create_dir_all(apt.join(directory)).unwrap();
    }
    let config = apt.join("apt.conf");
    let dir = apt.display();
    let keys = "/usr/share/keyrings/debian-archive-keyring.gpg";
    let source = format!("deb [signed-by={keys}] {} {suite} main\n", host_mirror());
    std::fs::write(apt.join("etc/sources.list"), source).unwrap();
    std::fs::write(apt.join("state/status"), "").unwrap();
    let text = format!(
        "Dir::Etc \"{dir}/etc\";\nDir::State \"{dir}/state\";\nDir::State::status \"{dir}/state/status\";\n\
         Dir::Cache \"{dir}/cache\";\nAPT::Install-Recommends \"false\";\nAPT::Architecture \"amd64\";\n\
         APT::Sandbox::User \"root\";\nAcquire::Languages \"none\";\nAPT::Keep-Downloaded-Packages \"true\";\n"
    );
    std::fs::write(&config, text).unwrap();
    let updated = Command::new("apt-get").env("APT_CONFIG", &config).args(["-qq", "update"]).status().unwrap();
    assert!(updated.success(), "apt-get update");
    config
}

/// The first Debian repository among the host's own sources.
fn host_mirror() -> String {
    let directory = Path::new("/etc/apt/sources.list.d");
    let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let texts: Vec<String> = files.filter_map(|file| std::fs::read_to_string(file).ok()).collect();
    let uris = texts.iter().flat_map(|text| text.lines()).filter_map(|line| line.strip_prefix("URIs:"));
    let mut mirrors = uris.map(str::trim).filter(|uri| uri.ends_with("/debian") || uri.ends_with("/debian/"));
    mirrors.next().expect("the host has a Debian repository among its sources").to_owned()
}

/// Names of essential and required packages.
fn required(apt: &Path) -> Vec<String> {
    let lists = std::fs::read_dir(apt.join("state/lists")).unwrap().map(|entry| entry.unwrap().path());
    let mut names = Vec::new();
    for list in lists.filter(|path| path.to_string_lossy().contains("_Packages")) {
        let output = Command::new("/usr/lib/apt/apt-helper").arg("cat-file").arg(&list).output().unwrap();
        for stanza in String::from_utf8(output.stdout).unwrap().split("\n\n") {
            let field = |name: &str| stanza.lines().find_map(|line| line.strip_prefix(name));
            if field("Essential: ") == Some("yes") || field("Priority: ") == Some("required") {
                names.extend(field("Package: ").map(str::to_owned));
            }
        }
    }
    names
}
