//! Asks the QEMU of a tree what it knows, in a sandbox, through its machine protocol (`docs/interop/qmp-spec.rst`).
//!
//! One process answers everything: `device-list-properties` is what `-device X,help` prints, `qom-list-properties` what
//! `-object X,help` prints; for machine types it also names what only an instance has, such as `cxl`.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec};
use serde::Deserialize;
use serde_json::{Value, json};

use super::BuiltinContext;
use crate::base::Arch;
use crate::exec::failure::{Fault, StepFailure};
use crate::exec::sandbox::{self, Privileges, Root, SandboxError, SandboxIds, Spec, Streams};
use crate::plan::id;
use crate::plan::qemu::{FACTS, Facts, Questions};
use crate::world::{WorldError, fs};

/// What all answers together may have; those of 11.1 are 30 KB.
const LIMIT: usize = 4 << 20;
/// Seconds without a word after which QEMU is taken to hang. It answers in a tenth of one.
const RESPONSE_TIMEOUT_SECONDS: i64 = 300;
/// Bytes of its standard error that an error shows.
const STDERR_LIMIT_BYTES: u64 = 4096;

/// Why QEMU was not heard.
#[derive(Debug, thiserror::Error)]
pub enum QemuError {
    /// A file could not be read or written.
    #[error(transparent)]
    World(#[from] WorldError),
    /// It could not be started.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The plan's own file does not read.
    #[error("questions.json: {0}")]
    Questions(#[from] serde_json::Error),
    /// The step lacks a file.
    #[error("the step has no input `{0}`")]
    Missing(&'static str),
    /// It said nothing, or nothing that makes sense.
    #[error("querying the properties of the locked QEMU failed: it {0}")]
    Answer(String),
}

impl From<QemuError> for StepFailure {
    fn from(error: QemuError) -> StepFailure {
        match error {
            QemuError::Sandbox(error) => error.into(),
            QemuError::World(_) => StepFailure::new(Fault::Host, error),
            QemuError::Questions(_) | QemuError::Missing(_) => StepFailure::bug(error),
            QemuError::Answer(_) => StepFailure::input(error),
        }
    }
}

/// Inputs `qemu`, `questions.json`; output `facts.json`.
pub fn run(context: &BuiltinContext<'_>) -> Result<(), QemuError> {
    let input = |name: &'static str| context.inputs.get(name).ok_or(QemuError::Missing(name));
    let questions: Questions = serde_json::from_slice(&fs::read(input("questions.json")?, LIMIT as u64)?)?;
    // The step's own process has a user namespace already.
    let tree = Subject { tree: input("qemu")?, ids: SandboxIds::Inherit };
    let facts = ask(tree, &questions, &context.scratch.join("stderr"))?;
    let mut text = serde_json::to_vec_pretty(&facts)?;
    text.push(b'\n');
    Ok(fs::write_atomically(&context.out.join(FACTS), &text)?)
}

/// A QEMU that is to be asked.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The tree that becomes its `/`.
    pub tree: &'a Path,
    /// User ids in its sandbox.
    pub ids: SandboxIds,
}

/// Asks the QEMU of a tree; what it writes on standard error goes to `log`.
pub fn ask(subject: Subject<'_>, questions: &Questions, log: &Path) -> Result<Facts, QemuError> {
    let asked = named(questions);
    let errors = fs::create(log)?;
    let streams = Streams { stdin: Stdio::piped(), stdout: Stdio::piped(), stderr: errors.into() };
    let mut running = sandbox::spawn(&spec(subject, questions.architecture), streams)?;
    let heard = match (running.stdin.take(), running.stdout.take()) {
        (Some(stdin), Some(stdout)) => converse(stdin, stdout, &asked),
        _ => Err("it has no streams".to_owned()),
    };
    let heard = match heard {
        Ok(heard) => heard,
        Err(why) => {
            running.kill();
            return Err(explained(&why, log));
        }
    };
    let status = running.wait()?;
    if !status.success() {
        return Err(explained(&format!("ended with {status}"), log));
    }
    facts(&heard, &asked).map_err(|why| explained(&why, log))
}

fn explained(why: &str, log: &Path) -> QemuError {
    let said = fs::read(log, STDERR_LIMIT_BYTES)
        .map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned())
        .unwrap_or_default();
    QemuError::Answer(if said.is_empty() { why.to_owned() } else { format!("{why}: {said}") })
}

/// No machine, no device, no network: only the protocol.
fn spec(subject: Subject<'_>, arch: Arch) -> Spec {
    let words = "-machine none -accel tcg -nodefaults -no-user-config -display none -qmp stdio";
    let program = format!("/usr/bin/{}", arch.facts().qemu.program);
    let argv = std::iter::once(program).chain(words.split(' ').map(str::to_owned)).collect();
    Spec {
        root: Root::ReadOnly(subject.tree.to_owned()),
        mounts: Vec::new(),
        ids: subject.ids,
        privileges: Privileges::None,
        env: id::environment(&BTreeMap::new()),
        argv,
        directories: Vec::new(),
        hostname: sandbox::HOST_NAME.to_owned(),
        grace: std::time::Duration::ZERO,
        cwd: PathBuf::from("/"),
    }
}

/// Each question under the name of its answer: `-device cxl-type3`.
fn named(questions: &Questions) -> Vec<(String, Value)> {
    let command = |name: &str, kind: String| json!({ "execute": name, "arguments": { "typename": kind } });
    let devices = questions.devices.iter().map(|kind| ("-device", kind, "device-list-properties", kind.clone()));
    let objects = questions.objects.iter().map(|kind| ("-object", kind, "qom-list-properties", kind.clone()));
    let machines =
        questions.machines.iter().map(|kind| ("-machine", kind, "qom-list-properties", format!("{kind}-machine")));
    let all = devices.chain(objects).chain(machines);
    all.map(|(flag, kind, name, typename)| (format!("{flag} {kind}"), command(name, typename))).collect()
}

/// Says everything at once, which a pipe has room for, and listens until QEMU ends.
fn converse(mut stdin: ChildStdin, mut stdout: ChildStdout, asked: &[(String, Value)]) -> Result<String, String> {
    let mut script = format!("{}\n", json!({ "execute": "qmp_capabilities" }));
    for (name, command) in asked {
        let mut command = command.clone();
        command["id"] = json!(name);
        script.push_str(&format!("{command}\n"));
    }
    script.push_str(&format!("{}\n", json!({ "execute": "quit" })));
    stdin.write_all(script.as_bytes()).map_err(|error| format!("did not listen ({error})"))?;
    let mut heard = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        wait_for(&stdout)?;
        let count = stdout.read(&mut buffer).map_err(|error| format!("could not be read ({error})"))?;
        if count == 0 {
            return String::from_utf8(heard).map_err(|_| "sent a response that is not text".to_owned());
        }
        heard.extend_from_slice(&buffer[..count]);
        if heard.len() > LIMIT {
            return Err(format!("sent more than {LIMIT} bytes"));
        }
    }
}

