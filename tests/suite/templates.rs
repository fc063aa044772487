//! `ci-templates/`: every command in them is run. What builds is in `every_live.rs`.

use std::process::Output;

use super::archive_support::{Package, TinyArchive};
use super::every::Tree;
use super::failure_support::{Lab, archive, text};
use super::template_support::{Job, KINDS, scripts, template};

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
        // What xargs ends with when a command of it failed.
        assert_eq!(job.run("check").status.code(), Some(123), "a recipe is not formatted");
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
                command.env("KILN_URL", "u").env("KILN_SHA256", digest).env("RUNNER_TEMP", job.file(""));
                command.env("CI_BUILDS_DIR", job.file("")).env("GITHUB_PATH", job.file("path"));
                let output = command.args(["-e", "-c", install]).output().unwrap();
                assert!(!output.status.success() && !job.file("kiln").exists(), "{}", text(&output));
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
            assert!(!text.contains("${{ secrets"), "{service} {kind}");
        }
    }
}
