//! A cache in a repository of a container registry: filled, taken from, and in the hands of people who mean ill.

use serde_json::{Value, json};

use super::{Lab, ran};
use crate::suite::oci::server::{Login, Reply, Request, TestRegistry};

const PLACE: &str = "team/cache";

fn place(registry: &TestRegistry) -> String {
    registry.reference(PLACE)
}

#[test]
fn a_repository_is_filled_once_taken_from_and_compared() {
    let Some(lab) = Lab::with_builds("registry") else { return };
    let registry = TestRegistry::start();
    let place = place(&registry);
    lab.build("store", &[]);
    let said = lab.push("store", &["--cache", &place]);
    assert!(said.contains(&format!("{place}: results of ")) && !said.contains("; 0 files"), "{said}");
    registry.behave();
    let said = lab.push("store", &["--cache", &place]);
    assert!(said.contains("; 0 files written"), "{said}");
    assert!(registry.asked("POST").is_empty() && registry.asked("PUT").is_empty(), "what is there is not sent again");

    let said = lab.build("other", &["--cache", &place]);
    for step in ["build first", "build last", "base lab", "root lab", "disk lab", "kernel stock"] {
        assert!(!ran(&said, step), "{step}: {said}");
    }
    assert!(said.contains("root lab: taken from 127.0.0.1:"), "{said}");
    assert_eq!(lab.built("store"), lab.built("other"));
    lab.sound("other");
    let said = lab.kiln("store", &["challenge", "lab.kiln", &place]).text();
    assert!(said.contains(&format!("one        this store, alice in {place}")), "they are one builder: {said}");

    // A registry without TLS is named as one in the same way everywhere.
    let plain = format!("plain-http={place}");
    assert!(lab.build("plain", &["--cache", &plain]).contains("root lab: taken from 127.0.0.1:"));
    assert!(lab.push("store", &["--cache", &format!("private={plain}")]).contains("; 0 files written"));
    let refused = lab.kiln("store", &["push", "lab.kiln", "--key", "alice", "--cache", &place, "--plain-http"]);
    assert!(refused.code == Some(2) && refused.text().contains("--cache plain-http=PLACE"), "{}", refused.text());

    registry.behave();
    lab.kiln("third", &["build", "--offline", "lab.kiln", "--cache", &place]);
    assert!(registry.asked("GET").is_empty(), "--offline asks no registry");
    // What the registry has lost is sent again, and nothing else.
    registry.state.lock().unwrap().blobs.retain(|_, bytes| bytes.len() < 100);
    registry.state.lock().unwrap().manifests.retain(|tag, _| !tag.starts_with("tree-"));
    let said = lab.push("store", &["--cache", &place]);
    assert!(said.contains("; 1 file written"), "{said}");
    let said = lab.build("fourth", &["--cache", &place]);
    assert!(said.contains("root lab: taken from") && !ran(&said, "base lab"), "{said}");
}

#[test]
fn a_registry_that_asks_for_a_login_gets_one_from_the_configuration_of_docker() {
    let Some(lab) = Lab::with_kernel("registry-login") else { return };
    let registry = TestRegistry::start();
    let place = place(&registry);
    let realm = format!("http://{}/token", registry.host());
    registry.state.lock().unwrap().login = Login::Bearer(realm);
    lab.build("store", &[]);
    let ended = lab.kiln("store", &["push", "--allow-leaks", "lab.kiln", "--key", "alice", "--cache", &place]);
    assert!(ended.code == Some(4) && ended.text().contains("asks for a login"), "{}", ended.text());
    let said = lab.build("nobody", &["--cache", &place]);
    assert!(ran(&said, "kernel stock") && said.matches("warning: cache").count() == 1, "{said}");
    std::fs::create_dir_all(lab.path(".docker")).unwrap();
    let login = json!({ "auths": { registry.host(): { "auth": "dXNlcjpzZWNyZXQ=" } } });
    std::fs::write(lab.path(".docker/config.json"), login.to_string()).unwrap();
    lab.push("store", &["--cache", &place]);
    registry.behave();
    let said = lab.build("other", &["--cache", &place]);
    assert!(said.contains("kernel stock: taken from"), "{said}");
    let tokens = registry.asked("GET /token").len();
    assert!((1..=2).contains(&tokens), "one login serves a build: {tokens}");
}

/// A change of every manifest of this kind, and what is said to it.
type Forgery = (&'static str, &'static str, fn(&mut Value));

const FORGERIES: [Forgery; 9] = [
    ("", "kiln did not push it", |it| it["artifactType"] = json!("application/vnd.other\u{1b}[31m")),
    ("", "exactly one layer", |it| it["layers"] = json!([])),
    ("", "exactly one layer", |it| {
        let layer = it["layers"][0].clone();
        it["layers"].as_array_mut().unwrap().push(layer);
    }),
    ("", "its layer is of another type", |it| it["layers"][0]["mediaType"] = json!("application/x-other")),
    ("", "as much as it may have", |it| it["layers"][0]["size"] = json!(u64::MAX)),
    ("", "expected a digest by SHA-256", |it| it["layers"][0]["digest"] = json!("sha256:../../x")),
    ("blob-", "bytes in its manifest are not those", |it| it["layers"][0]["data"] = json!("e30=")),
    ("blob-", "bytes, expected 1", |it| it["layers"][0]["size"] = json!(1)),
    ("", "not a manifest", |it| *it = json!("text")),
];

