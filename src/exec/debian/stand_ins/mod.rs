//! Quicker programs in the place of those that packages' scripts run over and over: the same work, most of which is starting
//! processes, or could have been done before.
//!
//! Input: a tree whose packages are unpacked. Output: files that the sandbox mounts over those programs while packages are
//! configured, and a line of the script. A program is known by its digest, so that any other version runs itself; a second
//! build (`kiln verify --rebuild`) runs them all, so that a difference is found. They are made of what every image has (perl is
//! essential), run in the same sandbox with the same privileges, and leave nothing behind: the tree has what they hide.
//!
//! * `update-ca-certificates.pl` does the work of its namesake in one process.
//! * `server.pl` has loaded perl's modules once and runs perl programs, their own text, in copies of itself; `client.pl` is what
//!   lies over these programs.
//! * `deb-systemd-helper.pl` answers before `client.pl` asks, where nothing is recorded of a unit.
//! * `early-hwdb.sh` runs `systemd-hwdb` while other scripts run, and `systemd-hwdb.sh` hands out its result. As it is made by the
//!   program itself, out of what the program would read, any version may be replaced.
//! * `ca-certificates-config.sh` runs the text of its namesake without processes for each certificate.
//! * `dpkg-maintscript-helper.sh` does nothing where its namesake would find out that there is nothing to do.
//! * `py_compile.py` runs the text of its namesake in two processes.
//!
//! All run the program itself wherever they meet what they do not know.

mod programs;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::origin::Info;
use crate::exec::tree::{HostPath, RootError, Tree};
use programs::{Kind, PROGRAMS, Program};

/// Where the sandbox shows them: `/dev` is one of its own, and no script empties it.
const PLACE: &str = "/dev/kiln";
const PERL: &str = "usr/bin/perl";
/// No program here is larger.
const LIMIT: u64 = 1 << 20;

const SERVER: &str = include_str!("server.pl");
const CLIENT: &str = include_str!("client.pl");

/// What moves, removes, changes or reads a file, which is not the one that a script sees, and is mounted.
const HANDLERS: [&str; 22] = [
    "dpkg-divert",
    "dpkg-statoverride",
    "chmod",
    "chown",
    "mv",
    "cp",
    "ln",
    "install",
    "setcap",
    "cat",
    "chattr",
    "dd",
    "md5sum",
    "rm",
    "sed",
    "setfacl",
    "sha256sum",
    "tar",
    "tee",
    "touch",
    "truncate",
    "unlink",
];

/// Whether a line of a maintainer script does so with a program that something stands in for.
pub(super) fn are_handled_by(script: &str) -> bool {
    // The name of the frontend alone may be that of anything.
    let name = |path: &'static str| if path.ends_with("/frontend") { "debconf/frontend" } else { base_name(path) };
    let named = |line: &str| PROGRAMS.iter().any(|program| line.contains(name(program.path)));
    let handles = |line: &str| {
        line.split(|c: char| !c.is_ascii_alphanumeric() && !"-_".contains(c)).any(|word| HANDLERS.contains(&word))
    };
    commands(script).iter().any(|line| named(line) && handles(line))
}

/// The commands of a script, each in one line. A comment ends with its line, whatever that ends with.
fn commands(script: &str) -> Vec<String> {
    let (mut commands, mut begun) = (Vec::new(), String::new());
    for line in script.lines() {
        if begun.is_empty() && line.trim_start().starts_with('#') {
            continue;
        }
        let goes_on = line.strip_suffix('\\');
        begun.push_str(goes_on.unwrap_or(line));
        if goes_on.is_none() {
            commands.push(std::mem::take(&mut begun));
        }
    }
    commands.push(begun);
    commands
}

/// Whether a script of a package that is configured already does so, which triggers have run again.
pub(super) fn are_handled_in(tree: &Tree) -> Result<bool, RootError> {
    let info = Info::read(tree)?;
    let handles = |stem: &OsString| {
        ["config", "postinst"].iter().any(|what| info.list(stem, what).is_none_or(|script| are_handled_by(&script)))
    };
    Ok(info.stems.iter().any(handles))
}

