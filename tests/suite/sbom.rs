//! `kiln sbom`: both formats by their own structure (the live suite has the formats' own tools), what is known of packages and what is
//! not, and the same bytes wherever they are made.

mod content;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::archive_support::{Package, TinyArchive};
use super::failure_support::{Lab, RECIPE, archive, refused, text};

const DEP5: &str = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n\
                    Files: *\nCopyright: somebody\nLicense: GPL-2+ or Artistic\n\nFiles: b\nLicense: Expat\n Free.\n\n\
                    License: Artistic\n The \"Artistic License\".\n";

/// A package whose documentation has this copyright file.
fn documented(name: &str, version: &str, copyright: &str) -> Package {
    Package::new(name, version).file(&format!("/usr/share/doc/{name}/copyright"), 0o644, copyright.as_bytes())
}

fn packages() -> TinyArchive {
    let shares = |name: &str| Package::new(name, "1:2.0~rc1+b1").link(&format!("/usr/share/doc/{name}"), "libx++1");
    archive()
        .package(documented("libx++1", "1:2.0~rc1+b1", DEP5).field("Source", "x (1:2.0~rc1)"))
        .package(shares("libx-data").field("Source", "x (1:2.0~rc1)"))
        .package(shares("liar"))
        .package(documented("prose", "1", "It is under the GPL, version 2 or later.\n"))
        .package(documented("odd", "1", DEP5).field("Maintainer", "\u{1b}[31m\u{202e}\"><script>"))
}

/// A project with a file and a directory of its own; locked, with packages in no store.
fn project(name: &str) -> Lab {
    let lab = Lab::unlocked(name, packages(), |_| {
        let files = "packages = [\"payload\", \"libx++1\", \"libx-data\", \"liar\", \"prose\", \"odd\"] \
                     file \"/etc/x.conf\" { source = file \"x.conf\" } tree \"/opt\" { source = directory \"opt\" }";
        RECIPE.replace("packages = [\"payload\"]", files)
    });
    std::fs::create_dir(lab.directory.join("opt")).unwrap();
    std::fs::write(lab.directory.join("opt/run"), "#!/bin/sh\n").unwrap();
    std::fs::write(lab.directory.join("x.conf"), "x=1\n").unwrap();
    let locked = lab.kiln().args(["lock", "tiny.kiln"]).output().unwrap();
    assert!(locked.status.success(), "{}", text(&locked));
    lab
}

fn sbom(lab: &Lab, format: &str, words: &[&str]) -> Value {
    let output = lab.kiln().args(["sbom", "tiny.kiln", "--format", format]).args(words).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn array<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

fn word<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}"))
}

/// An SPDX document's packages by name and its relationships, after a look at what every document must have.
struct Spdx {
    packages: BTreeMap<String, Value>,
    relations: BTreeSet<(String, String, String)>,
    document: Value,
}

impl Spdx {
    fn of(document: Value) -> Spdx {
        assert_eq!((word(&document, "spdxVersion"), word(&document, "dataLicense")), ("SPDX-2.3", "CC0-1.0"));
        assert!(word(&document, "documentNamespace").starts_with("urn:uuid:"));
        let mut names = BTreeMap::from([("SPDXRef-DOCUMENT".to_owned(), "DOCUMENT".to_owned())]);
        let mut packages = BTreeMap::new();
        for package in array(&document, "packages") {
            let (id, name) = (word(package, "SPDXID"), word(package, "name"));
            let letters = id.strip_prefix("SPDXRef-").unwrap().chars();
            assert!(letters.clone().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c)), "{id}");
            for field in ["downloadLocation", "licenseDeclared", "licenseConcluded", "copyrightText", "supplier"] {
                word(package, field);
            }
            assert!(names.insert(id.to_owned(), name.to_owned()).is_none(), "two elements are called {id}");
            packages.insert(name.to_owned(), package.clone());
        }
        let name = |relation: &Value, field: &str| names[word(relation, field)].clone();
        let relations = array(&document, "relationships").iter().map(|relation| {
            let kind = word(relation, "relationshipType").to_owned();
            (name(relation, "spdxElementId"), kind, name(relation, "relatedSpdxElement"))
        });
        let relations = relations.collect();
        Spdx { packages, relations, document }
    }

    fn has(&self, from: &str, kind: &str, to: &str) -> bool {
        self.relations.contains(&(from.to_owned(), kind.to_owned(), to.to_owned()))
    }

    fn purl(&self, package: &str) -> &str {
        word(&self.packages[package]["externalRefs"][0], "referenceLocator")
    }

    fn license(&self, package: &str) -> &str {
        word(&self.packages[package], "licenseDeclared")
    }
}

