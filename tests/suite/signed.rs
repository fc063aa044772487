//! `kiln sign` and `kiln verify --signed`, with the tools of others as judges: what ssh-keygen and minisign sign is accepted,
//! they accept what kiln signs, and every signature that is not to be relied on is refused with its reason.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use kiln::base::base64;
use kiln::deliver::manifest::Manifest;
use kiln::deliver::statement::BuildStatement;

use super::failure_support::{refused, text};
use super::live::Scratch;
use super::ssh_agent::Agent;

/// A result directory, an SSH key, and a file that trusts it.
struct Lab {
    scratch: Scratch,
}

impl Lab {
    /// `None` without ssh-keygen.
    fn new(name: &str) -> Option<Lab> {
        if !super::live::judge("ssh-keygen") {
            return None;
        }
        let lab = Lab { scratch: Scratch::new(&format!("signed-{name}")) };
        super::directory::deliver(&lab.path("result"));
        lab.key("key");
        lab.trust(&format!("alice {}\n", lab.public("key")));
        Some(lab)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path(name)
    }

    fn key(&self, name: &str) {
        succeed(
            Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"]).arg(self.path(name)),
        );
    }

    fn public(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap().trim().to_owned()
    }

    fn trust(&self, lines: &str) {
        std::fs::create_dir_all(self.path(".config/kiln")).unwrap();
        std::fs::write(self.path(".config/kiln/trusted-keys"), format!("# who\n\n{lines}")).unwrap();
    }

    fn kiln(&self, words: &[&str]) -> Command {
        let mut kiln = Command::new(env!("CARGO_BIN_EXE_kiln"));
        kiln.args(words).current_dir(self.path("")).env("HOME", self.path(""));
        for name in ["XDG_CONFIG_HOME", "XDG_STATE_HOME", "SSH_AUTH_SOCK"] {
            kiln.env_remove(name);
        }
        kiln
    }

    fn sign(&self, more: &[&str]) {
        succeed(self.kiln(&["sign", "result", "--key", "key"]).args(more));
    }

    fn verify(&self, more: &[&str]) -> Output {
        self.kiln(&["verify", "--signed", "result"]).args(more).output().unwrap()
    }

    fn refuses(&self, words: &[&str]) {
        refused(&self.verify(&[]), 3, words);
    }

    fn statement(&self) -> BuildStatement {
        BuildStatement::read(&std::fs::read(self.path("result/signed.json")).unwrap()).unwrap()
    }

    /// Signs a statement with ssh-keygen instead.
    fn forge(&self, statement: &BuildStatement, key: &str, namespace: &str) {
        std::fs::write(self.path("result/signed.json"), statement.write()).unwrap();
        let _ = std::fs::remove_file(self.path("result/signed.json.sig"));
        let mut sign = Command::new("ssh-keygen");
        sign.args(["-Y", "sign", "-n", namespace, "-f"]).arg(self.path(key)).arg(self.path("result/signed.json"));
        succeed(&mut sign);
    }
}

fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", text(&output));
    text(&output)
}