/// Whether a diversion of a `preinst` moves a file that its text does not name, which could be such a program.
pub(super) fn may_be_moved_by(script: &str) -> bool {
    commands(script).iter().any(|line| line.contains("dpkg-divert") && !names_its_file(line)) || are_handled_by(script)
}

/// The same of scripts that run later. Many only ask about diversions, or remove those of another release.
pub(super) fn may_be_moved_later_by(script: &str) -> bool {
    let moves = |line: &str| {
        ["dpkg-divert", "--rename"].iter().all(|word| line.contains(word))
            && !["--no-rename", "--remove"].iter().any(|word| line.contains(word))
    };
    commands(script).iter().any(|line| moves(line) && !names_its_file(line))
}

/// A loop over names, or another program's output, has no path in the line; an expansion may become any, and quotes hide a part.
fn names_its_file(line: &str) -> bool {
    line.split_ascii_whitespace().any(|word| word.starts_with('/'))
        && !line.contains(['$', '`', '*', '?', '[', '{', '|', '"', '\'', '\\'])
}

fn base_name(path: &'static str) -> &'static str {
    path.rsplit('/').next().unwrap_or(path)
}

/// What a sandbox needs for them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct StandIns {
    /// Files and a directory of the host, and where they are to be seen.
    pub(super) mounts: Vec<(PathBuf, String)>,
    /// What the script begins with.
    pub(super) before: String,
    /// What is replaced, by its path in the image.
    pub(super) programs: Vec<String>,
}

/// Writes those whose programs are in the tree to `directory`, which is made.
pub(super) fn prepare(tree: &Tree, directory: &Path) -> Result<StandIns, RootError> {
    of(&PROGRAMS, tree, directory)
}