#[test]
fn an_spdx_document_has_every_package_where_it_belongs() {
    let lab = project("sbom-spdx");
    let spdx = Spdx::of(sbom(&lab, "spdx", &[]));
    assert!(spdx.has("DOCUMENT", "DESCRIBES", "tiny"));
    for package in ["payload", "libx++1", "liar", "x.conf"] {
        assert!(spdx.has("tiny", "CONTAINS", package), "the image has {package}: {:#?}", spdx.relations);
    }
    assert!(
        spdx.relations
            .iter()
            .any(|(from, kind, to)| (from.as_str(), kind.as_str()) == ("tiny", "CONTAINS") && to.starts_with("opt"))
    );
    assert!(spdx.has("stock", "CONTAINS", "linux-image-6.12.1-amd64") && spdx.has("m/vmlinuz", "CONTAINS", "stock"));
    assert!(spdx.has("m/disk.qcow2", "CONTAINS", "tiny") && spdx.has("m/initrd.img", "CONTAINS", "busybox-static"));
    assert!(spdx.has("qemu-11", "RUNTIME_DEPENDENCY_OF", "tiny") && spdx.has("qemu-11", "CONTAINS", "qemu-system-x86"));
    // Tools are no contents of what they make.
    assert!(
        spdx.has("image-tools", "BUILD_TOOL_OF", "m/disk.qcow2") && spdx.has("image-tools", "CONTAINS", "e2fsprogs")
    );
    let holders = spdx.relations.iter().filter(|(_, kind, to)| kind == "CONTAINS" && to == "e2fsprogs");
    assert_eq!(holders.map(|(from, ..)| from.as_str()).collect::<Vec<_>>(), ["image-tools"]);
    for name in ["payload", "e2fsprogs", "qemu-system-x86"] {
        let checksum = &spdx.packages[name]["checksums"][0];
        assert_eq!(
            (word(checksum, "algorithm"), word(checksum, "checksumValue")),
            ("SHA256", lab.digest(name).as_str())
        );
    }
    assert_eq!(spdx.packages["qemu-system-x86"]["versionInfo"], "1:11.1.0-1");
    assert_eq!(spdx.packages["qemu-11"]["versionInfo"], "11.1.0");
}

#[test]
fn a_package_has_the_name_the_source_and_the_licence_that_it_states_itself() {
    let lab = project("sbom-facts");
    let spdx = Spdx::of(sbom(&lab, "spdx", &[]));
    assert_eq!(
        spdx.purl("libx++1"),
        "pkg:deb/debian/libx%2B%2B1@1:2.0~rc1%2Bb1?arch=amd64&distro=trixie&upstream=x%401:2.0~rc1"
    );
    assert_eq!(spdx.packages["libx++1"]["sourceInfo"], "built from source package x 1:2.0~rc1");
    assert_eq!(spdx.purl("payload"), "pkg:deb/debian/payload@1.0?arch=amd64&distro=trixie");
    assert_eq!(spdx.packages["payload"]["sourceInfo"], "built from source package payload 1.0");
    // What is not on SPDX's list is kept with its text.
    let license = spdx.license("libx++1");
    let other = license.split("LicenseRef-").nth(1).unwrap().split(')').next().unwrap();
    assert_eq!(license, format!("(GPL-2.0-or-later OR LicenseRef-{other}) AND MIT"));
    let extracted = array(&spdx.document, "hasExtractedLicensingInfos");
    let extracted = extracted.iter().find(|one| one["licenseId"] == format!("LicenseRef-{other}")).unwrap();
    assert_eq!((word(extracted, "name"), word(extracted, "extractedText")), ("Artistic", "The \"Artistic License\"."));
    // A package of the same source may share a directory of documentation; no other can claim it.
    assert_eq!(spdx.license("libx-data"), license);
    for unknown in ["liar", "prose", "payload"] {
        assert_eq!(spdx.license(unknown), "NOASSERTION", "{unknown}: nobody says so in a form that can be read");
    }
    assert_eq!(word(&spdx.packages["payload"], "supplier"), "Organization: Test <test@mirror.example>");
}

/// Every `bom-ref` of a CycloneDX document, each once.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("bom-ref") {
                assert!(found.insert(reference.clone()), "two elements are called {reference}");
            }
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

/// Every `ref` and `dependsOn` of it.
fn uses(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match (name.as_str(), value) {
                    ("ref", Value::String(reference)) => drop(found.insert(reference.clone())),
                    ("dependsOn", Value::Array(items)) => {
                        found.extend(items.iter().map(|item| item.as_str().unwrap().to_owned()));
                    }
                    _ => uses(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|value| uses(value, found)),
        _ => {}
    }
}

