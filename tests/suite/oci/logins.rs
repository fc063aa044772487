//! Registries that ask for a login: who is shown it, and who is not.

use super::super::executable;
use super::server::{Login, Reply, TestRegistry};
use super::{Lab, refused, succeed, text};

/// Docker's configuration with a login for the lab's registry: `user:secret`.
fn log_in(lab: &Lab) {
    let entry = format!("{{\"auths\": {{\"{}\": {{\"auth\": \"dXNlcjpzZWNyZXQ=\"}}}}}}", lab.registry.host());
    configure(lab, &entry);
}

fn configure(lab: &Lab, text: &str) {
    std::fs::create_dir_all(lab.path(".docker")).unwrap();
    std::fs::write(lab.path(".docker/config.json"), text).unwrap();
}

fn realm(registry: &TestRegistry) -> String {
    format!("http://{}/token", registry.host())
}

#[test]
fn user_and_password_are_those_of_docker() {
    let lab = Lab::new("basic", 1000);
    lab.registry.state.lock().unwrap().login = Login::Basic;
    let push = || lab.kiln(&["push", "build", &lab.reference()]).output().unwrap();
    refused(&push(), 4, &["asks for a login", "docker login"]);
    configure(&lab, "{\"credsStore\": \"kiln-no-such\"}");
    refused(&push(), 4, &["docker-credential-kiln-no-such, which docker's configuration names, is not installed"]);
    configure(&lab, "{\"auths\": {\"other.example\": {\"auth\": \"dXNlcjpzZWNyZXQ=\"}}}");
    refused(&push(), 4, &["has no login for it"]);
    configure(&lab, &format!("{{\"auths\": {{\"{}\": {{\"auth\": \"dXNlcjp3cm9uZw==\"}}}}}}", lab.registry.host()));
    refused(&push(), 4, &["it refuses the login"]);
    configure(&lab, "[");
    refused(&push(), 2, &["config.json: not JSON"]);
    log_in(&lab);
    lab.push();
    lab.empty_store();
    assert!(lab.pull().status.success());
    // In another directory, as docker has it.
    std::fs::rename(lab.path(".docker"), lab.path("elsewhere")).unwrap();
    succeed(lab.kiln(&["pull", &lab.reference()]).env("DOCKER_CONFIG", lab.path("elsewhere")));
}

/// Docker's credential helpers.
#[test]
fn a_program_that_keeps_logins_is_asked() {
    let lab = Lab::new("keeper", 1000);
    lab.registry.state.lock().unwrap().login = Login::Basic;
    configure(&lab, &format!("{{\"credHelpers\": {{\"{}\": \"test\"}}}}", lab.registry.host()));
    let keeper =
        |script: &str| executable::write(&lab.path("bin/docker-credential-test"), format!("#!/bin/sh\n{script}\n"));
    let path = format!("{}:{}", lab.path("bin").display(), std::env::var("PATH").unwrap());
    let push = || lab.kiln(&["push", "build", &lab.reference()]).env("PATH", &path).output().unwrap();
    keeper("echo credentials not found; exit 1");
    refused(&push(), 4, &["docker-credential-test", "has no login for it (credentials not found)", "docker login"]);
    keeper("printf '{\"Username\": \"user\", \"Secret\": \"wrong\"}'");
    refused(&push(), 4, &["it refuses the login"]);
    let host = lab.registry.host();
    keeper(&format!(
        "read server; [ \"$1 $server\" = \"get {host}\" ] && echo '{{\"Username\": \"user\", \"Secret\": \"secret\"}}'"
    ));
    let pushed = push();
    assert!(pushed.status.success(), "{}", text(&pushed));
}

