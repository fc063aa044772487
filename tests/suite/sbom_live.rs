//! Bills of materials judged by the formats' own libraries, out of a package registry: of a recipe and of the directory that it was built to.

use std::process::Command;

use super::live::{QUICK, SELDOM, Scratch, has_its_turn, judge, kiln, live, quick, succeed};

/// The readers and validators of SPDX, CycloneDX, package URLs and licence expressions.
const LIBRARIES: [&str; 4] =
    ["spdx-tools>=0.8.3", "cyclonedx-python-lib[json-validation]>=8", "packageurl-python", "license-expression"];

const JUDGE: &str = r#"
import json, sys
from cyclonedx.model.bom import Bom
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from license_expression import get_spdx_licensing
from packageurl import PackageURL
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document
from spdx_tools.spdx.writer.write_anything import write_file

spdx, cyclonedx = sys.argv[1:3]
document = parse_file(spdx)
wrong = [error.validation_message for error in validate_full_spdx_document(document)]
# The library writes every purpose as it is written here, that of images and kernels among them.
write_file(document, spdx + ".again.json", validate=False)
purposes = lambda path: {package["primaryPackagePurpose"] for package in json.load(open(path))["packages"]}
same = purposes(spdx) == purposes(spdx + ".again.json") and "OPERATING_SYSTEM" in purposes(spdx)
wrong += [] if same else [f"purposes: {purposes(spdx)}"]
text = open(cyclonedx).read()
wrong += [str(error) for error in [JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)] if error]
Bom.from_json(json.loads(text)).validate()
names = [reference.locator for package in document.packages for reference in package.external_references]
wrong += [name for name in names if PackageURL.from_string(name).to_string() != name]
known = get_spdx_licensing()
expressions = [l["expression"] for c in json.loads(text)["components"] for l in c.get("licenses", [])]
for expression in expressions:
    invalid = known.validate(expression).invalid_symbols
    wrong += [symbol for symbol in invalid if not symbol.startswith("LicenseRef-")]
print(len(names), len(expressions))
sys.exit("\n".join(wrong[:20]) if wrong else 0)
"#;

#[test]
fn the_formats_own_tools_accept_what_kiln_writes() {
    if !live("bills of materials, judged by spdx-tools and cyclonedx-python-lib") || !has_its_turn("sbom", &SELDOM) {
        return;
    }
    if !judge("python3") {
        return;
    }
    let scratch = Scratch::new("sbom-live");
    let python = scratch.path("venv/bin/python");
    succeed(Command::new("python3").args(["-m", "venv"]).arg(scratch.path("venv")));
    succeed(Command::new(&python).args(["-m", "pip", "install", "-q"]).args(LIBRARIES));
    std::fs::write(scratch.path("judge.py"), JUDGE).unwrap();
    let built = quick();
    let out = built.out.to_str().unwrap();
    for (name, about) in [("recipe", QUICK), ("directory", out)] {
        let bills = ["spdx", "cyclonedx"].map(|format| {
            let bill = scratch.path(&format!("{name}.{format}.json"));
            let mut kiln = kiln(&built.store);
            kiln.args(["sbom", about, "--format", format, "--offline", "--lock"]).arg(&built.lock).arg("-o").arg(&bill);
            succeed(&mut kiln);
            bill
        });
        let judged = succeed(Command::new(&python).arg(scratch.path("judge.py")).args(&bills));
        let judged = String::from_utf8(judged.stdout).unwrap();
        let counts: Vec<usize> = judged.split_whitespace().map(|count| count.parse().unwrap()).collect();
        assert!(counts[0] > 150 && counts[1] > 100, "{judged}: Debian states most licences in a form that can be read");
        // Every delivered file of the directory is in its bill, with its digest.
        let bill = std::fs::read_to_string(&bills[0]).unwrap();
        let manifest = std::fs::read(built.out.join("manifest.json")).unwrap();
        let manifest = kiln::deliver::manifest::Manifest::read(&manifest).unwrap();
        let listed = manifest.artifacts.iter().filter(|(name, _)| about == out || !name.starts_with("launch."));
        for (name, file) in listed {
            assert!(bill.contains(&file.sha256.to_string()), "{about}: {name} is not in {bill}");
        }
    }
}
