//! Who signed a build and who attests it, in a report: only of this lock, and compared with these files.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Output;

use kiln::base::Digest;
use kiln::deliver::manifest::{self, DeliveredFile, Manifest};
use kiln::lock::Lock;

use super::super::failure_support::{Lab, refused, text};
use super::tags;

/// A build of the lab's lock: one file, with this content.
fn built(lock: &Lock, content: &[u8]) -> Manifest {
    let file = DeliveredFile { size: content.len() as u64, sha256: Digest::of(content) };
    Manifest {
        format: manifest::FORMAT,
        recipe: "tiny".to_owned(),
        output_version: lock.output_version,
        lock: kiln::lock::inputs_digest(lock),
        artifacts: BTreeMap::from([("i.tar".to_owned(), file)]),
        steps: BTreeMap::new(),
        incremental: BTreeSet::new(),
        local: BTreeMap::new(),
        qemu: BTreeMap::new(),
        built_qemu: BTreeMap::new(),
        images: BTreeMap::from([("i".to_owned(), "i.tar".to_owned())]),
        kernels: BTreeMap::new(),
        warnings: BTreeMap::new(),
    }
}

/// A locked recipe, and trusted keys, each of which attests a build with one content.
struct Attested {
    lab: Lab,
    lock: Lock,
}

impl Attested {
    /// `None` without ssh-keygen.
    fn new(name: &str, builders: &[(&str, &str, &[u8])]) -> Option<Attested> {
        if !super::super::live::judge("ssh-keygen") {
            return None;
        }
        let lab = Lab::new(name);
        let lock = kiln::lock::read(&std::fs::read_to_string(lab.directory.join("tiny.lock")).unwrap()).unwrap();
        std::fs::create_dir(lab.directory.join("from")).unwrap();
        let mut trusted = String::new();
        for (name, shown, content) in builders {
            let builder = super::super::attest_support::Builder::new(&lab.directory, name);
            let attestation = builder.attest(&built(&lock, content), 1_700_000_000);
            std::fs::write(lab.directory.join(format!("from/{name}.json")), attestation).unwrap();
            let public = std::fs::read_to_string(lab.directory.join(format!("{name}.pub"))).unwrap();
            trusted.push_str(&format!("{shown} {public}"));
        }
        std::fs::write(lab.directory.join("trusted"), trusted).unwrap();
        Some(Attested { lab, lock })
    }

    /// A result directory `result`.
    fn deliver(&self, manifest: &Manifest, content: &[u8]) {
        let result = self.lab.directory.join("result");
        std::fs::create_dir_all(&result).unwrap();
        std::fs::write(result.join("i.tar"), content).unwrap();
        std::fs::write(result.join("manifest.json"), manifest.write()).unwrap();
        let _ = std::fs::remove_file(result.join("signed.json"));
        let _ = std::fs::remove_file(result.join("signed.json.sig"));
        let output = self.lab.kiln().args(["sign", "result", "--key", "alice"]).output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
    }

    fn report(&self, words: &[&str]) -> Output {
        let mut kiln = self.lab.kiln();
        kiln.args(["report", "tiny.kiln", "--force", "-o", "report.html", "--trusted-keys", "trusted"]).args(words);
        kiln.env_remove("XDG_STATE_HOME").output().unwrap()
    }

    fn page(&self, words: &[&str]) -> String {
        let output = self.report(words);
        assert!(output.status.success(), "{}", text(&output));
        let page = std::fs::read_to_string(self.lab.directory.join("report.html")).unwrap();
        tags(&page);
        page
    }
}

/// The row of an attester.
fn row<'a>(page: &'a str, name: &str) -> &'a str {
    let mut rows = page.split("<caption>Trusted keys that attest").nth(1).unwrap().split("<tr>").skip(2);
    rows.find(|row| row.starts_with(&format!("<th scope=\"row\">{name}</th>"))).unwrap()
}

