//! The registry that Debian ships, and skopeo, a client of others: what kiln pushes they store and read, and what came through both of
//! them is pulled, with its QEMU, into another store.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kiln::base::Digest;
use kiln::format::qcow2::{Qcow2Options, Qcow2Reader, write_qcow2};

use super::live::{SELDOM, Scratch, has_its_turn, judge, kiln, live, quick, succeed};
use super::programs::Programs;

/// `secret`, as htpasswd spells it.
const PASSWORD: &str = "$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a";

/// A running registry.
struct Registry {
    process: Child,
    host: String,
}

impl Registry {
    fn start(programs: &Programs, scratch: &Scratch) -> Registry {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        std::fs::write(scratch.path("htpasswd"), format!("user:{PASSWORD}\n")).unwrap();
        let configuration = format!(
            "version: 0.1\nlog: {{ level: error }}\nstorage:\n  filesystem: {{ rootdirectory: {} }}\nhttp: {{ addr: \
             127.0.0.1:{port} }}\nauth:\n  htpasswd: {{ realm: test, path: {} }}\n",
            scratch.path("registry").display(),
            scratch.path("htpasswd").display()
        );
        std::fs::write(scratch.path("registry.yml"), configuration).unwrap();
        let mut command = programs.command("docker-registry");
        command.arg("serve").arg(scratch.path("registry.yml")).stdout(Stdio::null()).stderr(Stdio::null());
        let registry = Registry { process: command.spawn().unwrap(), host: format!("127.0.0.1:{port}") };
        let began = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(began.elapsed() < Duration::from_secs(30), "the registry does not listen");
            std::thread::yield_now();
        }
        registry
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_registry_and_a_client_of_others_store_and_read_what_kiln_pushes() {
    if !live("kiln push and pull through Debian's docker-registry and skopeo") || !has_its_turn("registry", &SELDOM) {
        return;
    }
    if !judge("ssh-keygen") {
        return;
    }
    let scratch = Scratch::new("registry-live");
    let programs = Programs::unpack(&scratch.path("root"), &["docker-registry", "skopeo"]);
    let registry = Registry::start(&programs, &scratch);
    let reference = format!("{}/team/quick:v1", registry.host);
    std::fs::create_dir_all(scratch.path("docker")).unwrap();
    let login = format!("{{\"auths\": {{\"{}\": {{\"auth\": \"dXNlcjpzZWNyZXQ=\"}}}}}}", registry.host);
    std::fs::write(scratch.path("docker/config.json"), login).unwrap();

    let built = quick();
    let out = scratch.path("build");
    succeed(Command::new("cp").arg("-r").arg(&built.out).arg(&out));
    succeed(
        Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"]).arg(scratch.path("key")),
    );
    let ours = |store: &Path, words: &[&str]| {
        let mut command = kiln(store);
        command.args(words).current_dir(scratch.path("")).env("DOCKER_CONFIG", scratch.path("docker"));
        command
    };
    succeed(&mut ours(&built.store, &["sign", "build", "--key", "key"]));
    succeed(ours(&built.store, &["attest", "build", "--key", "key", "--lock"]).arg(&built.lock));
    let public = std::fs::read_to_string(scratch.path("key.pub")).unwrap();
    std::fs::write(scratch.path("trusted"), format!("alice {public}")).unwrap();
    let push = ours(&built.store, &["push", "build", &reference, "--lock"]).arg(&built.lock).output().unwrap();
    assert!(push.status.success(), "{}", String::from_utf8_lossy(&push.stderr));
    let said = String::from_utf8(push.stdout).unwrap();
    let digest = said.lines().find_map(|line| line.strip_prefix("digest sha256:")).unwrap();

    // The client of others reads the same manifest, and copies every blob after comparing it.
    let address = format!("docker://{reference}");
    let mut inspect = programs.command("skopeo");
    inspect.args(["inspect", "--raw", "--tls-verify=false", "--creds", "user:secret", &address]);
    let raw = succeed(&mut inspect).stdout;
    assert_eq!(Digest::of(&raw).to_string(), digest);
    let layout = format!("oci:{}:v1", scratch.path("layout").display());
    let mut copy = programs.command("skopeo");
    copy.args(["--insecure-policy", "copy", "--src-tls-verify=false", "--src-creds", "user:secret", &address, &layout]);
    succeed(&mut copy);

    // Another store without any mirror has the build and its QEMU from either.
    let manifest = std::fs::read(out.join("manifest.json")).unwrap();
    for (name, from) in [("from-registry", &reference), ("from-layout", &layout)] {
        let store = scratch.path(&format!("store-{name}"));
        let alone = |words: &[&str]| {
            let mut command = ours(&store, words);
            command.env("KILN_MIRROR", "http://127.0.0.1:9");
            command
        };
        let said = String::from_utf8(succeed(&mut alone(&["pull", from, "-o", name])).stdout).unwrap();
        assert!(said.contains(&format!("digest sha256:{digest}\n")), "{said}");
        // skopeo copies an artifact without what refers to it.
        assert_eq!(scratch.path(name).join("signed.json.sig").exists(), name == "from-registry", "{said}");
        assert_eq!(std::fs::read(scratch.path(name).join("manifest.json")).unwrap(), manifest);
        succeed(&mut alone(&["verify", name]));
        // Debian's registry lists no referrers by itself: the attestation is found by the tag that stands in for that.
        let quorum = ["verify", name, "--require", "1", "--from", &reference, "--trusted-keys", "trusted"];
        succeed(alone(&quorum).env("XDG_STATE_HOME", scratch.path("state")));
        assert_eq!(scratch.path(name).join("attestations.intoto.jsonl").exists(), name == "from-registry");
        let version = succeed(&mut alone(&["qemu", name, "--", "--version"])).stdout;
        assert!(String::from_utf8_lossy(&version).contains("QEMU emulator version"));
    }
    // What is there is not sent again.
    let again = ours(&built.store, &["push", "build", &reference, "--lock"]).arg(&built.lock).output().unwrap();
    assert!(again.status.success() && again.stdout == said.as_bytes());
    updates(&scratch, (&registry.host, &out), &ours);
}

/// A disk with some blocks more and some others: of what the registry serves, the ranges alone are fetched that are new.
fn updates(scratch: &Scratch, (host, out): (&str, &Path), ours: &dyn Fn(&Path, &[&str]) -> Command) {
    let first = std::fs::read(out.join("disk.qcow2")).unwrap();
    let mut reader = Qcow2Reader::new(std::io::Cursor::new(&first)).unwrap();
    let mut content = vec![0; reader.size() as usize];
    reader.read_at(0, &mut content).unwrap();
    let middle = content.len() / 2 / 4096 * 4096;
    content.splice(middle..middle, first[..3 * 4096].to_vec());
    content.truncate(reader.size() as usize);
    std::fs::write(scratch.path("content"), content).unwrap();
    let image = std::fs::File::create(scratch.path("image")).unwrap();
    let raw = std::fs::File::open(scratch.path("content")).unwrap();
    write_qcow2(&raw, image, Qcow2Options::default(), &mut |_, _| {}).unwrap();
    let second = std::fs::read(scratch.path("image")).unwrap();
    let (pushes, pulls) = (scratch.path("store-pushes"), scratch.path("store-pulls"));
    for (tag, image) in [("first", &first), ("second", &second)] {
        let file = serde_json::json!({ "size": image.len(), "sha256": Digest::of(image).hex() });
        let manifest = serde_json::json!({
            "format": 1, "recipe": "disk", "output_version": 1, "lock": "0".repeat(64), "artifacts": { "disk.qcow2": file },
            "steps": {}, "qemu": {}, "images": { "disk": "disk.qcow2" }, "kernels": {}, "warnings": {},
        });
        let directory = scratch.path(tag);
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join("disk.qcow2"), image).unwrap();
        std::fs::write(directory.join("manifest.json"), manifest.to_string()).unwrap();
        let reference = format!("{host}/team/disk:{tag}");
        succeed(&mut ours(&pushes, &["push", tag, &reference]));
        let pulled = succeed(&mut ours(&pulls, &["pull", &reference, "-o", &format!("pulled-{tag}"), "--json"])).stdout;
        let pulled: serde_json::Value = serde_json::from_slice(&pulled).unwrap();
        assert!(&std::fs::read(scratch.path(&format!("pulled-{tag}/disk.qcow2"))).unwrap() == image);
        match tag {
            "first" => assert_eq!(pulled["rebuilt"], serde_json::json!([])),
            _ => assert!(pulled["rebuilt"][0]["fetched"].as_u64().unwrap() < image.len() as u64 / 20, "{pulled}"),
        }
    }
}
