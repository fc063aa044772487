//! Programs that stand in for those of packages while these are configured, with fakes of what they stand in for.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use super::executable;
use super::live::{Scratch, judge};

const SERVER: &str = include_str!("../../src/exec/debian/stand_ins/server.pl");
const CLIENT: &str = include_str!("../../src/exec/debian/stand_ins/client.pl");
const CERTIFICATES: &str = include_str!("../../src/exec/debian/stand_ins/update-ca-certificates.pl");

/// Says everything that it is told, and whether a module is there that it did not ask for.
const PROGRAM: &str = r#"#!/usr/bin/perl -w
use strict;
use File::Basename;
use Fake;
print $INC{'Text/Wrap.pm'} ? "server\n" : "own\n";
print join('|', @ARGV), "\n$ENV{GIVEN}\n", basename($0), ' ', umask, ' ', Fake::word(), " $^W\n", scalar <STDIN>;
print STDERR "to error\n";
system 'pwd';
kill 'TERM', $$ if @ARGV && $ARGV[0] eq 'signal';
if (@ARGV && $ARGV[0] eq 'die') { $! = 3; die "it died\n" }
if (@ARGV && $ARGV[0] eq 'again') { exec $0, 'within' }
exit 7;
"#;

/// A directory like the one in the sandbox, and a server that runs until the end of the test.
struct Lab {
    scratch: Scratch,
    server: Child,
    /// A link to the directory.
    short: PathBuf,
}

impl Lab {
    fn new(name: &str) -> Lab {
        let scratch = Scratch::new(name);
        // The name of a socket has at most 107 bytes.
        let short = std::env::temp_dir().join(format!("kiln-{}-{name}", std::process::id()));
        symlink(scratch.path(""), &short).unwrap();
        let place = short.join("place");
        let ours = |text: &str| text.replace("/dev/kiln", place.to_str().unwrap());
        executable::write(&place.join("own/program"), PROGRAM);
        executable::write(&place.join("program"), ours(CLIENT));
        executable::write(&place.join("server"), ours(SERVER));
        fs::create_dir_all(scratch.path("modules")).unwrap();
        fs::write(scratch.path("modules/Fake.pm"), "package Fake; sub word { 'first' } 1;\n").unwrap();
        let mut command = Command::new(place.join("server"));
        command.arg(short.join("place.socket")).args(["Text/Wrap.pm", "File/Basename.pm", "Fake.pm", "Missing.pm"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut server = environment(&mut command, &scratch).spawn().unwrap();
        while !scratch.path("place.socket").exists() {
            assert_eq!(server.try_wait().unwrap(), None, "the server ended");
            std::thread::yield_now();
        }
        Lab { scratch, server, short }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = foreground(&self.scratch.path("place/program"));
        command.args(arguments).env("GIVEN", "a\n\"b\" c=d").current_dir(self.scratch.path("modules"));
        environment(&mut command, &self.scratch);
        command.stdin(Stdio::piped());
        command
    }

    fn run(&self, command: &mut Command) -> Output {
        use std::io::Write as _;
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"one line\n").unwrap();
        child.wait_with_output().unwrap()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = fs::remove_file(&self.short);
    }
}

/// A program that ignores no signal, as a shell has its children in the background do: not even when the tests run there.
fn foreground(program: &Path) -> Command {
    let mut command = Command::new("/usr/bin/perl");
    command.args(["-e", "$SIG{INT} = $SIG{QUIT} = 'DEFAULT'; exec { $ARGV[0] } @ARGV"]).arg(program);
    command
}

fn environment<'a>(command: &'a mut Command, scratch: &Scratch) -> &'a mut Command {
    command.env("PERL5LIB", scratch.path("modules")).env("LC_ALL", "C").env("HOME", "/nonexistent")
}

fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

#[test]
fn a_perl_program_runs_as_if_perl_had_started_it() {
    if !judge("perl") {
        return;
    }
    let lab = Lab::new("stand-in-perl");
    for arguments in [&["a b", "", "c\nd"][..], &[], &["signal"], &["die"]] {
        let quick = lab.run(&mut lab.command(arguments));
        let said = text(&quick.stdout);
        let mut own = lab.command(&[]);
        own = {
            let mut direct = foreground(&lab.scratch.path("place/own/program"));
            direct.args(arguments).env("GIVEN", "a\n\"b\" c=d").current_dir(lab.scratch.path("modules"));
            environment(&mut direct, &lab.scratch).stdin(Stdio::piped());
            drop(own);
            direct
        };
        let own = lab.run(&mut own);
        assert_eq!(said.replacen("server\n", "own\n", 1), text(&own.stdout));
        assert!(said.starts_with("server\n"), "{said}");
        assert_eq!(text(&quick.stderr), text(&own.stderr));
        assert_eq!(quick.status, own.status);
    }
}

