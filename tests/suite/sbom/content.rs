//! Documents by the words that SPDX's schema allows, files of equal content, and builds that no lock describes.

use std::collections::{BTreeMap, BTreeSet};

use kiln::base::Digest;
use kiln::deliver::manifest::{self, DeliveredFile, Manifest};
use serde_json::Value;

use super::super::failure_support::{Lab, RECIPE, archive, refused, text};
use super::{Spdx, array, project, sbom, word};

/// What `enum` allows in the JSON schemas of SPDX 2.3 and 2.3.1 (`schemas/spdx-schema.json` of spdx/spdx-spec), where both agree.
const PURPOSES: &str = "OTHER INSTALL ARCHIVE FIRMWARE APPLICATION FRAMEWORK LIBRARY CONTAINER SOURCE DEVICE FILE \
                        OPERATING_SYSTEM";
const ALGORITHMS: &str = "SHA1 BLAKE3 SHA3-384 SHA256 SHA384 BLAKE2b-512 BLAKE2b-256 SHA3-512 MD2 ADLER32 MD4 SHA3-256 BLAKE2b-384 \
                          SHA512 MD6 MD5 SHA224";
const CATEGORIES: &str = "OTHER PERSISTENT-ID SECURITY PACKAGE-MANAGER";
const RELATIONS: &str = "VARIANT_OF COPY_OF PATCH_FOR TEST_DEPENDENCY_OF CONTAINED_BY DATA_FILE_OF OPTIONAL_COMPONENT_OF ANCESTOR_OF \
                         GENERATES CONTAINS OPTIONAL_DEPENDENCY_OF FILE_ADDED REQUIREMENT_DESCRIPTION_FOR DEV_DEPENDENCY_OF \
                         DEPENDENCY_OF BUILD_DEPENDENCY_OF DESCRIBES PREREQUISITE_FOR HAS_PREREQUISITE PROVIDED_DEPENDENCY_OF \
                         DYNAMIC_LINK DESCRIBED_BY METAFILE_OF DEPENDENCY_MANIFEST_OF PATCH_APPLIED RUNTIME_DEPENDENCY_OF TEST_OF \
                         TEST_TOOL_OF DEPENDS_ON SPECIFICATION_FOR FILE_MODIFIED DISTRIBUTION_ARTIFACT AMENDS DOCUMENTATION_OF \
                         GENERATED_FROM STATIC_LINK OTHER BUILD_TOOL_OF TEST_CASE_OF PACKAGE_OF DESCENDANT_OF FILE_DELETED \
                         EXPANDED_FROM_ARCHIVE DEV_TOOL_OF EXAMPLE_OF";

/// Every value that a document has for a field.
fn values<'a>(value: &'a Value, field: &str, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get(field).and_then(Value::as_str));
            fields.values().for_each(|value| values(value, field, found));
        }
        Value::Array(items) => items.iter().for_each(|value| values(value, field, found)),
        _ => {}
    }
}

#[test]
fn an_spdx_document_has_only_words_that_its_schema_allows() {
    let lab = project("sbom-words");
    let document = sbom(&lab, "spdx", &[]);
    assert_eq!(document["creationInfo"]["licenseListVersion"], "3.23");
    for (field, allowed) in [
        ("primaryPackagePurpose", PURPOSES),
        ("algorithm", ALGORITHMS),
        ("referenceCategory", CATEGORIES),
        ("relationshipType", RELATIONS),
    ] {
        let mut found = BTreeSet::new();
        values(&document, field, &mut found);
        let allowed: BTreeSet<&str> = allowed.split_whitespace().collect();
        assert!(!found.is_empty() && found.is_subset(&allowed), "{field}: {found:?}");
    }
}

#[test]
fn files_of_equal_content_are_all_listed() {
    let lab = Lab::unlocked("sbom-equal", archive(), |_| {
        let files = "packages = [\"payload\"] file \"/etc/a\" { source = file \"a.conf\" } \
                     file \"/etc/b\" { source = file \"b.conf\" }";
        RECIPE.replace("packages = [\"payload\"]", files)
    });
    for name in ["a.conf", "b.conf"] {
        std::fs::write(lab.directory.join(name), "same\n").unwrap();
    }
    let locked = lab.kiln().args(["lock", "tiny.kiln"]).output().unwrap();
    assert!(locked.status.success(), "{}", text(&locked));
    let spdx = Spdx::of(sbom(&lab, "spdx", &["--offline"]));
    for name in ["a.conf", "b.conf"] {
        assert!(spdx.has("tiny", "CONTAINS", name), "{name}: {:#?}", spdx.relations);
    }
    let document = sbom(&lab, "cyclonedx", &["--offline"]);
    let names: Vec<&str> = array(&document, "components").iter().map(|component| word(component, "name")).collect();
    assert!(names.contains(&"a.conf") && names.contains(&"b.conf"), "{names:?}");
    // A delivered file that equals one of the recipe is a file of its own, and so are two delivered ones.
    let built = [("tiny.qcow2", "disk"), ("x", "same\n"), ("y", "same\n")];
    deliver(&lab, &built, BTreeMap::new());
    let output = lab.kiln().args(["sbom", "result", "--format", "spdx", "--offline"]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let spdx = Spdx::of(serde_json::from_slice(&output.stdout).unwrap());
    assert!(["x", "y", "a.conf", "b.conf"].iter().all(|name| spdx.packages.contains_key(*name)));
}

/// A directory `result` that was built from the lab's lock.
fn deliver(lab: &Lab, files: &[(&str, &str)], local: BTreeMap<String, Digest>) {
    let lock = kiln::lock::read(&std::fs::read_to_string(lab.directory.join("tiny.lock")).unwrap()).unwrap();
    let file = |content: &str| DeliveredFile { size: content.len() as u64, sha256: Digest::of(content.as_bytes()) };
    let manifest = Manifest {
        format: manifest::FORMAT,
        recipe: "tiny".to_owned(),
        output_version: lock.output_version,
        lock: kiln::lock::inputs_digest(&lock),
        artifacts: files.iter().map(|(name, content)| ((*name).to_owned(), file(content))).collect(),
        steps: BTreeMap::new(),
        incremental: BTreeSet::new(),
        local,
        qemu: BTreeMap::new(),
        built_qemu: BTreeMap::new(),
        images: BTreeMap::from([("tiny".to_owned(), "tiny.qcow2".to_owned())]),
        kernels: BTreeMap::new(),
        warnings: BTreeMap::new(),
    };
    let result = lab.directory.join("result");
    for (name, content) in files {
        let path = result.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    std::fs::write(result.join("manifest.json"), manifest.write()).unwrap();
}

#[test]
fn a_build_of_a_local_directory_has_no_bill() {
    let lab = Lab::new("sbom-local");
    deliver(&lab, &[("tiny.qcow2", "disk")], BTreeMap::from([("stock".to_owned(), Digest::of(b"directory"))]));
    let words = "result: kernel stock was compiled from a local directory, which no lock pins";
    let ask = || lab.kiln().args(["sbom", "result", "--format", "spdx", "--offline"]).output().unwrap();
    refused(&ask(), 3, &[words]);
    // Nor where only the lock is there.
    std::fs::rename(lab.directory.join("tiny.lock"), lab.directory.join("result/kiln.lock")).unwrap();
    std::fs::remove_file(lab.directory.join("tiny.kiln")).unwrap();
    refused(&ask(), 3, &[words]);
}