#[test]
fn a_cyclonedx_document_tells_contents_from_what_made_them() {
    let lab = project("sbom-cyclonedx");
    let document = sbom(&lab, "cyclonedx", &[]);
    assert_eq!((word(&document, "bomFormat"), word(&document, "specVersion")), ("CycloneDX", "1.6"));
    let (mut known, mut used) = (BTreeSet::new(), BTreeSet::new());
    references(&document, &mut known);
    uses(&document, &mut used);
    assert_eq!(used.difference(&known).collect::<Vec<_>>(), Vec::<&String>::new(), "each reference leads to something");
    let names = |components: &[Value]| -> BTreeSet<String> {
        components.iter().map(|component| word(component, "name").to_owned()).collect()
    };
    let contents = names(array(&document, "components"));
    let formula = &document["formulation"][0];
    let tools = names(array(formula, "components"));
    for name in
        ["payload", "libx++1", "qemu-system-x86", "linux-image-6.12.1-amd64", "busybox-static", "x.conf", "stock"]
    {
        assert!(contents.contains(name) && !tools.contains(name), "{name}: {contents:?}");
    }
    assert!(
        tools.contains("e2fsprogs") && tools.contains("image-tools") && !contents.contains("e2fsprogs"),
        "{tools:?}"
    );
    let of_disk = array(formula, "workflows").iter().find(|workflow| word(workflow, "uid").contains("disk.qcow2"));
    assert_eq!(array(of_disk.unwrap(), "resourceReferences").len(), 1, "made with one tree of tools");
    let libx = array(&document, "components").iter().find(|component| component["name"] == "libx++1").unwrap();
    assert_eq!(word(&libx["hashes"][0], "content"), lab.digest("libx++1"));
    assert_eq!(word(&libx["properties"][0], "value"), "x 1:2.0~rc1");
    assert!(word(&libx["licenses"][0], "expression").starts_with("(GPL-2.0-or-later OR LicenseRef-debian-Artistic-"));
    let prose = array(&document, "components").iter().find(|component| component["name"] == "prose").unwrap();
    assert!(prose["licenses"].is_null(), "{prose}");
}

#[test]
fn a_document_has_the_same_bytes_wherever_it_is_made_and_no_byte_that_a_terminal_obeys() {
    let lab = project("sbom-same");
    for format in ["spdx", "cyclonedx"] {
        let made = |store: &str, words: &[&str]| {
            let mut kiln = lab.kiln();
            kiln.args(["sbom", "tiny.kiln", "--format", format])
                .args(words)
                .env("KILN_STORE", lab.directory.join(store));
            let output = kiln.env("TZ", "Pacific/Kiritimati").env("SOURCE_DATE_EPOCH", "1").output().unwrap();
            assert!(output.status.success(), "{}", text(&output));
            String::from_utf8(output.stdout).unwrap()
        };
        let first = made("store", &[]);
        assert_eq!(first, made("other", &[]), "{format}: another store, filled by now");
        let said = made("other", &["-o", "bill.json", "--force", "--offline"]);
        assert_eq!(first, std::fs::read_to_string(lab.directory.join("bill.json")).unwrap());
        assert!(said.starts_with("wrote bill.json: 9 packages, 3 with a licence"), "{said}");
        assert!(first.chars().all(|c| c == '\n' || !c.is_control() && c != '\u{202e}'), "{format}");
        assert!(first.contains("\\u001b[31m\\u202e\\\"><script>") && !first.contains("127.0.0.1"), "{first}");
    }
}

#[test]
fn what_the_store_lacks_is_said_to_be_unknown_and_a_link_is_not_written_through() {
    let lab = project("sbom-offline");
    let output = lab.kiln().args(["sbom", "tiny.kiln", "--format", "spdx", "--offline"]).output().unwrap();
    assert!(
        output.status.success()
            && String::from_utf8_lossy(&output.stderr).contains("9 of 9 packages could not be read")
    );
    // Whoever waits is told how far it is.
    assert!(String::from_utf8_lossy(&output.stderr).contains("packages read: 9 of 9\n"));
    let spdx = Spdx::of(serde_json::from_slice(&output.stdout).unwrap());
    assert_eq!(spdx.license("libx++1"), "NOASSERTION");
    assert_eq!(spdx.purl("libx++1"), "pkg:deb/debian/libx%2B%2B1@1:2.0~rc1%2Bb1?arch=amd64&distro=trixie");
    std::fs::write(lab.directory.join("precious"), "precious").unwrap();
    std::os::unix::fs::symlink("precious", lab.directory.join("bill.json")).unwrap();
    sbom_to(&lab, "bill.json");
    assert_eq!(std::fs::read_to_string(lab.directory.join("precious")).unwrap(), "precious");
    refused(&lab.kiln().args(["sbom", "tiny.kiln", "--format", "swid"]).output().unwrap(), 2, &["swid"]);
    refused(&lab.kiln().args(["sbom", "none.kiln", "--format", "spdx"]).output().unwrap(), 4, &["none.kiln"]);
}