fn of(programs: &[Program], tree: &Tree, directory: &Path) -> Result<StandIns, RootError> {
    let mut found = StandIns::default();
    if !tree.stat(PERL)?.is_some_and(|stat| stat.file()) {
        return Ok(found);
    }
    let place = HostPath::new(directory.to_owned()).open()?;
    place.directory("own")?;
    let (mut modules, mut early) = (Vec::<&str>::new(), String::new());
    for Program { path, versions, kind } in programs {
        let fits = tree.stat(path)?.is_some_and(|stat| stat.file() && stat.size <= LIMIT);
        let own = if fits { tree.bytes(path, LIMIT)? } else { None };
        let Some(own) = own.filter(|own| versions.has(own)) else { continue };
        let name = base_name(path);
        let text = match kind {
            Kind::Text(text) => (*text).to_owned(),
            Kind::Early { text, script, shared } => {
                for (name, text) in [script, shared] {
                    place.put(name, text.as_bytes(), 0o755)?;
                }
                let _ = writeln!(early, "{PLACE}/{} </dev/null >/dev/null 2>&1 &", script.0);
                (*text).to_owned()
            }
            Kind::Perl { before, modules: used } => {
                modules.extend(*used);
                [before, CLIENT].concat()
            }
        };
        place.put(format!("own/{name}"), &own, 0o755)?;
        place.put(name, text.as_bytes(), 0o755)?;
        found.mounts.push((directory.join(name), format!("/{path}")));
        found.programs.push(format!("/{path}"));
    }
    if found.mounts.is_empty() {
        return Ok(found);
    }
    if !modules.is_empty() {
        place.put("server", SERVER.as_bytes(), 0o755)?;
        // It ends with the sandbox.
        let modules = modules.join(" ");
        found.before = format!("/{PERL} {PLACE}/server {PLACE}.socket {modules} </dev/null >/dev/null 2>&1 &\n");
    }
    found.before.push_str(&early);
    found.mounts.push((directory.to_owned(), PLACE.to_owned()));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::programs::Versions;
    use super::*;
    use crate::exec::tree::tests::Scratch;

    const OWN: &[u8] = b"its own text\n";
    /// SHA-256 of it.
    const DIGEST: &str = "822fc06bb36e218e2a34c716a48f0aa9ad7a28691d4187d720ba803e6378cca4";

    fn programs() -> [Program; 3] {
        let known = || Versions::Known(&[DIGEST]);
        let early = Kind::Early { text: "hands out\n", script: ("runs", "runs it\n"), shared: ("both", "for both\n") };
        [
            Program { path: "usr/bin/one", versions: known(), kind: Kind::Text("instead\n") },
            Program {
                path: "usr/share/two",
                versions: known(),
                kind: Kind::Perl { before: "first\n", modules: &["A.pm", "B/C.pm"] },
            },
            Program { path: "usr/bin/three", versions: Versions::Any, kind: early },
        ]
    }

    fn fill(tree: &Tree) {
        for directory in ["usr/bin", "usr/share"] {
            tree.directory(directory).unwrap();
        }
        for path in [PERL, "usr/bin/one", "usr/share/two"] {
            tree.put(path, OWN, 0o755).unwrap();
        }
        tree.put("usr/bin/three", b"any text\n", 0o755).unwrap();
    }

    #[test]
    fn known_programs_are_replaced() {
        let scratch = Scratch::new("stand-ins");
        let tree = scratch.tree();
        fill(&tree);
        let place = scratch.outside().join("place");
        let found = of(&programs(), &tree, &place).unwrap();
        let shown = |name: &str, path: &str| (place.join(name), path.to_owned());
        let mounts = [
            shown("one", "/usr/bin/one"),
            shown("two", "/usr/share/two"),
            shown("three", "/usr/bin/three"),
            (place.clone(), PLACE.to_owned()),
        ];
        assert_eq!(found.mounts, mounts);
        let server = "/usr/bin/perl /dev/kiln/server /dev/kiln.socket A.pm B/C.pm </dev/null >/dev/null 2>&1 &\n";
        let early = "/dev/kiln/runs </dev/null >/dev/null 2>&1 &\n";
        assert_eq!(found.before, [server, early].concat());
        assert_eq!(found.programs, ["/usr/bin/one", "/usr/share/two", "/usr/bin/three"]);
        for (name, text) in [
            ("one", "instead\n"),
            ("two", &["first\n", CLIENT].concat()),
            ("server", SERVER),
            ("own/one", "its own text\n"),
            ("three", "hands out\n"),
            ("runs", "runs it\n"),
            ("both", "for both\n"),
            ("own/three", "any text\n"),
        ] {
            let written = HostPath::new(place.clone()).open().unwrap();
            assert_eq!(written.text(name).unwrap().unwrap(), text, "{name}");
        }
        // The tree has what they hide.
        assert_eq!(tree.bytes("usr/bin/one", LIMIT).unwrap().unwrap(), OWN);
    }

    #[test]
    fn any_other_program_runs_itself() {
        for (path, change) in [
            ("usr/bin/one", "put"),
            ("usr/bin/one", "remove"),
            ("usr/bin/one", "link"),
            (PERL, "remove"),
            (PERL, "link"),
        ] {
            let scratch = Scratch::new("stand-ins");
            let tree = scratch.tree();
            fill(&tree);
            match change {
                "put" => tree.put(path, b"another text\n", 0o755).unwrap(),
                "link" => {
                    tree.put("usr/bin/elsewhere", OWN, 0o755).unwrap();
                    tree.link(path, "elsewhere").unwrap();
                }
                _ => tree.remove(path).unwrap(),
            }
            let found = of(&programs()[..1], &tree, &scratch.outside().join("place")).unwrap();
            assert_eq!(found, StandIns::default(), "{path} {change}");
        }
    }

    #[test]
    fn scripts_that_handle_a_program_are_known() {
        for line in [
            "dpkg-divert --add --rename /usr/sbin/update-ca-certificates",
            "\tchmod 0750 /usr/share/debconf/frontend",
            "cp /usr/bin/deb-systemd-helper /opt",
            "cp -a \\\n  /usr/bin/deb-systemd-helper \\\n  /opt",
            "rm -f /usr/sbin/update-ca-certificates",
            "cat /usr/bin/deb-systemd-helper >/opt/helper",
        ] {
            assert!(are_handled_by(line), "{line}");
            assert!(!are_handled_by(&format!("# {line}")), "{line}");
            assert!(are_handled_by(&format!("# a comment \\\n{line}")), "{line}");
        }
        for line in [
            "deb-systemd-helper unmask 'x.service' >/dev/null || true",
            "update-ca-certificates --fresh",
            "chmod 0644 /etc/x",
            "dpkg-maintscript-helper mv_conffile /etc/x /etc/y 1.0 -- \"$@\"",
            "cp frontend /opt",
        ] {
            assert!(!are_handled_by(line), "{line}");
        }
    }

    #[test]
    fn later_diversions_that_may_move_a_program_are_known() {
        let rename = "dpkg-divert --package x --rename";
        for script in [
            format!("for file in a b\ndo\n  {rename} --divert $file.x --add $file\ndone"),
            format!("xargs {rename} <list"),
        ] {
            assert!(may_be_moved_later_by(&script), "{script}");
        }
        for script in [
            format!("{rename} --divert /bin/sh.x --add /bin/sh"),
            format!("{rename} --divert \"/usr/bin/$tool.y\" \\\n  --remove \"/usr/bin/$tool\""),
            "dpkg-divert --package x --no-rename --divert \"/a$b\" --add \"/c$b\"".to_owned(),
            "truename=$(dpkg-divert --truename \"$file\")".to_owned(),
        ] {
            assert!(!may_be_moved_later_by(&script), "{script}");
        }
    }

    #[test]
    fn scripts_that_triggers_run_again_are_known() {
        let scratch = Scratch::new("stand-ins-below");
        let tree = scratch.tree();
        tree.directory("var/lib/dpkg/info").unwrap();
        let put =
            |name: &str, text: &str| tree.put(format!("var/lib/dpkg/info/{name}"), text.as_bytes(), 0o755).unwrap();
        put("p:amd64.list", "");
        put("p:amd64.postinst", "deb-systemd-helper unmask x\n");
        put("p:amd64.postrm", "cp /usr/bin/deb-systemd-helper /opt\n");
        assert!(!are_handled_in(&tree).unwrap());
        put("q.list", "");
        put("q.postinst", "[ $1 != triggered ] || cp /usr/bin/deb-systemd-helper /opt\n");
        assert!(are_handled_in(&tree).unwrap());
    }

    #[test]
    fn diversions_that_may_move_a_program_are_known() {
        let divert = "dpkg-divert --package x --rename --divert";
        for script in [
            format!("for file in $files; do {divert} $file.x --add $file; done"),
            format!("ls /usr/sbin | xargs {divert} /x --add"),
            format!("xargs {divert} x --add <list"),
            format!("{divert} /x \\\n  --add /usr/sbin/update-ca-certificates"),
            format!("{divert} /x --add /usr/sbin/update-ca-certificate[s]"),
            format!("  {divert} /x --add /usr/share/debconf/frontend"),
            format!("{divert} /x --add \"/usr/share/debconf\"/frontend"),
            format!("# a comment \\\n{divert} $file.x --add $file"),
            format!("{divert} /x --add /usr/sbin/update-ca-cert\\ificates"),
        ] {
            assert!(may_be_moved_by(&script), "{script}");
        }
        for script in [
            format!("{divert} /usr/bin/pg_config.other --add /usr/bin/pg_config"),
            format!("{divert} /bin/sh.x \\\n  --add /bin/sh"),
            format!("# {divert} $file.x --add $file\nif [ \"$1\" = install ]; then\n  {divert} /a.x --add /a\nfi"),
        ] {
            assert!(!may_be_moved_by(&script), "{script}");
        }
    }
}