#[test]
fn a_forged_manifest_costs_a_warning_and_the_step_is_built() {
    let Some(lab) = Lab::with_kernel("registry-forged") else { return };
    let registry = TestRegistry::start();
    let place = place(&registry);
    lab.build("store", &[]);
    lab.push("store", &["--cache", &place]);
    let good = registry.state.lock().unwrap().manifests.clone();
    for (at, (kind, words, forge)) in FORGERIES.iter().enumerate() {
        registry.state.lock().unwrap().manifests = good.clone();
        for tag in good.keys().filter(|tag| !tag.starts_with("sha256:") && tag.starts_with(kind)) {
            let mut forged = registry.manifest(tag);
            forge(&mut forged);
            registry.replace(tag, forged.to_string().as_bytes());
        }
        builds_all_the_same(&lab, &place, (&format!("forged-{at}"), words));
    }
}

/// What the registry answers instead, and what is said to it.
type Fault = (&'static str, &'static str, fn(&Request) -> Option<Reply>);

fn is_manifest(request: &Request) -> bool {
    request.path.contains("/manifests/")
}

/// Of the content of a file.
fn is_blob(request: &Request) -> bool {
    request.method == "GET" && request.path.contains("/blobs/")
}

const FAULTS: [Fault; 14] = [
    ("down", "http status: 500", |request| is_manifest(request).then(|| Reply::new(500))),
    ("busy", "http status: 429", |request| is_manifest(request).then(|| Reply::new(429).with("Retry-After", "3600"))),
    ("closed", "http status: 403", |request| is_manifest(request).then(|| Reply::new(403))),
    ("html", "not a manifest", |request| is_manifest(request).then(|| Reply::new(200).body("<html>"))),
    ("other-digest", "expected 0000", |request| {
        let digest = format!("sha256:{}", "0".repeat(64));
        is_manifest(request).then(|| Reply::new(200).with("Docker-Content-Digest", digest).body("{}"))
    }),
    ("endless", "has more than 4194304 bytes", |request| {
        is_manifest(request).then(|| Reply { endless: true, ..Reply::new(200).body(vec![b' '; 1 << 16]) })
    }),
    ("stalls", "did not answer within 10 s", |request| {
        is_manifest(request).then(|| Reply { stalls_at: Some(1), ..Reply::new(200).body("{}") })
    }),
    ("trickles", "did not answer within 10 s", |request| {
        is_manifest(request).then(|| Reply { trickles: true, ..Reply::new(200).body(vec![b' '; 1000]) })
    }),
    ("redirects", "too many redirects", |request| {
        is_manifest(request).then(|| Reply::new(307).with("Location", &request.path))
    }),
    ("blob-missing", "", |request| is_blob(request).then(|| Reply::new(404))),
    ("blob-down", "http status: 500", |request| is_blob(request).then(|| Reply::new(500))),
    ("blob-endless", "", |request| {
        is_blob(request).then(|| Reply { endless: true, ..Reply::new(200).body(vec![0; 1 << 16]) })
    }),
    ("blob-trickles", "", |request| {
        is_blob(request).then(|| Reply { trickles: true, ..Reply::new(200).body(vec![0; 1000]) })
    }),
    ("blob-elsewhere", "", |request| is_blob(request).then(|| Reply::new(307).with("Location", "http://127.0.0.1:9/"))),
];

#[test]
fn a_registry_that_is_down_slow_or_lies_costs_a_warning() {
    let Some(lab) = Lab::with_kernel("registry-faults") else { return };
    let registry = TestRegistry::start();
    let place = place(&registry);
    lab.build("store", &[]);
    lab.push("store", &["--cache", &place]);
    for (name, words, fault) in FAULTS {
        registry.behave();
        registry.hook(fault);
        builds_all_the_same(&lab, &place, (name, words));
    }
    registry.behave();
    // Nothing is there, and nobody listens.
    registry.state.lock().unwrap().manifests.clear();
    let said = lab.build("empty", &["--cache", &place]);
    assert!(ran(&said, "kernel stock") && !said.contains("warning: cache"), "a missing tag is a miss: {said}");
    builds_all_the_same(&lab, "127.0.0.1:9/team/cache", ("nobody", "left alone"));
}

fn builds_all_the_same(lab: &Lab, place: &str, (store, words): (&str, &str)) {
    let said = lab.build(store, &["--cache", place]);
    assert!(ran(&said, "kernel stock") && !said.contains("taken from"), "{store}: {said}");
    assert!(said.contains(words), "{store}: {said}");
    let warnings = said.matches("warning: cache ").count();
    assert!(warnings <= 4 && (warnings > 0 || words.is_empty()), "{store}: {said}");
    assert_eq!(lab.built("store"), lab.built(store), "{store}");
    lab.sound(store);
}
