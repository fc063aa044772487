//! `kiln verify --all` judged by others: SARIF by its published schema, CI templates by a parser of YAML.

use std::path::Path;
use std::process::Command;

use super::live::{QUICK, SELDOM, Scratch, has_its_turn, judge, live, quick, succeed};
use super::template_support::{Job, KINDS, said, scripts, template};

/// A crate that has the schema of OASIS as a file.
const MANIFEST: &str = "[package]\nname = \"schema\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n[dependencies]\nserde-sarif = \
                        { version = \"0.6\", default-features = false }\n";

const JUDGE: &str = r#"
import json, sys
import jsonschema
schema = json.load(open(sys.argv[1]))
jsonschema.validators.validator_for(schema).check_schema(schema)
for name in sys.argv[2:]:
    jsonschema.validate(json.load(open(name)), schema)
    document = json.load(open(name))
    print(len(document["runs"][0]["results"]))
"#;

const YAML: &str = r#"
import sys, yaml
for name in sys.argv[1:]:
    document = yaml.safe_load(open(name))
    # YAML 1.1 reads the key `on` as true.
    scripts = [step["run"] for job in document["jobs"].values() for step in job["steps"] if "run" in step] \
        if "jobs" in document else \
        [script for job in document.values() if "script" in job for script in job["before_script"] + job["script"]]
    print(sum(len(script.splitlines()) for script in scripts))
"#;

#[test]
fn sarif_and_templates_are_what_others_read() {
    if !live("SARIF, judged by its schema; CI templates, parsed as YAML") || !has_its_turn("ci", &SELDOM) {
        return;
    }
    if !judge("python3") {
        return;
    }
    let scratch = Scratch::new("every-live");
    let python = scratch.path("venv/bin/python");
    succeed(Command::new("python3").args(["-m", "venv"]).arg(scratch.path("venv")));
    succeed(Command::new(&python).args(["-m", "pip", "install", "-q", "jsonschema", "pyyaml"]));
    std::fs::create_dir(scratch.path("src")).unwrap();
    std::fs::write(scratch.path("src/lib.rs"), "").unwrap();
    std::fs::write(scratch.path("Cargo.toml"), MANIFEST).unwrap();
    succeed(Command::new("cargo").args(["vendor", "-q"]).current_dir(scratch.path(".")));
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut documents = Vec::new();
    // The fixtures of the language are full of mistakes; the recipes have none.
    for (name, directory) in [("good", "recipes"), ("wrong", "tests/fixtures")] {
        let mut kiln = Command::new(env!("CARGO_BIN_EXE_kiln"));
        let output = kiln.args(["verify", "--all", directory, "--format", "sarif"]).current_dir(root).output().unwrap();
        documents.push(scratch.path(name));
        std::fs::write(scratch.path(name), output.stdout).unwrap();
    }
    let script = |name: &str, text: &str| {
        std::fs::write(scratch.path(name), text).unwrap();
        let mut command = Command::new(&python);
        command.arg(scratch.path(name));
        command
    };
    let mut schema = script("judge.py", JUDGE);
    let judged = succeed(schema.arg(scratch.path("vendor/serde-sarif/src/schema.json")).args(&documents));
    let counts = numbers(&judged.stdout);
    assert!(counts[1] > 100 && counts[0] < 20, "{counts:?}");
    // What another parser takes for scripts is what kiln's own tests run.
    let mut lines = Vec::new();
    let mut parser = script("read-templates.py", YAML);
    for (service, kind) in ["github", "gitlab"].into_iter().flat_map(|service| KINDS.map(|kind| (service, kind))) {
        parser.arg(root.join(format!("ci-templates/{service}/kiln-{kind}.yml")));
        let all = scripts(&template(service, kind));
        lines.push(all.iter().map(|script| script.lines().count()).sum::<usize>());
    }
    assert_eq!(numbers(&succeed(&mut parser).stdout), lines);
}

#[test]
fn recipes_are_rebuilt_and_published_as_the_templates_say() {
    if !live("CI templates that build: rebuild, and publish to an image layout") || !has_its_turn("ci", &SELDOM) {
        return;
    }
    if !judge("ssh-keygen") || !judge("git") {
        return;
    }
    let built = quick();
    for service in ["github", "gitlab"] {
        let scratch = Scratch::new(&format!("template-{service}"));
        let repository = scratch.path("repository");
        std::fs::create_dir_all(repository.join("lockfiles")).unwrap();
        succeed(Command::new("cp").args(["-r", "recipes"]).arg(&repository).current_dir(env!("CARGO_MANIFEST_DIR")));
        for entry in std::fs::read_dir(repository.join("recipes")).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_file() && !entry.ends_with("cxl-quick.kiln") {
                std::fs::remove_file(entry).unwrap();
            }
        }
        std::fs::copy(&built.lock, repository.join("lockfiles/cxl-quick.lock")).unwrap();
        let key = scratch.path("key");
        succeed(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "ci", "-f"]).arg(&key));
        let secret =
            if service == "github" { std::fs::read_to_string(&key).unwrap() } else { key.display().to_string() };
        let layout = format!("oci:{}", scratch.path("layout").display());
        let job = Job::new(service, &repository)
            .env("KILN_STORE", &built.store.display().to_string())
            .env("RECIPE", QUICK)
            .env("REFERENCE", &layout)
            .env("CI_REGISTRY_IMAGE", &layout)
            .env("CI_REGISTRY", "registry.example")
            .env("CI_COMMIT_TAG", "main")
            .env("KILN_KEY", &secret);
        let output = job.run("publish");
        assert!(output.status.success(), "{service}: {}", said(&output));
        assert!(!job.file("key").exists(), "the key is left");
        let pulled = scratch.path("pulled");
        let mut pull = job.command(env!("CARGO_BIN_EXE_kiln"));
        succeed(pull.args(["pull", &format!("{layout}:main"), "--output"]).arg(&pulled));
        let files = ["manifest.json", "attestations.intoto.jsonl"].map(|name| pulled.join(name).exists());
        assert_eq!(files, [true, true], "{service}");
        let output = job.run("rebuild");
        assert!(output.status.success(), "{service}: {}", said(&output));
        if service == "gitlab" {
            let junit = std::fs::read_to_string(repository.join("kiln-junit.xml")).unwrap();
            assert!(junit.contains("recipes/cxl-quick.kiln") && junit.contains("failures=\"0\""), "{junit}");
        } else {
            assert!(said(&output).contains("root cxl-quick: running"), "a second build: {}", said(&output));
        }
    }
}

fn numbers(text: &[u8]) -> Vec<usize> {
    String::from_utf8_lossy(text).split_whitespace().map(|number| number.parse().unwrap()).collect()
}
