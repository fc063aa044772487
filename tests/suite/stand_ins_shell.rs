//! Scripts that stand in for programs of packages while these are configured, with fakes of these programs.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::executable;
use super::live::{Scratch, judge};

const INPUTS: &str = include_str!("../../src/exec/debian/stand_ins/hwdb-inputs.sh");
const EARLY: &str = include_str!("../../src/exec/debian/stand_ins/early-hwdb.sh");
const HARDWARE: &str = include_str!("../../src/exec/debian/stand_ins/systemd-hwdb.sh");
const HELPER: &str = include_str!("../../src/exec/debian/stand_ins/dpkg-maintscript-helper.sh");
const CERTIFICATES: &str = include_str!("../../src/exec/debian/stand_ins/ca-certificates-config.sh");

/// A root with two rules, and a program that joins them into one file. It says a word where it is not run early.
struct Hardware {
    scratch: Scratch,
    root: PathBuf,
}

impl Hardware {
    fn new(name: &str) -> Hardware {
        let scratch = Scratch::new(name);
        let root = scratch.path("root");
        let inside = |path: &str| format!("{}{path}", root.display());
        let ours = |text: &str| {
            let mut text = text.replace("[ /lib/udev", &format!("[ {}", inside("/lib/udev")));
            for path in [" /usr/lib/udev", "=/usr/lib/udev", " /etc/udev", " /run/udev", " /usr/local"] {
                text = text.replace(path, &format!("{}{}", &path[..1], inside(&path[1..])));
            }
            text.replace("/dev/kiln", scratch.path("place").to_str().unwrap())
        };
        for (name, text) in [("hwdb-inputs", INPUTS), ("early-hwdb", EARLY), ("systemd-hwdb", HARDWARE)] {
            executable::write(&scratch.path("place").join(name), ours(text));
        }
        // A loader that asks for no libraries of a script would start it.
        let program = format!(
            "#!/bin/sh\n[ -z \"$LD_TRACE_LOADED_OBJECTS\" ] || {{ echo \"\tx.so => $0 (0x1)\"; exit; }}\n\
             at=$EARLY{}\ncat $at/hwdb.d/*.hwdb >$at/new && chmod 0444 $at/new && mv -f $at/new $at/hwdb.bin\n\
             [ -n \"$EARLY\" ] || echo \"own $*\"\n[ ! -e {} ] || echo early\n",
            inside("/usr/lib/udev"),
            inside("/talk"),
        );
        executable::write(&scratch.path("place/own/systemd-hwdb"), program);
        let chroot = format!(
            "#!/bin/sh\nEARLY=$1; export EARLY; shift; [ ! -e {0} ] || . {0}\n\"$EARLY$@\"\n",
            inside("/meanwhile")
        );
        executable::write(&scratch.path("bin/chroot"), chroot);
        fs::create_dir_all(root.join("usr/lib/udev/hwdb.d")).unwrap();
        symlink("usr/lib", root.join("lib")).unwrap();
        let hardware = Hardware { scratch, root };
        hardware.rule("10-one.hwdb", "one\n");
        hardware.rule("20-two.hwdb", "two\n");
        hardware
    }

    fn udev(&self, name: &str) -> PathBuf {
        self.root.join("usr/lib/udev").join(name)
    }

    fn rule(&self, name: &str, text: &str) {
        fs::write(self.udev("hwdb.d").join(name), text).unwrap();
    }