#[test]
fn a_token_is_asked_for_what_kiln_does_and_nothing_else() {
    let lab = Lab::new("bearer", 1000);
    lab.registry.state.lock().unwrap().login = Login::Bearer(realm(&lab.registry));
    refused(&lab.kiln(&["push", "build", &lab.reference()]).output().unwrap(), 4, &["asks for a login"]);
    log_in(&lab);
    lab.registry.behave();
    lab.push();
    let tokens = lab.registry.asked("GET /token");
    assert!(
        tokens.iter().all(|token| token.path.contains("scope=repository%3Ateam%2Ftiny%3Apull%2Cpush")),
        "{tokens:?}"
    );
    assert!(tokens.iter().all(|token| token.path.contains("service=test")));
    lab.empty_store();
    lab.registry.behave();
    assert!(lab.pull().status.success());
    assert!(
        lab.registry
            .asked("GET /token")
            .iter()
            .all(|token| token.path.ends_with("scope=repository%3Ateam%2Ftiny%3Apull"))
    );
    // A token that expires while files are fetched is asked for again.
    lab.empty_store();
    let (blob, mut refused) = (lab.blob(), false);
    lab.registry.hook(move |request| {
        let is_first = request.path == blob && request.method == "GET" && !refused;
        refused |= is_first;
        is_first.then(|| Reply::new(401))
    });
    let output = lab.pull();
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn a_login_is_shown_to_nobody_else() {
    let lab = Lab::new("others", 1000);
    log_in(&lab);
    lab.push();
    let other = TestRegistry::start();
    lab.empty_store();
    for (realm, words) in [
        ("https://other.example/token", "on a host of another domain, which is not shown the login"),
        ("http://other.example/token", "does not use TLS"),
        ("file:///etc/passwd", "no URL"),
        ("", "no URL"),
    ] {
        lab.registry.state.lock().unwrap().login = Login::Bearer(realm.to_owned());
        lab.refuses(4, &[words]);
    }
    for (challenge, words) in [
        ("Bearer service=x", "does not say where to get one"),
        ("Negotiate", "in a way that kiln does not know"),
        ("", "in a way that kiln does not know"),
    ] {
        lab.registry.hook(move |_| Some(Reply::new(401).with("WWW-Authenticate", challenge)));
        lab.refuses(4, &[words]);
    }
    for token in ["{}", "{\"token\":\"\"}", "{\"token\":\"a\\r\\nX: y\"}", "[", "{\"token\":7}"] {
        let realm = realm(&lab.registry);
        lab.registry.hook(move |request| match request.path.starts_with("/token") {
            true => Some(Reply::new(200).body(token)),
            false => Some(Reply::new(401).with("WWW-Authenticate", format!("Bearer realm=\"{realm}\""))),
        });
        lab.refuses(4, &["answers without a token"]);
    }
    // A blob that is elsewhere is fetched there, without the login, which only its own registry is shown.
    lab.registry.behave();
    lab.registry.state.lock().unwrap().login = Login::Basic;
    let (blob, bytes) = (lab.blob(), lab.image("build"));
    let (asked, elsewhere) = (blob.clone(), format!("http://{}/x", other.host()));
    lab.registry.hook(move |request| {
        (request.path == asked && request.method == "GET").then(|| Reply::new(307).with("Location", &elsewhere))
    });
    other.hook(move |request| (request.path == "/x").then(|| Reply::new(200).body(bytes.clone())));
    let output = lab.pull();
    assert!(output.status.success(), "{}", text(&output));
    let seen = other.asked("GET /x");
    assert!(!seen.is_empty() && seen.iter().all(|request| request.header("authorization").is_empty()), "{seen:?}");
    assert!(
        lab.registry.asked(&format!("GET {blob}")).iter().any(|request| !request.header("authorization").is_empty())
    );
    // The same of manifests.
    lab.empty_store();
    let text = lab.registry.state.lock().unwrap().manifests["v1"].1.clone();
    let elsewhere = format!("http://{}/m", other.host());
    lab.registry.hook(move |request| {
        request.path.ends_with("/manifests/v1").then(|| Reply::new(302).with("Location", &elsewhere))
    });
    other.hook(move |request| (request.path == "/m").then(|| Reply::new(200).body(text.clone())));
    assert!(lab.pull().status.success());
    assert!(other.asked("GET /m").iter().all(|request| request.header("authorization").is_empty()));
    // Nor does an upload go to another server.
    let elsewhere = format!("http://{}/v2/x/blobs/uploads/1", other.host());
    lab.deliver("build", 1234);
    lab.registry.hook(move |request| (request.method == "POST").then(|| Reply::new(202).with("Location", &elsewhere)));
    let output = lab.kiln(&["push", "build", &lab.reference()]).output().unwrap();
    refused(&output, 4, &["sends the upload to another server"]);
    assert!(other.asked("P").is_empty());
}
