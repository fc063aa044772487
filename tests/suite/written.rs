//! Where commands with `--output` write: one rule for all of them.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::failure_support::{Lab, refused, text};

/// Commands that write text, and those that write what only a file takes.
const TEXT: [&[&str]; 2] = [&["sbom", "tiny.kiln", "--format", "spdx", "--offline"], &["report", "tiny.kiln"]];
const BINARY: [(&[&str], &str); 2] =
    [(&["bundle", "tiny.kiln"], "a bundle"), (&["export", "result", "--format", "raw"], "a raw disk")];

fn to(lab: &Lab, words: &[&str], file: &str) -> Command {
    let mut kiln = lab.kiln();
    kiln.args(words).args(["-o", file]);
    kiln
}

fn ran(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", text(&output));
    output
}

fn entries(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "store" && !name.starts_with("server"))
        .collect();
    names.sort();
    names
}

#[test]
fn no_file_is_replaced_unless_that_is_asked_for() {
    let lab = Lab::new("written-kept");
    std::fs::create_dir_all(lab.directory.join("result")).unwrap();
    std::fs::create_dir(lab.directory.join("directory")).unwrap();
    std::os::unix::fs::symlink("directory", lab.directory.join("to-directory")).unwrap();
    std::os::unix::fs::symlink("precious", lab.directory.join("link")).unwrap();
    std::os::unix::fs::symlink("nothing", lab.directory.join("dangling")).unwrap();
    std::fs::write(lab.directory.join("precious"), "precious").unwrap();
    let before = entries(&lab.directory);
    for words in TEXT.into_iter().chain(BINARY.map(|(words, _)| words)) {
        for file in ["precious", "link", "dangling"] {
            refused(&to(&lab, words, file).output().unwrap(), 2, &[&format!("{file} exists already"), "--force"]);
        }
        for file in ["directory", "to-directory", "."] {
            for force in [&[][..], &["--force"]] {
                let output = to(&lab, words, file).args(force).output().unwrap();
                refused(&output, 2, &["is a directory: name a file"]);
            }
        }
        assert_eq!(entries(&lab.directory), before, "{words:?}");
    }
    for words in TEXT.into_iter().chain([BINARY[0].0]) {
        ran(&mut to(&lab, words, "new"));
        let whole = std::fs::read(lab.directory.join("new")).unwrap();
        ran(to(&lab, words, "link").arg("--force"));
        assert_eq!(std::fs::read(lab.directory.join("link")).unwrap(), whole);
        assert!(lab.directory.join("link").symlink_metadata().unwrap().is_file());
        assert_eq!(std::fs::read(lab.directory.join("precious")).unwrap(), b"precious");
        std::fs::remove_file(lab.directory.join("new")).unwrap();
        std::fs::remove_file(lab.directory.join("link")).unwrap();
        std::os::unix::fs::symlink("precious", lab.directory.join("link")).unwrap();
    }
    assert_eq!(entries(&lab.directory), before);
}

#[test]
fn a_dash_is_standard_output_for_text_and_no_file_for_anything_else() {
    let lab = Lab::new("written-dash");
    std::fs::create_dir_all(lab.directory.join("result")).unwrap();
    std::os::unix::fs::symlink("/proc/self/fd/1", lab.directory.join("out")).unwrap();
    for words in TEXT {
        ran(&mut to(&lab, words, "./-"));
        let written = std::fs::read(lab.directory.join("-")).unwrap();
        std::fs::remove_file(lab.directory.join("-")).unwrap();
        for file in ["-", "/dev/stdout", "/dev/fd/1", "out"] {
            assert_eq!(ran(&mut to(&lab, words, file)).stdout, written, "{words:?} {file}");
            // Standard output may be a file, which then is written to and stays the file that the shell has opened.
            let redirected = std::fs::File::create(lab.directory.join("redirected")).unwrap();
            ran(to(&lab, words, file).arg("--force").stdout(redirected));
            assert_eq!(std::fs::read(lab.directory.join("redirected")).unwrap(), written, "{words:?} {file}");
        }
        assert!(lab.directory.join("out").symlink_metadata().unwrap().is_symlink());
        ran(&mut to(&lab, words, "/dev/null"));
    }
    for (words, what) in BINARY {
        for file in ["-", "/dev/stdout", "out"] {
            for force in [&[][..], &["--force"]] {
                let output = to(&lab, words, file).args(force).output().unwrap();
                refused(&output, 2, &[&format!("{what} is not written to standard output"), "./-"]);
            }
        }
        let output = to(&lab, words, "/dev/null").arg("--force").output().unwrap();
        refused(&output, 2, &["/dev/null is a pipe or a device", what]);
    }
    assert!(!lab.directory.join("-").exists());
    let pull = lab.kiln().args(["pull", "oci:layout", "-o", "-"]).output().unwrap();
    refused(&pull, 2, &["a directory is not written to standard output"]);
}

#[test]
fn a_pipe_takes_text_whole_and_stays_a_pipe() {
    let lab = Lab::new("written-pipe");
    let pipe = lab.directory.join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    for words in TEXT {
        refused(&to(&lab, words, "pipe").output().unwrap(), 4, &["cannot open pipe"]);
        ran(&mut to(&lab, words, "file"));
        let cat = Command::new("cat").arg(&pipe).stdout(Stdio::piped()).spawn().unwrap();
        // It is a reader once it has opened the pipe.
        let writer = std::fs::OpenOptions::new().write(true).open(&pipe).unwrap();
        ran(&mut to(&lab, words, "pipe"));
        drop(writer);
        let read = cat.wait_with_output().unwrap().stdout;
        assert!(read == std::fs::read(lab.directory.join("file")).unwrap(), "{words:?}");
        std::fs::remove_file(lab.directory.join("file")).unwrap();
    }
    assert!(!pipe.symlink_metadata().unwrap().is_file());
}