    fn command(&self, name: &str) -> Command {
        let path = format!("{}:{}", self.scratch.path("bin").display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(self.scratch.path("place").join(name));
        command.env("PATH", path).env("SYSTEMD_OFFLINE", "1").env_remove("EARLY").stdin(Stdio::null());
        command
    }

    fn run_early(&self) {
        let _ = fs::remove_dir_all(self.scratch.path("place-hwdb"));
        self.command("early-hwdb").output().unwrap();
    }

    fn said(&self, command: &mut Command) -> String {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn update(&self) -> String {
        self.said(self.command("systemd-hwdb").args(["--usr", "update"]))
    }
}

const OWN: &str = "own --usr update\n";

#[test]
fn a_hardware_database_that_was_made_early_is_what_its_program_makes() {
    if !judge("flock") {
        return;
    }
    let hardware = Hardware::new("stand-in-hwdb");
    let result = || {
        let file = hardware.udev("hwdb.bin");
        (fs::read_to_string(&file).unwrap(), fs::metadata(&file).unwrap().permissions().mode() & 0o7777)
    };
    assert_eq!(hardware.update(), OWN, "nothing was made early");
    let own = result();
    assert_eq!(own, ("one\ntwo\n".to_owned(), 0o444));
    for there in [true, false] {
        hardware.run_early();
        if there {
            fs::remove_file(hardware.udev("hwdb.bin")).unwrap();
        }
        assert_eq!(hardware.update(), "");
        assert_eq!(result(), own);
        let names = fs::read_dir(hardware.udev("")).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(names.count(), 2, "something is left behind");
    }
}

#[test]
fn a_hardware_database_is_made_by_its_program_where_anything_is_not_as_it_was() {
    if !judge("flock") {
        return;
    }
    let hardware = Hardware::new("stand-in-hwdb-own");
    let is_own = |what: &str| {
        assert_eq!(hardware.update(), OWN, "{what}");
        let all = fs::read_dir(hardware.udev("hwdb.d")).unwrap().map(|entry| entry.unwrap().path());
        let mut all: Vec<PathBuf> = all.collect();
        all.sort();
        let text: String = all.iter().map(|rule| fs::read_to_string(rule).unwrap()).collect();
        assert_eq!(fs::read_to_string(hardware.udev("hwdb.bin")).unwrap(), text, "{what}");
    };
    hardware.run_early();
    assert_eq!(hardware.update(), "");
    for arguments in [&["update"][..], &["--usr", "update", "--strict"], &["--usr", "query"], &[]] {
        let said = hardware.said(hardware.command("systemd-hwdb").args(arguments));
        assert_eq!(said, format!("own {}\n", arguments.join(" ")));
    }
    let mut other = hardware.command("systemd-hwdb");
    other.args(["--usr", "update"]).env("SYSTEMD_HWDB_UPDATE_BYPASS", "1");
    assert_eq!(hardware.said(&mut other), OWN);
    for directory in ["etc/udev/hwdb.d", "run/udev/hwdb.d", "usr/local/lib/udev/hwdb.d"] {
        let directory = hardware.root.join(directory);
        fs::create_dir_all(&directory).unwrap();
        assert_eq!(hardware.update(), "", "an empty directory");
        fs::write(directory.join("x.hwdb"), "").unwrap();
        is_own("rules of an administrator");
        fs::remove_file(directory.join("x.hwdb")).unwrap();
    }
    hardware.rule("10-one.hwdb", "eno\n");
    is_own("a changed rule");
    hardware.run_early();
    assert_eq!(hardware.update(), "");
    hardware.rule("30-three.hwdb", "three\n");
    is_own("a new rule");
    hardware.run_early();
    let program = hardware.scratch.path("place/own/systemd-hwdb");
    executable::write(&program, format!("{}# changed\n", fs::read_to_string(&program).unwrap()));
    is_own("another program");
    fs::remove_file(hardware.udev("hwdb.bin")).unwrap();
    hardware.run_early();
    symlink("elsewhere", hardware.udev("hwdb.bin")).unwrap();
    is_own("a link in its place");
}

#[test]
fn a_hardware_database_that_was_not_made_in_silence_and_peace_is_made_again() {
    if !judge("flock") {
        return;
    }
    let hardware = Hardware::new("stand-in-hwdb-early");
    let marker = |name: &str, text: &str| fs::write(hardware.root.join(name), text).unwrap();
    marker("talk", "");
    hardware.run_early();
    assert_eq!(hardware.update(), format!("{OWN}early\n"));
    fs::remove_file(hardware.root.join("talk")).unwrap();
    // Both happen while the program runs.
    for meanwhile in [
        format!("echo more >{}", hardware.udev("hwdb.d/15-more.hwdb").display()),
        "echo more >$EARLY/more".to_owned(),
        "exit 1".to_owned(),
    ] {
        marker("meanwhile", &meanwhile);
        hardware.run_early();
        assert_eq!(hardware.update(), OWN, "{meanwhile}");
    }
    fs::remove_file(hardware.root.join("meanwhile")).unwrap();
    hardware.run_early();
    assert_eq!(hardware.update(), "");
    symlink("10-one.hwdb", hardware.udev("hwdb.d/40-link.hwdb")).unwrap();
    hardware.run_early();
    assert_eq!(hardware.update(), OWN, "a link among the rules");
}

/// Asks `grep` about texts and words, as the script of ca-certificates does, and in other ways.
const CONFIG: &str = r#"
set -e
for text in '' '\n' 'a' 'a\n' 'b\na\n' '\na' '\na\n' '\n\n' '\n\na\n' 'x a\n' 'aa\n' '\\\n'; do
    for word in a a.b aa '' ' a' '.' 'é' '*' '\'; do
        printf "$text" >"$TEXT"
        for options in '-F -q -x' '-F -c -x' '-q' '-F -x -q'; do
            if (cat "$TEXT" | grep $options "$word") 2>/dev/null; then echo yes; else echo no; fi
        done
    done
done
echo "$0 $*"
(echo "" | grep -F -q -x QUICK) || echo absent
exit 4
"#;

#[test]
fn a_word_is_looked_for_in_an_empty_text_without_a_program() {
    if !judge("grep") {
        return;
    }
    let scratch = Scratch::new("stand-in-config");
    let place = scratch.path("place");
    executable::write(&place.join("own/ca-certificates.config"), format!("#!/bin/sh{CONFIG}"));
    executable::write(
        &place.join("ca-certificates.config"),
        CERTIFICATES.replace("/dev/kiln", place.to_str().unwrap()),
    );
    let grep =
        format!("#!/bin/sh\necho \"$*\" >>{}\nPATH=${{PATH#*:}} exec grep \"$@\"\n", scratch.path("asked").display());
    executable::write(&scratch.path("bin/grep"), grep);
    let run = |program: &str| {
        let _ = fs::remove_file(scratch.path("asked"));
        let path = format!("{}:{}", scratch.path("bin").display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(place.join(program));
        let output = command.args(["configure", "a b"]).env("PATH", path).env("TEXT", scratch.path("text")).output();
        let output = output.unwrap();
        let said = String::from_utf8_lossy(&output.stdout).replace("own/", "");
        (said, output.status.code(), fs::read_to_string(scratch.path("asked")).unwrap())
    };
    let (own, quick) = (run("own/ca-certificates.config"), run("ca-certificates.config"));
    assert_eq!((&quick.0, quick.1), (&own.0, own.1));
    assert!(quick.0.ends_with("absent\n") && quick.1 == Some(4), "{quick:?}");
    assert!(own.2.contains("QUICK") && !quick.2.contains("QUICK"));
}

/// Dpkg's helper is started only where it could have something to do, or something to say.
#[test]
fn nothing_of_a_package_that_is_new_is_moved() {
    let scratch = Scratch::new("stand-in-helper");
    let own = scratch.path("own/dpkg-maintscript-helper");
    executable::write(&own, "#!/bin/sh\necho own \"$@\"\n");
    let stand_in = scratch.path("dpkg-maintscript-helper");
    executable::write(&stand_in, HELPER.replace("/dev/kiln/own/dpkg-maintscript-helper", own.to_str().unwrap()));
    let link = scratch.path("link");
    let link = link.to_str().unwrap();
    let run = |script: &str, words: &[&str]| {
        let mut command = Command::new(&stand_in);
        command.env("DPKG_MAINTSCRIPT_NAME", script).env("DPKG_MAINTSCRIPT_PACKAGE", "p").args(words);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let quick = [
        ("preinst", vec!["supports", "mv_conffile"]),
        ("preinst", vec!["rm_conffile", "/etc/x", "1:2.0-1~", "--", "install"]),
        ("postinst", vec!["rm_conffile", "/etc/x", "--", "configure", ""]),
        ("postinst", vec!["mv_conffile", "/etc/x", "/etc/y", "2.0", "p", "--", "configure", ""]),
        ("preinst", vec!["symlink_to_dir", link, "target", "2.0", "--", "install"]),
        ("postinst", vec!["dir_to_symlink", link, "/target", "2.0", "--", "configure", ""]),
    ];
    for (script, words) in quick {
        assert_eq!(run(script, &words), "", "{words:?}");
    }
    let own = [
        ("preinst", vec!["supports", "nothing"]),
        ("preinst", vec![]),
        ("prerm", vec!["rm_conffile", "/etc/x", "2.0", "--", "remove"]),
        ("", vec!["rm_conffile", "/etc/x", "2.0", "--", "install"]),
        ("preinst", vec!["rm_conffile", "/etc/x", "2.0", "--", "upgrade", "1.0"]),
        ("postinst", vec!["rm_conffile", "/etc/x", "2.0", "--", "configure", "1.0"]),
        ("postinst", vec!["rm_conffile", "/etc/x", "2.0", "--"]),
        ("postinst", vec!["rm_conffile", "/etc/x", "2.0"]),
        ("postinst", vec!["rm_conffile", "x", "2.0", "--", "configure", ""]),
        ("postinst", vec!["mv_conffile", "/etc/x", "y", "2.0", "--", "configure", ""]),
        ("postinst", vec!["mv_conffile", "/etc/x", "--", "configure", ""]),
        ("postinst", vec!["rm_conffile", "/etc/x", "2.0-", "--", "configure", ""]),
        ("postinst", vec!["rm_conffile", "/etc/x", "b2", "--", "configure", ""]),
        ("postinst", vec!["rm_conffile", "/etc/x", "2.0 ", "--", "configure", ""]),
        ("postinst", vec!["rm_conffile", "/etc/x", "2.0", "p", "q", "--", "configure", ""]),
    ];
    for (script, words) in own {
        assert_eq!(
            run(script, &words),
            format!("{}\n", ["own"].iter().chain(&words).copied().collect::<Vec<_>>().join(" "))
        );
    }
    // What a script before left.
    symlink("target", format!("{link}.dpkg-backup")).unwrap();
    let words = ["symlink_to_dir", link, "target", "2.0", "--", "configure", ""];
    assert_eq!(run("postinst", &words), format!("own {}\n", words.join(" ")));
}