#[test]
fn those_who_attest_a_build_are_listed_and_those_who_built_something_else() {
    let builders: &[(&str, &str, &[u8])] = &[("alice", "alice", b"x"), ("bob", "<b>bob", b"x"), ("eve", "eve", b"y")];
    let Some(attested) = Attested::new("report-attested", builders) else { return };
    let page = attested.page(&["--from", "from"]);
    for name in ["alice", "&lt;b&gt;bob", "eve"] {
        let row = row(&page, name);
        assert_eq!(row.contains("<td>the files listed below</td>"), name != "eve", "{row}");
    }
    assert!(row(&page, "eve").contains(&format!("i.tar: {}, not {}", Digest::of(b"y"), Digest::of(b"x"))));
    assert!(page.contains("Trusted keys disagree") && page.contains("Files that are attested by &lt;b&gt;bob, alice<"));
    std::fs::remove_file(attested.lab.directory.join("from/eve.json")).unwrap();
    let page = attested.page(&["--from", "from"]);
    assert!(page.contains("All trusted keys below attest the same files.") && !page.contains("disagree"));
}

#[test]
fn attestations_are_compared_with_the_files_of_a_directory() {
    let builders: &[(&str, &str, &[u8])] = &[("alice", "alice", b"y"), ("bob", "bob", b"y")];
    let Some(attested) = Attested::new("report-compared", builders) else { return };
    attested.deliver(&built(&attested.lock, b"x"), b"x");
    // Two who agree with each other, and not with these files.
    let page = attested.page(&["--from", "from", "--result", "result"]);
    assert!(page.contains("No trusted key attests the files of the result directory;"), "{page}");
    for name in ["alice", "bob"] {
        assert!(row(&page, name).contains(&format!("i.tar: {}, not {}", Digest::of(b"y"), Digest::of(b"x"))));
    }
    assert!(!page.contains("Files that are attested by"));
    attested.deliver(&built(&attested.lock, b"y"), b"y");
    let page = attested.page(&["--from", "from", "--result", "result"]);
    assert!(page.contains("All trusted keys below attest the files of the result directory."), "{page}");
    assert!(row(&page, "bob").contains("<td>the files of the result directory</td>"));
    let listed = page.split("<caption>Files that are attested by alice, bob</caption>").nth(1).unwrap();
    assert!(listed.split("</table>").next().unwrap().contains(&Digest::of(b"y").to_string()));
}

#[test]
fn a_signed_directory_is_certified_only_as_a_build_of_the_lock() {
    let Some(attested) = Attested::new("report-result", &[("alice", "alice", b"x")]) else { return };
    let manifest = built(&attested.lock, b"x");
    attested.deliver(&manifest, b"x");
    let page = attested.page(&["--result", "result"]);
    assert!(page.contains("<h3>Who signed it</h3>") && !page.contains("Who built it"), "{page}");
    assert!(page.contains("was built from this lock, and what it has (1 file) is"), "{page}");
    let signers = page.split("<caption>Trusted keys that signed the result directory</caption>").nth(1).unwrap();
    assert!(signers.split("</table>").next().unwrap().contains("<th scope=\"row\">alice</th>"));
    // A good signature over a build of something else.
    let other_lock = Manifest { lock: Digest::of(b"another lock"), ..manifest.clone() };
    let other_version = Manifest { output_version: manifest.output_version + 1, ..manifest.clone() };
    let words = "tiny.lock: not the lock that result was built from: it was built from another lock";
    for other in [other_lock, other_version] {
        attested.deliver(&other, b"x");
        refused(&attested.report(&["--result", "result"]), 3, &[words]);
    }
    let local = BTreeMap::from([("k".to_owned(), Digest::of(b"directory"))]);
    let kernels = BTreeMap::new();
    attested.deliver(&Manifest { local, kernels, ..manifest.clone() }, b"x");
    refused(&attested.report(&["--result", "result"]), 3, &["result: kernel k was compiled from a local directory"]);
    attested.deliver(&manifest, b"x");
    std::fs::write(attested.lab.directory.join("result/i.tar"), b"y").unwrap();
    refused(&attested.report(&["--result", "result"]), 3, &["i.tar"]);
}