#[test]
fn ssh_keygen_accepts_what_kiln_signs_and_the_other_way_round() {
    let Some(lab) = Lab::new("ssh") else { return };
    lab.sign(&[]);
    let signers = lab.path("allowed_signers");
    std::fs::write(&signers, format!("alice {}\n", lab.public("key"))).unwrap();
    let judge = |statement: &Path| {
        let mut judge = Command::new("ssh-keygen");
        judge.args(["-Y", "verify", "-I", "alice", "-n", "kiln", "-f"]).arg(&signers).arg("-s");
        judge.arg(lab.path("result/signed.json.sig")).stdin(std::fs::File::open(statement).unwrap());
        judge.output().unwrap()
    };
    let output = judge(&lab.path("result/signed.json"));
    assert!(output.status.success(), "{}", text(&output));
    assert!(!judge(&lab.path("result/manifest.json")).status.success());
    let said = text(&lab.verify(&["--recipe-name", "tiny"]));
    assert!(said.contains("tiny: signed by alice (SHA256:"), "{said}");
    lab.forge(&lab.statement(), "key", "kiln");
    assert!(text(&lab.verify(&[])).contains("signed by alice"));
    let report: serde_json::Value = serde_json::from_slice(&lab.verify(&["--json"]).stdout).unwrap();
    assert_eq!((&report["recipe"], &report["signers"][0]["name"]), (&"tiny".into(), &"alice".into()));
    // A signature is no part of the build, and changes nothing about it.
    succeed(&mut lab.kiln(&["verify", "result"]));
    // What is signed has every artifact, the lock, the output version and the recipe.
    let manifest = Manifest::read(&std::fs::read(lab.path("result/manifest.json")).unwrap()).unwrap();
    let statement = lab.statement();
    assert!(statement.is_of(&manifest));
    for change in [
        |manifest: &mut Manifest| manifest.recipe.push('x'),
        |manifest: &mut Manifest| manifest.output_version += 1,
        |manifest: &mut Manifest| manifest.lock = kiln::base::Digest::of(b"another lock"),
        |manifest: &mut Manifest| {
            manifest.artifacts.values_mut().for_each(|file| file.sha256 = kiln::base::Digest::of(b"x"))
        },
        |manifest: &mut Manifest| manifest.steps.clear(),
    ] {
        let mut other = manifest.clone();
        change(&mut other);
        assert!(!statement.is_of(&other));
    }
}

#[test]
fn an_agent_signs_for_a_public_key() {
    let Some(lab) = Lab::new("agent") else { return };
    if !super::live::judge("ssh-agent") {
        return;
    }
    refused(&lab.kiln(&["sign", "result", "--key", "key.pub"]).output().unwrap(), 2, &["SSH_AUTH_SOCK is not set"]);
    let agent = Agent::start("sign");
    let socket = agent.socket();
    let sign = |key: &str| lab.kiln(&["sign", "result", "--key", key]).env("SSH_AUTH_SOCK", &socket).output().unwrap();
    refused(&sign("key.pub"), 4, &["the SSH agent does not sign with this key"]);
    agent.add(&lab.path("key"));
    let output = sign("key.pub");
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&lab.verify(&[])).contains("signed by alice"));
}

#[test]
fn minisign_accepts_what_kiln_signs_and_the_other_way_round() {
    let Some(lab) = Lab::new("minisign") else { return };
    let seed = [42; 32];
    let public = ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key().to_bytes();
    let secret = [b"Ed".as_slice(), &[0; 2], b"B2", &[0; 48], b"kiln-key", &seed, &public].concat();
    let checksum = {
        use blake2::Digest;
        let body = [b"Ed".as_slice(), b"kiln-key", &seed, &public].concat();
        blake2::Blake2b::<blake2::digest::consts::U32>::digest(body).to_vec()
    };
    let secret = base64::encode(&[secret, checksum].concat());
    std::fs::write(lab.path("mini.key"), format!("untrusted comment: minisign secret key\n{secret}\n")).unwrap();
    let word = base64::encode(&[b"Ed".as_slice(), b"kiln-key", &public].concat());
    std::fs::write(lab.path("mini.pub"), format!("untrusted comment: minisign public key\n{word}\n")).unwrap();
    succeed(&mut lab.kiln(&["sign", "result", "--key", "mini.key"]));
    assert!(lab.path("result/signed.json.minisig").exists() && !lab.path("result/signed.json.sig").exists());
    lab.refuses(&["signed by a key that is not trusted: minisign"]);
    lab.trust(&format!("bob minisign {word}\n"));
    assert!(text(&lab.verify(&[])).contains("signed by bob (minisign "));
    let there = Command::new("minisign").arg("-v").output().is_ok();
    if !there {
        return println!("minisign is not installed: the other half of this test did not run");
    }
    let minisign = |words: &[&str]| succeed(Command::new("minisign").args(words).current_dir(lab.path("")));
    minisign(&["-V", "-p", "mini.pub", "-m", "result/signed.json"]);
    minisign(&["-S", "-s", "mini.key", "-m", "result/signed.json", "-t", "by minisign itself"]);
    assert!(text(&lab.verify(&[])).contains("signed by bob (minisign "));
}

