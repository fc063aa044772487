//! `ci-templates/`: every command in them is run, in a repository of its own, with stand-ins for what only a CI service has.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use kiln::base::Digest;

use super::archive_support::{Package, TinyArchive};
use super::every::Tree;
use super::failure_support::{Lab, archive, text};

const KINDS: [&str; 4] = ["check", "update", "rebuild", "publish"];

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
            .args(["-cf", "kiln.tar.xz", "-C", "release", "kiln-v1"])
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
            job.place.join("kiln.tar.xz").display()
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
        let path = self.place.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn git(&self, words: &[&str]) -> String {
        let output = self.command("git").args(words).output().unwrap();
        assert!(output.status.success(), "git {words:?}: {}", text(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What the stand-ins were asked for.
    pub(crate) fn called(&self) -> String {
        std::fs::read_to_string(self.place.join("called")).unwrap_or_default()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.place.join(name)
    }

    fn command(&self, program: &str) -> Command {
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
        let release = std::fs::read(self.place.join("kiln.tar.xz")).unwrap();
        let place = self.place.display();
        let start = match self.service {
            "github" => format!("set -e; PATH=\"$(cat '{place}/path' 2>/dev/null):$PATH\"\n"),
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

fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(output));
    text(output)
}

#[test]
fn pushes_are_checked() {
    for service in ["github", "gitlab"] {
        let tree = Tree::new(&format!("template-{service}"));
        let job = Job::new(service, &tree.0);
        succeeded(&job.run("check"));
        tree.append("recipes/uefi.kiln", "# Nobody locked this.\n");
        let failed = job.run("check");
        assert_eq!(failed.status.code(), Some(1), "{}", text(&failed));
        let said = match service {
            "github" => text(&failed),
            _ => std::fs::read_to_string(tree.0.join("kiln-quality.json")).unwrap(),
        };
        assert!(said.contains("recipe `uefi.kiln` has changed"), "{said}");
        if service == "gitlab" {
            let junit = std::fs::read_to_string(tree.0.join("kiln-junit.xml")).unwrap();
            assert!(junit.contains("failures=\"1\""), "{junit}");
        }
        tree.append("recipes/cxl-quick.kiln", "\n\n\n");
        assert_eq!(job.run("check").status.code(), Some(3), "a recipe is not formatted");
    }
}

/// A release with other bytes is not unpacked, and so is one of which nobody said which bytes it has.
#[test]
fn another_kiln_than_the_one_that_is_named_is_not_run() {
    for service in ["github", "gitlab"] {
        for kind in KINDS {
            let install = &scripts(&template(service, kind))[0];
            assert!(install.contains("| sha256sum --check --strict\n"), "{install}");
            for digest in ["", &"0".repeat(64)] {
                let tree = Tree::new("template-install");
                let job = Job::new(service, &tree.0);
                let mut command = job.command("bash");
                command.env("KILN_URL", "u").env("KILN_SHA256", digest).env("RUNNER_TEMP", &job.place);
                command.env("CI_BUILDS_DIR", &job.place).env("GITHUB_PATH", job.place.join("path"));
                let output = command.args(["-e", "-c", install]).output().unwrap();
                assert!(!output.status.success() && !job.place.join("kiln").exists(), "{}", text(&output));
            }
        }
    }
}

#[test]
fn updates_are_proposed_with_what_moves() {
    for service in ["github", "gitlab"] {
        let mut lab = Lab::new(&format!("template-{service}"));
        std::fs::rename(lab.store(), lab.directory.join(".store")).unwrap();
        let formatted = lab.kiln().args(["fmt", "tiny.kiln"]).status().unwrap();
        assert!(formatted.success() && lab.kiln().args(["lock", "tiny.kiln"]).status().unwrap().success());
        let _ = std::fs::remove_dir_all(lab.store());
        newer(&mut lab);
        let origin = lab.directory.join(".job/origin.git");
        let job = Job::new(service, &lab.directory)
            .env("KILN_MIRROR", &lab.server.url())
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", &format!("url.{}.insteadOf", origin.display()))
            .env("GIT_CONFIG_VALUE_0", "https://kiln:token@gitlab.example/team/project.git")
            .env("KILN_TOKEN", "token")
            .env("CI_SERVER_HOST", "gitlab.example")
            .env("CI_PROJECT_PATH", "team/project")
            .env("CI_DEFAULT_BRANCH", "main")
            .env("CI_API_V4_URL", "https://gitlab.example/api/v4")
            .env("CI_PROJECT_ID", "1");
        succeeded(&job.run("update"));
        let proposed = std::fs::read_to_string(job.file("text")).unwrap();
        assert!(proposed.contains("tiny.kiln\n\n    "), "{proposed}");
        assert!(
            proposed.lines().any(|line| line.starts_with("    ") && line.contains("payload") && line.contains("9.9")),
            "{proposed}"
        );
        let lock = job.git(&["--git-dir", ".job/origin.git", "show", "kiln-update:tiny.lock"]);
        assert!(lock.contains("version = \"9.9\""), "{lock}");
        let called = job.called();
        let asked = if service == "github" { "gh pr create" } else { "/merge_requests" };
        assert!(called.contains(asked), "{called}");
        // When nothing moves, nothing is proposed.
        job.git(&["switch", "--quiet", "main"]);
        job.git(&["merge", "--quiet", "kiln-update"]);
        job.git(&["branch", "--quiet", "--delete", "kiln-update"]);
        std::fs::remove_file(job.file("called")).unwrap();
        succeeded(&job.run("update"));
        assert!(!job.called().contains(asked), "{}", job.called());
    }
}

/// The same archive ten minutes later, with another version of one package.
fn newer(lab: &mut Lab) {
    let mut newer: TinyArchive = archive();
    newer = newer.clone().dated(kiln::base::Timestamp(newer.date.0 + 600));
    newer.packages.retain(|package| package.name != "payload");
    lab.server.publish(&newer.package(Package::new("payload", "9.9")));
}

/// Who may do what, and whose code is run.
#[test]
fn templates_have_no_more_rights_than_they_need() {
    for kind in KINDS {
        let text = template("github", kind);
        let rights: Vec<&str> = text
            .lines()
            .skip_while(|line| *line != "permissions:")
            .skip(1)
            .take_while(|line| line.starts_with("  "))
            .map(str::trim)
            .collect();
        let expected: &[&str] = match kind {
            "update" => &["contents: write", "pull-requests: write"],
            "publish" => &["contents: read", "packages: write"],
            _ => &["contents: read"],
        };
        assert_eq!(rights, expected, "{kind}");
        assert_eq!(text.matches("permissions:").count(), 1, "{kind}");
        assert!(!text.contains("pull_request_target") && !text.contains("workflow_run"), "{kind}");
        for action in text.lines().filter_map(|line| line.split_once("uses: ")).map(|(_, action)| action) {
            let commit = action.split_once('@').unwrap().1.split(' ').next().unwrap();
            assert!(action.starts_with("actions/checkout@") && commit.len() == 40, "{action}");
            assert!(commit.bytes().all(|byte| byte.is_ascii_hexdigit()), "{action}");
        }
        assert_eq!(text.matches("uses: ").count(), text.matches("persist-credentials: false").count(), "{kind}");
    }
    for (service, kind) in ["github", "gitlab"].into_iter().flat_map(|service| KINDS.map(|kind| (service, kind))) {
        let text = template(service, kind);
        let all = scripts(&text);
        // Branches, tags and titles are chosen by others: a shell gets them as variables, never as part of its text.
        assert!(all.iter().all(|script| !script.contains("${{")), "{service} {kind}");
        assert!(
            all.iter().any(|script| script.contains("kiln verify --all .") || script.contains("kiln build")),
            "{kind}"
        );
        for line in text.lines() {
            let indent = line.len() - line.trim_start().len();
            assert!(
                !line.contains('\t') && indent.is_multiple_of(2) && line.trim_end() == line,
                "{service} {kind}: {line:?}"
            );
        }
        if !text.contains("KILN_KEY") {
            assert!(!text.contains("secrets."), "{service} {kind}");
        }
    }
}
