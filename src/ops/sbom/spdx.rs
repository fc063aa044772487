//! A bill of materials in the words of SPDX 2.3, as JSON.
//!
//! Everything is a package there, files too: an SPDX file must have a SHA-1, which locks do not have.

use serde_json::{Value, json};

use super::model::{Bill, Component, ComponentKind, RelationKind};
use super::serial;

const NOTHING: &str = "NOASSERTION";

/// The document; what names it follows from everything else in it.
pub(super) fn write(bill: &Bill) -> Value {
    let document = |namespace: &str| {
        let packages: Vec<Value> = bill.components.iter().map(|(id, component)| package(id, component)).collect();
        json!({
            "spdxVersion": "SPDX-2.3",
            "dataLicense": "CC0-1.0",
            "SPDXID": "SPDXRef-DOCUMENT",
            "name": format!("{} {}", bill.name, bill.lock.short()),
            "documentNamespace": namespace,
            "creationInfo": {
                "created": bill.created.to_string(),
                // The list that CycloneDX 1.6 has as well.
                "licenseListVersion": "3.23",
                "creators": [format!("Tool: kiln-{}", env!("CARGO_PKG_VERSION"))],
            },
            "documentDescribes": [reference(&bill.root)],
            "packages": packages,
            "relationships": relationships(bill),
            "hasExtractedLicensingInfos": licenses(bill),
        })
    };
    document(&serial(&document("")))
}

fn reference(id: &str) -> String {
    format!("SPDXRef-{id}")
}

fn package(id: &str, component: &Component) -> Value {
    let mut value = json!({
        "SPDXID": reference(id),
        "name": component.name,
        "downloadLocation": component.download.as_deref().unwrap_or(NOTHING),
        "filesAnalyzed": false,
        "licenseConcluded": NOTHING,
        "licenseDeclared": component.license.as_deref().unwrap_or(NOTHING),
        "copyrightText": NOTHING,
        "primaryPackagePurpose": purpose(component.kind),
        "supplier": component.maintainer.as_ref().map_or(NOTHING.to_owned(), |name| format!("Organization: {name}")),
    });
    if let Some(version) = &component.version {
        value["versionInfo"] = json!(version);
    }
    if let Some(digest) = component.sha256 {
        value["checksums"] = json!([{"algorithm": "SHA256", "checksumValue": digest}]);
    }
    if let Some(purl) = &component.purl {
        let (category, kind) = ("PACKAGE-MANAGER", "purl");
        value["externalRefs"] =
            json!([{"referenceCategory": category, "referenceType": kind, "referenceLocator": purl}]);
    }
    if let Some(source) = &component.source {
        value["sourceInfo"] = json!(format!("built from source package {} {}", source.name, source.version));
    }
    if let Some(step) = component.step {
        value["comment"] = json!(format!("made by the build step with id {step}"));
    }
    value
}

/// The schema of 2.3 and the libraries of SPDX write `OPERATING_SYSTEM` in JSON, where the text of the specification and the schema of
/// 2.3.1 have `OPERATING-SYSTEM`; the libraries read both.
fn purpose(kind: ComponentKind) -> &'static str {
    match kind {
        ComponentKind::Image | ComponentKind::Kernel => "OPERATING_SYSTEM",
        ComponentKind::Recipe | ComponentKind::Emulator | ComponentKind::Build | ComponentKind::Package => {
            "APPLICATION"
        }
        ComponentKind::Source => "SOURCE",
        ComponentKind::Artifact | ComponentKind::RecipeFile => "FILE",
        ComponentKind::Tools => "OTHER",
    }
}

/// SPDX reads some relationships from the second to the first.
fn relationships(bill: &Bill) -> Vec<Value> {
    let described = json!({
        "spdxElementId": "SPDXRef-DOCUMENT",
        "relationshipType": "DESCRIBES",
        "relatedSpdxElement": reference(&bill.root),
    });
    let relation = |relation: &super::model::Relation| {
        let (from, to) = (reference(&relation.from), reference(&relation.to));
        let (one, kind, other) = match relation.kind {
            RelationKind::Contains => (from, "CONTAINS", to),
            RelationKind::MadeFrom => (from, "GENERATED_FROM", to),
            RelationKind::BuiltWith => (to, "BUILD_TOOL_OF", from),
            RelationKind::RunsOn => (to, "RUNTIME_DEPENDENCY_OF", from),
        };
        json!({"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other})
    };
    std::iter::once(described).chain(bill.relations.iter().map(relation)).collect()
}

fn licenses(bill: &Bill) -> Vec<Value> {
    let license = |(id, license): (&String, &super::model::OtherLicense)| {
        let text = license.text.clone().unwrap_or_else(|| license.name.clone());
        json!({"licenseId": id, "name": license.name, "extractedText": text})
    };
    bill.licenses.iter().map(license).collect()
}