#[test]
fn unsigned_is_refused() {
    let Some(lab) = Lab::new("unsigned") else { return };
    lab.refuses(&["result: not signed: it has no signed.json"]);
    // A program that asks learns why on standard output.
    let output = lab.verify(&["--json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (output.status.code(), &report["refused"]),
        (Some(3), &"result: not signed: it has no signed.json".into())
    );
    lab.sign(&[]);
    std::fs::remove_file(lab.path("result/signed.json.sig")).unwrap();
    lab.refuses(&["not signed: it has no signed.json.sig or signed.json.minisig"]);
    std::os::unix::fs::symlink(lab.path("key"), lab.path("result/signed.json.sig")).unwrap();
    refused(&lab.verify(&[]), 3, &["signed.json.sig"]);
}

#[test]
fn wrongly_signed_is_refused() {
    let Some(lab) = Lab::new("wrong") else { return };
    lab.sign(&[]);
    let statement = std::fs::read_to_string(lab.path("result/signed.json")).unwrap();
    std::fs::write(lab.path("result/signed.json"), statement.replace("tiny", "tinx")).unwrap();
    lab.refuses(&["wrong signature: signed.json.sig: the signature does not match"]);
    lab.sign(&[]);
    std::fs::write(lab.path("result/signed.json.sig"), "-----BEGIN SSH SIGNATURE-----\nAAAA\n").unwrap();
    lab.refuses(&["wrong signature: signed.json.sig: not a signature"]);
    lab.sign(&[]);
    lab.forge(&lab.statement(), "key", "git");
    lab.refuses(&["made for another purpose"]);
    lab.sign(&[]);
    std::fs::write(lab.path("result/vmlinuz"), "kernex").unwrap();
    lab.refuses(&["does not match its manifest", "vmlinuz"]);
}

#[test]
fn somebody_elses_signature_is_refused() {
    let Some(lab) = Lab::new("unknown") else { return };
    lab.key("mallory");
    lab.sign(&[]);
    lab.forge(&lab.statement(), "mallory", "kiln");
    lab.refuses(&["signed by a key that is not trusted: SHA256:"]);
    std::fs::write(lab.path("more"), format!("mallory {}\n", lab.public("mallory"))).unwrap();
    assert!(text(&lab.verify(&["--trusted-keys", "more"])).contains("signed by mallory"));
    // A file of that name in the working directory, which may be anybody's, is not read by itself.
    std::fs::rename(lab.path("more"), lab.path("trusted-keys")).unwrap();
    lab.refuses(&["not trusted"]);
    std::fs::remove_file(lab.path(".config/kiln/trusted-keys")).unwrap();
    refused(&lab.verify(&[]), 2, &["no keys are trusted"]);
}

#[test]
fn an_expired_signature_and_an_expired_key_are_refused() {
    let Some(lab) = Lab::new("expired") else { return };
    for days in ["0", "36501", "4294967296", "-1"] {
        let output = lab.kiln(&["sign", "result", "--key", "key", "--expires", days]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{days}: {}", text(&output));
    }
    lab.sign(&["--expires", "36500"]);
    lab.sign(&["--expires", "30"]);
    assert!(text(&lab.verify(&[])).contains(", until 20"));
    let mut over = lab.statement();
    over.expires = Some(over.signed);
    lab.forge(&over, "key", "kiln");
    lab.refuses(&["the signature expired at 20"]);
    lab.sign(&["--expires", "30"]);
    lab.trust(&format!("alice {} expires=2020-01-01\n", lab.public("key")));
    lab.refuses(&["signed by alice, whose key expired at 2020-01-01T00:00:00Z"]);
    let mut statement = lab.statement();
    statement.signed.0 += 3 * 86_400;
    lab.trust(&format!("alice {}\n", lab.public("key")));
    lab.forge(&statement, "key", "kiln");
    lab.refuses(&["the signature was made in the future"]);
}

#[test]
fn a_revoked_key_is_refused_whoever_else_trusts_it() {
    let Some(lab) = Lab::new("revoked") else { return };
    lab.sign(&[]);
    std::fs::write(lab.path("more"), format!("alice {} revoked # stolen\n", lab.public("key"))).unwrap();
    refused(&lab.verify(&["--trusted-keys", "more"]), 3, &["signed by a key that was revoked: alice"]);
}

#[test]
fn a_signature_of_another_recipe_is_refused() {
    let Some(lab) = Lab::new("replayed") else { return };
    lab.sign(&[]);
    refused(&lab.verify(&["--recipe-name", "other"]), 3, &["a build of recipe `tiny`, not of `other`"]);
    lab.trust(&format!("alice {} recipes=cxl-*,small\n", lab.public("key")));
    lab.refuses(&["signed by alice, who is not trusted with recipe `tiny`"]);
    lab.trust(&format!("alice {} recipes=cxl-*,t*y\n", lab.public("key")));
    assert!(lab.verify(&[]).status.success());
    // The same statement and signature beside another build.
    let mut manifest = Manifest::read(&std::fs::read(lab.path("result/manifest.json")).unwrap()).unwrap();
    manifest.recipe = "other".to_owned();
    std::fs::write(lab.path("result/manifest.json"), manifest.write()).unwrap();
    lab.refuses(&["the signature is of another build: it was made for recipe `tiny`"]);
}

#[test]
fn an_older_build_than_one_that_was_accepted_is_refused() {
    let Some(lab) = Lab::new("rolled-back") else { return };
    lab.sign(&[]);
    assert!(lab.verify(&[]).status.success() && lab.verify(&[]).status.success());
    let mut statement = lab.statement();
    statement.signed.0 -= 60;
    lab.forge(&statement, "key", "kiln");
    lab.refuses(&["rolled back: it was signed at", "but a build that alice signed at", "was accepted before"]);
}

#[test]
fn what_a_build_cannot_promise_is_said_by_every_verb_that_reads_it() {
    let Some(lab) = Lab::new("notices") else { return };
    let mut manifest = Manifest::read(&std::fs::read(lab.path("result/manifest.json")).unwrap()).unwrap();
    manifest.incremental.insert("kernel-build own".to_owned());
    manifest.local.insert("mine".to_owned(), kiln::base::Digest::of(b"tree"));
    std::fs::write(lab.path("result/manifest.json"), manifest.write()).unwrap();
    let wanted = ["kernel-build own was built incrementally", "kernel mine was compiled from a directory"];
    for verb in [&["verify", "result"][..], &["sign", "result", "--key", "key"], &["verify", "--signed", "result"]] {
        let output = lab.kiln(verb).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && wanted.iter().all(|words| said.contains(words)), "{verb:?}: {said}");
    }
}

#[test]
fn options_of_a_recipe_are_refused_beside_a_signature() {
    let Some(lab) = Lab::new("options") else { return };
    lab.sign(&[]);
    for option in [["--set", "size=1GiB"], ["--lock", "other.lock"], ["--source", "mine=linux"]] {
        refused(&lab.verify(&option), 2, &[&format!("{} has no effect on the result directory result", option[0])]);
    }
}

#[test]
fn keys_and_lists_of_keys_that_cannot_be_used_say_why() {
    let Some(lab) = Lab::new("keys") else { return };
    succeed(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "secret", "-f"]).arg(lab.path("locked")));
    let sign = |key: &str| lab.kiln(&["sign", "result", "--key", key]).output().unwrap();
    refused(&sign("locked"), 2, &["locked: the key has a passphrase", "SSH agent"]);
    succeed(Command::new("ssh-keygen").args(["-q", "-t", "ecdsa", "-N", "", "-f"]).arg(lab.path("other")));
    refused(&sign("other"), 2, &["other: not an Ed25519 key"]);
    refused(&sign("result/vmlinuz"), 2, &["not an SSH public key"]);
    refused(&sign("/dev/zero"), 2, &[]);
    lab.sign(&[]);
    for (line, words) in [
        ("alice", "expected NAME ssh-ed25519 KEY"),
        ("alice ssh-rsa AAAA", "not an Ed25519 key"),
        ("alice minisign AAAA", "not a minisign public key"),
        (&format!("alice {} until=2027", lab.public("key")), "unknown option `until=2027`"),
        (&format!("alice {} expires=tomorrow", lab.public("key")), "expected expires=YYYY-MM-DD"),
        // Not taken for a comment, for it may be meant to say `revoked`.
        (&format!("alice {} revokd", lab.public("key")), "unknown option `revokd`"),
        (&format!("alice {} alice@host revokd", lab.public("key")), "unknown option `revokd`"),
    ] {
        lab.trust(line);
        refused(&lab.verify(&[]), 2, &["trusted-keys, line 3: ", words]);
    }
}

