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
const UNITS: &str = include_str!("../../src/exec/debian/stand_ins/deb-systemd-helper.pl");
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

/// Looks for names in lists, as the script of ca-certificates does.
const CONFIG: &str = r#"#!/bin/sh
set -e
CERTS_DISABLED=$DISABLED
CERTS_TRUST=$TRUST
for crt in mozilla/A.crt mozilla/B.crt mozilla/B; do
   if (echo "$CERTS_DISABLED" | grep -F -q -x "$crt") > /dev/null 2>&1; then
     echo "disabled $crt"
   elif (echo "$CERTS_TRUST" | grep -F -q -x "$crt") > /dev/null 2>&1; then
     echo "trusted $crt"
   else
     echo "new $crt"
   fi
done
echo "$0 $*"
exit 4
"#;

#[test]
fn a_name_is_looked_for_in_an_empty_list_without_a_program() {
    if !judge("grep") {
        return;
    }
    let scratch = Scratch::new("stand-in-config");
    let place = scratch.path("place");
    executable::write(&place.join("own/ca-certificates.config"), CONFIG);
    executable::write(
        &place.join("ca-certificates.config"),
        CERTIFICATES.replace("/dev/kiln", place.to_str().unwrap()),
    );
    let grep =
        format!("#!/bin/sh\necho \"$*\" >>{}\nPATH=${{PATH#*:}} exec grep \"$@\"\n", scratch.path("asked").display());
    executable::write(&scratch.path("bin/grep"), grep);
    let run = |program: &str, (disabled, trust): (&str, &str)| {
        fs::write(scratch.path("asked"), "").unwrap();
        let path = format!("{}:{}", scratch.path("bin").display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(place.join(program));
        command.args(["configure", "a b"]).env("PATH", path).env("DISABLED", disabled).env("TRUST", trust);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).replace("own/", "");
        assert_eq!(output.status.code(), Some(4), "{output:?}");
        (said, fs::read_to_string(scratch.path("asked")).unwrap().lines().count())
    };
    let two = ("mozilla/A.crt\nmozilla/B.crt", "mozilla/B\n-x");
    let asked = [(("", ""), 0), (("", "mozilla/A.crt"), 3), (("mozilla/B\nx", ""), 3), (two, 4)];
    for (lists, asked) in asked {
        let (own, quick) = (run("own/ca-certificates.config", lists), run("ca-certificates.config", lists));
        assert_eq!(own.0, quick.0, "{lists:?}");
        assert_eq!((own.1 > quick.1 || lists == two, quick.1), (true, asked), "{lists:?}");
    }
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
        ("postinst", vec!["rm_conffile", "/etc/x", "2.0", "!", "--", "configure", ""]),
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

/// Of a unit that is new, the helper for systemd's units is not asked what follows from that.
#[test]
fn nothing_is_recorded_of_a_unit_that_is_new() {
    if !judge("perl") {
        return;
    }
    let scratch = Scratch::new("stand-in-units");
    let (etc, state) = (scratch.path("etc"), scratch.path("state"));
    let text =
        UNITS.replace("/etc/systemd", etc.to_str().unwrap()).replace("/var/lib/systemd", state.to_str().unwrap());
    let helper = scratch.path("deb-systemd-helper");
    executable::write(&helper, format!("{text}print \"own @ARGV\\n\"; exit 7;\n"));
    fs::create_dir_all(etc.join("system")).unwrap();
    fs::create_dir_all(&state).unwrap();
    let asked = |words: &str, variables: &[(&str, &str)]| {
        let mut command = Command::new(&helper);
        command.args(words.split(' ')).env("DPKG_MAINTSCRIPT_PACKAGE", "p").env_remove("POSIXLY_CORRECT");
        let output = command.envs(variables.iter().copied()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(said.is_empty(), output.status.code() != Some(7), "{words}: {said}");
        if said.is_empty() { output.status.code() } else { None }
    };
    let new = [("unmask u.service", 0), ("--quiet was-enabled u@1.service", 0), ("debian-installed u.timer", 1)];
    for (words, code) in new {
        assert_eq!(asked(words, &[]), Some(code), "{words}");
        assert_eq!(asked(&format!("--user {words}"), &[]), Some(code), "--user {words}");
        for variable in [("DPKG_ROOT", "/x"), ("DPKG_MAINTSCRIPT_PACKAGE", ""), ("_DEB_SYSTEMD_HELPER_DEBUG", "1")] {
            assert_eq!(asked(words, &[variable]), None, "{words}: {variable:?}");
        }
    }
    let others =
        ["enable u.service", "update-state u.service", "was-enabled u.service", "unmask", "unmask a.service b.service"];
    for words in
        others.into_iter().chain(["unmask d/u.service", "unmask --quiet u.service", "--qui was-enabled u.service"])
    {
        assert_eq!(asked(words, &[]), None, "{words}");
    }
    // What an administrator or an earlier installation left.
    symlink("/dev/null", etc.join("system/u.service")).unwrap();
    assert_eq!(asked("unmask u.service", &[]), None);
    assert_eq!(asked("unmask other.service", &[]), Some(0));
    fs::create_dir(state.join("deb-systemd-user-helper-masked")).unwrap();
    assert_eq!(asked("unmask other.service", &[]), None);
    fs::create_dir(state.join("deb-systemd-helper-enabled")).unwrap();
    fs::write(state.join("deb-systemd-helper-enabled/u.service.dsh-also"), "").unwrap();
    assert_eq!(asked("--quiet was-enabled u.service", &[]), None);
    assert_eq!(asked("debian-installed u.service", &[]), Some(0));
    assert_eq!(asked("--user --quiet was-enabled u.service", &[]), Some(0));
}
