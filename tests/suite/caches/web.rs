//! A cache behind a web server that hands out files, and one that does not do what it should.

use std::collections::BTreeMap;

use super::{Lab, ran};
use crate::suite::archive_support::Fault;
use crate::suite::oci::server::{Reply, TestRegistry};

/// The lab's mirror serves the cache as well; its address.
pub(super) fn serve(lab: &Lab) -> String {
    for part in ["results", "blobs", "trees"] {
        for file in lab.files(part) {
            let name = file.file_name().unwrap().to_str().unwrap();
            lab.ground.server.put(&format!("/cache/{part}/{name}"), std::fs::read(&file).unwrap());
        }
    }
    format!("{}/cache", lab.ground.server.url())
}

fn asked(lab: &Lab) -> usize {
    lab.ground.server.log().iter().filter(|line| line.contains(" /cache/")).count()
}

#[test]
fn a_directory_behind_a_web_server_is_a_cache() {
    let Some(lab) = Lab::with_builds("web") else { return };
    lab.build("store", &[]);
    lab.push("store", &["--cache", "cache"]);
    let url = serve(&lab);
    let said = lab.build("other", &["--cache", &format!("{url}/")]);
    assert!(said.contains("root lab: taken from http://127.0.0.1:") && !ran(&said, "base lab"), "{said}");
    assert!(said.contains("fetch: 1 file,"), "downloads are shown: {said}");
    assert_eq!(lab.built("store"), lab.built("other"));
    lab.sound("other");
    let before = asked(&lab);
    lab.kiln("third", &["build", "--offline", "lab.kiln", "--cache", &url]);
    assert_eq!(asked(&lab), before, "--offline asks no server");
}

#[test]
fn a_server_that_is_down_slow_or_lies_costs_one_question() {
    let Some(lab) = Lab::with_builds("bad-web") else { return };
    lab.build("store", &[]);
    lab.push("store", &["--cache", "cache"]);
    let url = serve(&lab);
    for (name, fault) in [("broken", Fault::Broken), ("stalled", Fault::Stalled), ("cut", Fault::Truncated(100))] {
        lab.ground.server.fault(".json", fault);
        let before = asked(&lab);
        let said = lab.build(name, &["--cache", &url]);
        assert!(ran(&said, "root lab") && !said.contains("taken"), "{name}: {said}");
        assert_eq!(said.matches("it is left alone").count(), 1, "{name}: {said}");
        // Steps that nothing stands before are asked for at the same time, and a connection that ends is tried twice.
        let questions = asked(&lab) - before;
        assert!(questions <= 12, "{name}: {questions} questions: {said}");
        lab.ground.server.heal();
    }
    lab.ground.server.fault(".zst", Fault::Endless);
    let said = lab.build("endless", &["--cache", &url]);
    assert!(said.contains("not used") && ran(&said, "kernel stock"), "{said}");
    lab.ground.server.heal();
    let said = lab.build("gone", &["--cache", "http://127.0.0.1:9/cache"]);
    assert_eq!(said.matches("warning: cache http://127.0.0.1:9/cache").count(), 1, "{said}");
    for store in ["broken", "stalled", "cut", "endless", "gone"] {
        assert_eq!(lab.built("store"), lab.built(store), "{store}");
        lab.sound(store);
    }
}

#[test]
fn a_server_that_trickles_costs_a_warning() {
    let Some(lab) = Lab::with_kernel("trickle") else { return };
    lab.build("store", &[]);
    lab.push("store", &["--cache", "cache"]);
    let files: BTreeMap<String, Vec<u8>> = ["results", "blobs"]
        .iter()
        .flat_map(|part| lab.files(part).into_iter().map(move |file| (*part, file)))
        .map(|(part, file)| {
            let name = file.file_name().unwrap().to_str().unwrap().to_owned();
            (format!("/cache/{part}/{name}"), std::fs::read(&file).unwrap())
        })
        .collect();
    for (store, part) in [("slow-results", "/results/"), ("slow-blobs", "/blobs/")] {
        let (server, files) = (TestRegistry::start(), files.clone());
        server.hook(move |request| {
            let bytes = files.get(&request.path)?.clone();
            let slow = request.path.contains(part);
            let bytes = if slow { [bytes, vec![0; 1000]].concat() } else { bytes };
            Some(Reply { trickles: slow, ..Reply::new(200).body(bytes) })
        });
        let said = lab.build(store, &["--cache", &format!("http://{}/cache", server.host())]);
        assert!(ran(&said, "kernel stock") && said.contains("warning: cache http://"), "{store}: {said}");
        assert_eq!(lab.built("store"), lab.built(store));
        lab.sound(store);
    }
}