fn wait_for(stream: &impl AsFd) -> Result<(), String> {
    let limit = Timespec { tv_sec: RESPONSE_TIMEOUT_SECONDS, tv_nsec: 0 };
    loop {
        let mut fds = [PollFd::from_borrowed_fd(stream.as_fd(), PollFlags::IN)];
        match rustix::event::poll(&mut fds, Some(&limit)) {
            Ok(0) => return Err(format!("did not respond within {RESPONSE_TIMEOUT_SECONDS} s")),
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(format!("could not be read ({error})")),
        }
    }
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

/// What the lines say.
fn facts(heard: &str, asked: &[(String, Value)]) -> Result<Facts, String> {
    let mut facts = Facts::default();
    let mut answered = 0;
    for line in heard.lines() {
        let message: Value = serde_json::from_str(line).map_err(|error| format!("sent invalid JSON ({error})"))?;
        if let Some(version) = message["QMP"]["version"]["qemu"].as_object() {
            let number = |part: &str| version.get(part).and_then(Value::as_u64).unwrap_or_default();
            facts.version = format!("{}.{}.{}", number("major"), number("minor"), number("micro"));
        }
        let Some(name) = message["id"].as_str().filter(|name| asked.iter().any(|(known, _)| known == name)) else {
            continue;
        };
        answered += 1;
        // It knows no such type: that is an answer, too.
        if message["error"].is_object() {
            continue;
        }
        let properties = Vec::<Named>::deserialize(&message["return"]);
        let properties = properties.map_err(|error| format!("did not send a list of properties ({error})"))?;
        let names = properties.into_iter().map(|property| property.name).collect();
        facts.properties.insert(name.to_owned(), names);
    }
    if facts.version.is_empty() || answered != asked.len() {
        return Err(format!("answered {answered} of {} questions", asked.len()));
    }
    Ok(facts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn questions() -> Questions {
        Questions {
            architecture: Arch::Amd64,
            devices: vec!["a".into(), "b".into()],
            objects: Vec::new(),
            machines: vec!["pc-q35-11.1".into()],
        }
    }

    const GREETING: &str = r#"{"QMP":{"version":{"qemu":{"micro":3,"minor":1,"major":11},"package":""}}}"#;
    const QUIET: &str = r#"{"return":{}}"#;

    #[test]
    fn answers_are_sorted_by_what_was_asked() {
        let asked = named(&questions());
        assert_eq!(asked[2].1["arguments"]["typename"], "pc-q35-11.1-machine");
        let heard = [
            GREETING,
            QUIET,
            r#"{"return":[{"name":"sn","type":"uint64"},{"name":"lsa","type":"x"}],"id":"-device a"}"#,
            r#"{"id":"-device b","error":{"class":"DeviceNotFound","desc":"no"}}"#,
            r#"{"return":[{"name":"cxl","type":"bool"}],"id":"-machine pc-q35-11.1"}"#,
            QUIET,
        ];
        let facts = facts(&heard.join("\n"), &asked).unwrap();
        assert_eq!(facts.version, "11.1.3");
        assert_eq!(facts.properties.keys().collect::<Vec<_>>(), ["-device a", "-machine pc-q35-11.1"]);
        assert!(facts.properties["-device a"].contains("lsa"));
    }

    #[test]
    fn half_an_answer_is_none() {
        let asked = named(&questions());
        for heard in ["", "{", GREETING, r#"{"return":[{"title":"sn"}],"id":"-device a"}"#] {
            assert!(facts(heard, &asked).is_err(), "{heard}");
        }
    }
}