#[test]
fn programs_run_side_by_side_and_within_each_other() {
    if !judge("perl") {
        return;
    }
    let lab = Lab::new("stand-in-many");
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..8).map(|_| scope.spawn(|| lab.run(&mut lab.command(&["again"])))).collect();
        for run in runs {
            let output = run.join().unwrap();
            let said = text(&output.stdout);
            assert!(said.contains("again\n") && said.contains("within\n"), "{said}");
            assert_eq!((said.matches("server\n").count(), output.status.code()), (2, Some(7)), "{said}");
        }
    });
}

#[test]
fn whatever_makes_a_server_unlike_a_new_perl_has_the_program_run_itself() {
    if !judge("perl") {
        return;
    }
    let lab = Lab::new("stand-in-own");
    let first = |output: Output| text(&output.stdout).lines().next().unwrap_or_default().to_owned();
    assert_eq!(first(lab.run(&mut lab.command(&[]))), "server");
    for (name, value) in [
        ("LC_ALL", "C.UTF-8"),
        ("PERL5OPT", "-MText::Tabs"),
        ("HOME", "/"),
        ("LANGUAGE", "de"),
        // Getopt::Long asks for it when it is loaded.
        ("POSIXLY_CORRECT", "1"),
    ] {
        assert_eq!(first(lab.run(lab.command(&[]).env(name, value))), "own", "{name}");
    }
    // It may have no more than so many files.
    let mut limited = foreground(Path::new("/bin/sh"));
    limited.args(["-c", "ulimit -S -n 100; exec \"$0\""]).arg(lab.scratch.path("place/program"));
    limited.env("GIVEN", "").current_dir(lab.scratch.path("modules")).stdin(Stdio::piped());
    assert_eq!(first(lab.run(environment(&mut limited, &lab.scratch))), "own");
    // A module that was not there when the server started.
    let absent = lab.scratch.path("modules/Missing.pm");
    fs::write(&absent, "1;\n").unwrap();
    assert_eq!(first(lab.run(&mut lab.command(&[]))), "own");
    fs::remove_file(&absent).unwrap();
    assert_eq!(first(lab.run(&mut lab.command(&[]))), "server");
    // What cannot be written is said at the end of a new perl.
    executable::write(&lab.scratch.path("place/own/word"), "#!/usr/bin/perl\nprint \"a word\\n\";\n");
    let client = fs::read_to_string(lab.scratch.path("place/program")).unwrap();
    executable::write(&lab.scratch.path("place/word"), client);
    let mut full = foreground(&lab.scratch.path("place/word"));
    environment(&mut full, &lab.scratch).stdin(Stdio::null());
    let full = full.stdout(fs::File::options().write(true).open("/dev/full").unwrap()).output().unwrap();
    assert!(!full.status.success() && text(&full.stderr).contains("Unable to flush stdout"), "{full:?}");
    // A file has a position, which would not be shared.
    let file = lab.scratch.path("out");
    let mut command = lab.command(&[]);
    command.stdout(fs::File::create(&file).unwrap()).stdin(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert!(fs::read_to_string(&file).unwrap().starts_with("own\n"));
    // A module is another now.
    let module = lab.scratch.path("modules/Fake.pm");
    fs::write(&module, "package Fake; sub word { 'second' } 1;\n").unwrap();
    let output = lab.run(&mut lab.command(&[]));
    assert!(text(&output.stdout).contains("second"), "{}", text(&output.stdout));
    assert_eq!(first(output), "own");
    // Nobody answers.
    fs::remove_file(lab.scratch.path("place.socket")).unwrap();
    assert_eq!(first(lab.run(&mut lab.command(&[]))), "own");
}

/// A root with two certificates, and a program that says that it ran itself.
struct Authorities {
    scratch: Scratch,
    root: PathBuf,
}

impl Authorities {
    fn new(name: &str) -> Authorities {
        let scratch = Scratch::new(name);
        let root = scratch.path("root");
        let mut text = CERTIFICATES.replace("/dev/kiln", scratch.path("place").to_str().unwrap());
        for directory in ["/etc/", "/usr/share/", "/usr/local/", "/sbin/"] {
            text = text.replace(&format!("'{directory}"), &format!("'{}{directory}", root.display()));
        }
        executable::write(&scratch.path("place/update-ca-certificates"), &text);
        executable::write(&scratch.path("place/own/update-ca-certificates"), "#!/bin/sh\necho \"own $*\"\n");
        executable::write(&scratch.path("bin/openssl"), "#!/bin/sh\nls >&2\n[ ! -e refuse ] || exit 3\necho hidden\n");
        for directory in ["etc/ssl/certs", "etc/ca-certificates/update.d", "usr/local/share/ca-certificates"] {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        let shipped = root.join("usr/share/ca-certificates/m");
        fs::create_dir_all(&shipped).unwrap();
        fs::write(shipped.join("One.crt"), "one\n").unwrap();
        fs::write(shipped.join("Tw\u{f6}.crt"), "two, without an end").unwrap();
        fs::write(shipped.join("Off.crt"), "off\n").unwrap();
        let authorities = Authorities { scratch, root };
        authorities.list("# a (comment)\n\nm/One.crt\n!m/Off.crt\nm/Tw\u{f6}.crt\nm/Gone.crt\n");
        authorities
    }

    fn list(&self, text: &str) {
        fs::write(self.root.join("etc/ca-certificates.conf"), text).unwrap();
    }

    fn certs(&self, name: &str) -> PathBuf {
        self.root.join("etc/ssl/certs").join(name)
    }

    fn run(&self, arguments: &[&str]) -> (String, Option<i32>) {
        let path = format!("{}:{}", self.scratch.path("bin").display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(self.scratch.path("place/update-ca-certificates"));
        let output = command.args(arguments).env("PATH", path).env_remove("TMPDIR").output().unwrap();
        (text(&output.stdout).replace(self.root.to_str().unwrap(), ""), output.status.code())
    }

    /// Names and what is behind them.
    fn picture(&self) -> Vec<String> {
        let mut lines: Vec<String> = fs::read_dir(self.certs(""))
            .unwrap()
            .map(|entry| {
                let path = entry.unwrap().path();
                let target = fs::read_link(&path).map(|target| target.display().to_string());
                let content = target.unwrap_or_else(|_| text(&fs::read(&path).unwrap_or_default()));
                format!("{} {content}", path.file_name().unwrap().display()).replace(self.root.to_str().unwrap(), "")
            })
            .collect();
        lines.sort();
        lines
    }
}

#[test]
fn certificates_are_linked_and_bundled() {
    if !judge("perl") {
        return;
    }
    let authorities = Authorities::new("stand-in-ca");
    symlink("/usr/share/ca-certificates/m/Off.crt", authorities.certs("Off.pem")).unwrap();
    symlink(authorities.root.join("nowhere"), authorities.certs("orphan")).unwrap();
    fs::write(authorities.certs("One.pem"), "a file").unwrap();
    let begin = "Updating certificates in /etc/ssl/certs...\n";
    let (said, status) = authorities.run(&["--hooksdir", ""]);
    assert_eq!((said, status), (format!("{begin}2 added, 1 removed; done.\n"), Some(0)));
    let expected = [
        "One.pem /usr/share/ca-certificates/m/One.crt",
        "Tw\u{f6}.pem /usr/share/ca-certificates/m/Tw\u{f6}.crt",
        "ca-certificates.crt one\ntwo, without an end\n",
    ];
    assert_eq!(authorities.picture(), expected);
    let (said, _) = authorities.run(&[]);
    assert_eq!(
        said,
        format!("{begin}0 added, 0 removed; done.\nRunning hooks in /etc/ca-certificates/update.d...\ndone.\n")
    );
    assert_eq!(authorities.picture(), expected);
    // What openssl says counts, and leaves the bundle as it was.
    fs::remove_file(authorities.certs("One.pem")).unwrap();
    fs::write(authorities.certs("refuse"), "").unwrap();
    assert_eq!(authorities.run(&[]), (begin.to_owned(), Some(3)));
    assert!(!authorities.certs("ca-certificates.crt.new").exists());
}

#[test]
fn what_an_administrator_does_is_left_to_the_program_itself() {
    if !judge("perl") {
        return;
    }
    let authorities = Authorities::new("stand-in-admin");
    let before = authorities.picture();
    let own = |what: &str, arguments: &[&str]| {
        assert_eq!(authorities.run(arguments).0, format!("own {}\n", arguments.join(" ")), "{what}");
        assert_eq!(authorities.picture(), before, "{what}");
    };
    for arguments in [&["--fresh"][..], &["--verbose"], &["--hooksdir", "/x"], &["--hooksdir"], &["", ""]] {
        own("an option", arguments);
    }
    let good = fs::read_to_string(authorities.root.join("etc/ca-certificates.conf")).unwrap();
    for list in [
        "",
        "m/One.crt",
        "m/One.crt \n",
        "m/a b.crt\n",
        "m/a\\b.crt\n",
        "m/(a).crt\n",
        "m/a,b.crt\n",
        "m/One\n",
        "m/.crt\n",
    ] {
        authorities.list(list);
        own(list, &[]);
    }
    authorities.list(&good);
    // One with a hole, which would be in memory.
    let hole = authorities.root.join("usr/share/ca-certificates/m/One.crt");
    fs::File::options().write(true).open(&hole).unwrap().set_len(1 << 40).unwrap();
    own("a large certificate", &[]);
    fs::write(&hole, "one\n").unwrap();
    for extra in ["etc/ca-certificates/update.d/hook", "usr/local/share/ca-certificates/mine.crt", "sbin/restorecon"] {
        let path = authorities.root.join(extra);
        executable::write(&path, "");
        own(extra, &[]);
        fs::remove_file(path).unwrap();
    }
    // Where it cannot say a word.
    for nobody_hears in [">&-", "2>&-", ">/dev/full", "2>/dev/full"] {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &format!("exec \"$0\" {nobody_hears}")]);
        command.arg(authorities.scratch.path("place/update-ca-certificates")).env_remove("TMPDIR").status().unwrap();
        assert_eq!(authorities.picture(), before, "{nobody_hears}");
    }
    assert!(authorities.run(&[]).0.starts_with("Updating"));
}