#[test]
fn a_key_may_have_the_comment_that_ssh_keygen_writes() {
    let Some(lab) = Lab::new("comment") else { return };
    lab.sign(&[]);
    lab.trust(&format!("alice {} alice@host.example", lab.public("key")));
    succeed(&mut lab.kiln(&["verify", "result", "--signed"]));
    lab.trust(&format!("alice {} alice@host.example revoked", lab.public("key")));
    refused(&lab.verify(&[]), 3, &["revoked"]);
}

/// A key as minisign itself makes it, and one that would keep a processor busy for years.
#[test]
fn a_minisign_key_with_a_passphrase_signs_for_whoever_knows_it() {
    let Some(lab) = Lab::new("minisign-opened") else { return };
    if !super::live::judge("minisign") {
        return;
    }
    let fed = |command: &mut Command, lines: &str| {
        let piped = || std::process::Stdio::piped();
        let mut child = command.stdin(piped()).stdout(piped()).stderr(piped()).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), lines.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    let mut make = Command::new("minisign");
    make.args(["-G", "-p", "mini.pub", "-s", "mini.key"]).current_dir(lab.path(""));
    assert!(fed(&mut make, "öpen\nöpen\n").status.success());
    std::fs::write(lab.path("right"), "öpen\r\nmore\n").unwrap();
    succeed(&mut lab.kiln(&["sign", "result", "--key", "mini.key", "--passphrase-file", "right"]));
    let judged = ["-V", "-p", "mini.pub", "-m", "result/signed.json"];
    succeed(Command::new("minisign").args(judged).current_dir(lab.path("")));
    let words = ["sign", "result", "--key", "mini.key", "--passphrase-file", "-"];
    assert!(fed(&mut lab.kiln(&words), "öpen\n").status.success());
    refused(&fed(&mut lab.kiln(&words), "open\n"), 2, &["mini.key: the passphrase is not that of the key"]);
    refused(
        &lab.kiln(&["sign", "result", "--key", "key", "--passphrase-file", "right"]).output().unwrap(),
        2,
        &["key: `--passphrase-file` is for minisign keys with a passphrase", "leave it out"],
    );
    let costly = base64::encode(
        &[b"EdScB2".as_slice(), &[0; 32], &u64::MAX.to_le_bytes(), &u64::MAX.to_le_bytes(), &[7; 104]].concat(),
    );
    std::fs::write(lab.path("costly.key"), format!("untrusted comment: x\n{costly}\n")).unwrap();
    let output = lab.kiln(&["sign", "result", "--key", "costly.key", "--passphrase-file", "right"]).output().unwrap();
    refused(&output, 2, &["needs more work for its passphrase", "1 GiB"]);
}

/// No agent has minisign's keys.
#[test]
fn a_minisign_key_that_cannot_sign_is_refused_with_a_way_out() {
    let Some(lab) = Lab::new("minisign-pass") else { return };
    let secret = base64::encode(&[b"EdScB2".as_slice(), &[7; 152]].concat());
    std::fs::write(lab.path("mini.key"), format!("untrusted comment: minisign encrypted secret key\n{secret}\n"))
        .unwrap();
    let word = base64::encode(&[b"Ed".as_slice(), b"kiln-key", &[7; 32]].concat());
    std::fs::write(lab.path("mini.pub"), format!("untrusted comment: minisign public key\n{word}\n")).unwrap();
    for (key, words) in [
        ("mini.key", ["the minisign key has a passphrase", "--passphrase-file FILE"]),
        ("mini.pub", ["a minisign public key, which signs nothing", "name the secret key"]),
    ] {
        let output = lab.kiln(&["sign", "result", "--key", key]).output().unwrap();
        refused(&output, 2, &words);
        assert!(!text(&output).contains("name its .pub file"), "{}", text(&output));
    }
}