fn sbom_to(lab: &Lab, file: &str) {
    let output = lab.kiln().args(["sbom", "tiny.kiln", "--format", "spdx", "--force", "-o", file]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn a_directory_is_listed_by_its_lock_and_by_its_recipe_where_that_is_there() {
    use kiln::deliver::manifest::{self, DeliveredFile, Manifest};
    let lab = project("sbom-directory");
    let lock = std::fs::read_to_string(lab.directory.join("tiny.lock")).unwrap();
    let locked = kiln::lock::read(&lock).unwrap();
    let file = DeliveredFile { size: 4, sha256: kiln::base::Digest::of(b"disk") };
    let manifest = Manifest {
        format: manifest::FORMAT,
        recipe: "tiny".to_owned(),
        output_version: locked.output_version,
        lock: kiln::lock::inputs_digest(&locked),
        artifacts: BTreeMap::from([("tiny.qcow2".to_owned(), file)]),
        steps: BTreeMap::new(),
        incremental: BTreeSet::new(),
        local: BTreeMap::new(),
        qemu: BTreeMap::new(),
        built_qemu: BTreeMap::new(),
        images: BTreeMap::from([("tiny".to_owned(), "tiny.qcow2".to_owned())]),
        kernels: BTreeMap::new(),
        warnings: BTreeMap::new(),
    };
    // Deep enough to stand in no project.
    let pulled = lab.directory.join("elsewhere/a/b/pulled");
    std::fs::create_dir_all(&pulled).unwrap();
    std::fs::write(pulled.join("manifest.json"), manifest.write()).unwrap();
    std::fs::write(pulled.join("tiny.qcow2"), b"disk").unwrap();
    let ask = |at: &str, about: &str| {
        let mut kiln = lab.kiln();
        kiln.args(["sbom", about, "--format", "spdx"]).current_dir(lab.directory.join(at)).output().unwrap()
    };
    refused(&ask("elsewhere/a/b", "pulled"), 2, &["the lock that it was built from is neither in it"]);
    std::fs::write(pulled.join("kiln.lock"), &lock).unwrap();
    let bill = |output: std::process::Output| {
        assert!(output.status.success(), "{}", text(&output));
        Spdx::of(serde_json::from_slice(&output.stdout).unwrap())
    };
    let (alone, beside) = (bill(ask("elsewhere/a/b", "pulled")), bill(ask("", "elsewhere/a/b/pulled")));
    for spdx in [&alone, &beside] {
        assert!(spdx.has("tiny", "CONTAINS", "tiny.qcow2") && spdx.has("tiny", "CONTAINS", "libx++1"));
        assert!(spdx.has("stock", "CONTAINS", "linux-image-6.12.1-amd64"));
        let checksum = &spdx.packages["tiny.qcow2"]["checksums"][0];
        assert_eq!(word(checksum, "checksumValue"), file.sha256.to_string());
        assert!(spdx.license("libx++1").ends_with("AND MIT"));
    }
    // Only the recipe says what took part in the build.
    assert!(beside.packages.contains_key("image-tools") && !alone.packages.contains_key("image-tools"));
    // A lock of another build is passed over, and a changed file is told.
    std::fs::write(pulled.join("kiln.lock"), lock.replace("tiny", "tinier")).unwrap();
    refused(&ask("elsewhere/a/b", "pulled"), 2, &["the lock that it was built from is neither in it"]);
    std::fs::write(lab.directory.join("other.lock"), lock.replace("tiny", "tinier")).unwrap();
    let named =
        lab.kiln().args(["sbom", "elsewhere/a/b/pulled", "--format", "spdx", "--lock", "other.lock"]).output().unwrap();
    refused(&named, 1, &["other.lock", "the checksum does not match"]);
    let mut changed = locked.clone();
    changed.epoch.0 += 1;
    std::fs::write(lab.directory.join("other.lock"), kiln::lock::write(&changed)).unwrap();
    let named =
        lab.kiln().args(["sbom", "elsewhere/a/b/pulled", "--format", "spdx", "--lock", "other.lock"]).output().unwrap();
    refused(&named, 3, &["other.lock: not the lock that elsewhere/a/b/pulled was built from"]);
    std::fs::write(pulled.join("tiny.qcow2"), b"dusk").unwrap();
    refused(&ask("", "elsewhere/a/b/pulled"), 3, &["tiny.qcow2"]);
}
