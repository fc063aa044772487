//! `ci-templates/` as a CI service runs them: their scripts, a repository, and stand-ins for what only a service has.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use kiln::base::Digest;

pub(crate) const KINDS: [&str; 4] = ["check", "update", "rebuild", "publish"];

pub(crate) fn template(service: &str, kind: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("ci-templates/{service}/kiln-{kind}.yml"));
    std::fs::read_to_string(path).unwrap()
}

/// Every script of a template, in order: the blocks that `run: |` and `- |` begin.
pub(crate) fn scripts(template: &str) -> Vec<String> {
    let mut scripts: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for line in template.lines() {
        let indent = line.len() - line.trim_start().len();
        match scripts.last_mut().filter(|(begin, _)| open && (indent > *begin || line.is_empty())) {
            Some((_, script)) => {
                script.push_str(line.trim_start_matches(' '));
                script.push('\n');
            }
            None => {
                open = line.trim_start() == "run: |" || line.trim_start() == "- |";
                if open {
                    scripts.push((indent, String::new()));
                }
            }
        }
    }
    scripts.into_iter().map(|(_, script)| script).collect()
}

/// The job of a CI service: its directory for files, and programs that stand in for those of the service.
pub(crate) struct Job<'a> {
    service: &'static str,
    repository: &'a Path,
    place: PathBuf,
    env: Vec<(String, String)>,
}

impl<'a> Job<'a> {
    /// In a repository with one commit, whose origin is a bare one beside it.
    pub(crate) fn new(service: &'static str, repository: &'a Path) -> Job<'a> {
        let place = repository.join(".job");
        std::fs::create_dir_all(place.join("bin")).unwrap();
        let job = Job { service, repository, place, env: Vec::new() };
        // A release of kiln, whose program is this one.
        job.program("release/kiln-v1/kiln", &format!("exec '{}' \"$@\"", env!("CARGO_BIN_EXE_kiln")));
        let tar = Command::new("tar")
            .args(["-cf", "release.tar", "-C", "release", "kiln-v1"])
            .current_dir(&job.place)
            .status();
        assert!(tar.unwrap().success());
        let record = format!("printf '%s\\n' \"$0 $*\" >>'{}'", job.place.join("called").display());
        for name in ["gh", "docker", "sudo"] {
            job.program(&format!("bin/{name}"), &record);
        }
        // It has two uses: the release, and a request to the service.
        let fetch = format!(
            "for word; do test \"$last\" = --output && to=$word; last=$word; done\ntest \"$to\" = /dev/null || cp '{}' \"$to\"",
            job.place.join("release.tar").display()
        );
        job.program("bin/curl", &format!("{record}\n{fetch}"));
        job.git(&["init", "--quiet", "--initial-branch=main"]);
        std::fs::write(job.repository.join(".git/info/exclude"), ".job\nstore\n.store\n").unwrap();
        job.git(&["add", "--all"]);
        job.git(&["-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "--quiet", "--message=first"]);
        job.git(&["init", "--quiet", "--bare", ".job/origin.git"]);
        job.git(&["remote", "add", "origin", ".job/origin.git"]);
        job
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Job<'a> {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    fn program(&self, name: &str, script: &str) {
        super::executable::write(&self.place.join(name), format!("#!/bin/sh\n{script}\n"));
    }

    pub(crate) fn git(&self, words: &[&str]) -> String {
        let output = self.command("git").args(words).output().unwrap();
        assert!(output.status.success(), "git {words:?}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What the stand-ins were asked for.
    pub(crate) fn called(&self) -> String {
        std::fs::read_to_string(self.place.join("called")).unwrap_or_default()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.place.join(name)
    }

    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let paths = [
            &self.place.join("bin"),
            Path::new("/usr/local/bin"),
            Path::new("/usr/bin"),
            Path::new("/bin"),
            Path::new("/usr/sbin"),
        ];
        let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        command.current_dir(self.repository).env("PATH", paths.join(":")).env("HOME", &self.place);
        command.env("GIT_CONFIG_NOSYSTEM", "1").env_remove("XDG_CONFIG_HOME").env_remove("XDG_CACHE_HOME");
        command.env("KILN_STORE", self.repository.join(".store"));
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs every script of a template as the service does: GitHub each step in a shell of its own, GitLab all in one.
    pub(crate) fn run(&self, kind: &str) -> Output {
        let scripts = scripts(&template(self.service, kind));
        let release = std::fs::read(self.place.join("release.tar")).unwrap();
        let place = self.place.display();
        // Each run is a new job.
        let _ = std::fs::remove_file(self.place.join("path"));
        let start = match self.service {
            "github" => format!("set -e; PATH=\"$(cat '{place}/path' 2>/dev/null || true):$PATH\"\n"),
            _ => "set -e -o pipefail\n".to_owned(),
        };
        let steps = if self.service == "github" { scripts } else { vec![scripts.concat()] };
        let mut last = None;
        for step in steps {
            let mut command = self.command("bash");
            command
                .env("KILN_URL", "https://releases.example/kiln.tar.xz")
                .env("KILN_SHA256", Digest::of(&release).hex());
            command.env("RUNNER_TEMP", &self.place).env("GITHUB_PATH", self.place.join("path"));
            command.env("GITHUB_REF_NAME", "main").env("CI_BUILDS_DIR", &self.place);
            let output = command.args(["-c", &format!("{start}{step}")]).output().unwrap();
            if !output.status.success() {
                return output;
            }
            last = Some(output);
        }
        last.unwrap()
    }
}

/// Both outputs of a program.
pub(crate) fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}
