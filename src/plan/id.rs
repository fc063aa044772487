//! Step ids: digests of remote-execution Actions.
//!
//! A step has two. The *static* id follows from recipe and lock alone; it is what a lock and a manifest record. The
//! *resolved* id is known once everything that the step reads has been made; results are kept under it, so that a step
//! whose inputs come out the same bits as before is not run again, however those were made.
//!
//! What goes into an id is exactly this, and nothing else does:
//!
//! | part of the Action | from |
//! |---|---|
//! | `salt` | [`crate::lock::OUTPUT`], which rises when kiln's own code writes other bits |
//! | `command.arguments` | the step's argv; `kiln NAME` for a builtin step, with the format that a conversion is to |
//! | `command.environment_variables` | [`ENVIRONMENT`] and the step's own |
//! | `command.output_paths` | the step's outputs, sorted |
//! | `command.working_directory` | `build` |
//! | `input_root_digest` | Merkle tree: `in/PATH` for each input, by digest of its bytes or of its tree |
//! | `platform` | [`ROOT`] as where the input root lies, operating system, processor, range of ids or not, the tool tree that is the sandbox's root (`chrootRootDigest`) |
//!
//! A local source stands in the static id as its name alone, and in the resolved id as the digest of its listing.
//! In the static id an input that is another step's output stands as a file whose digest is that of the other step's
//! static id and the output's name; so does one that is transient ([`Plan::transient`]) in the resolved id, with the other
//! step's resolved id. The step's own name is in neither: it is for people.

use std::collections::BTreeMap;

use prost::Message;
use serde::{Deserialize, Serialize};

use super::reapi::{
    Action, BlobDigest, Command, Directory, DirectoryNode, EnvironmentVariable, FileNode, Platform, Property,
};
use super::step::{Builtin, Ids, Input, Plan, Step, Work};
use crate::base::Digest;
use crate::lock;

/// Where a step's input root lies: inputs are at `/kiln/in`, the build directory is `/kiln/build`.
pub const ROOT: &str = "/kiln";
/// Inputs, relative to [`ROOT`].
pub const IN: &str = "in";
/// The build directory, relative to [`ROOT`]; writable, and where the command starts.
pub const BUILD: &str = "build";

/// What every sandboxed command finds in its environment.
pub const ENVIRONMENT: [(&str, &str); 4] =
    [("HOME", "/nonexistent"), ("LC_ALL", "C.UTF-8"), ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), ("TZ", "UTC")];

/// What an input is, once it is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum InputValue {
    /// A file.
    File {
        /// Its bytes.
        digest: Digest,
        /// Their number.
        size: u64,
        /// Whether it may be run.
        executable: bool,
    },
    /// A directory.
    Tree {
        /// Digest of its `Directory` message.
        root: Digest,
        /// Bytes of that message.
        size: u64,
    },
    /// A file that is known by the step that makes it.
    Transient {
        /// The resolved id of that step.
        action: Digest,
        /// Its output.
        output: String,
    },
}

/// An action and the messages that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Messages {
    /// Digest of the `Action`: the step's id.
    pub action: Digest,
    /// `Action`, `Command` and every `Directory` by digest; what a remote execution would upload.
    pub blobs: BTreeMap<Digest, Vec<u8>>,
}

/// The static id of every step, in order.
pub fn static_ids(plan: &Plan) -> Vec<Digest> {
    let mut ids: Vec<Digest> = Vec::with_capacity(plan.steps.len());
    for step in &plan.steps {
        let value = |input: &Input| match input {
            Input::Output { step, name } => InputValue::Transient { action: ids[*step], output: name.clone() },
            Input::Fetched(digest) => fetched(plan, digest),
            Input::Inline(bytes) => inline(bytes),
            Input::Local(name) => inline(format!("local source {name}").as_bytes()),
        };
        let inputs = step.inputs.iter().map(|(path, input)| (path.as_str(), value(input))).collect();
        let tools = step.tools().map(|tools| InputValue::Transient { action: ids[tools], output: TREE.to_owned() });
        ids.push(action(step, &inputs, tools.as_ref()).action);
    }
    ids
}

/// The static id of every step by the step's name.
pub fn by_name(plan: &Plan) -> BTreeMap<String, Digest> {
    plan.steps.iter().map(Step::name).zip(static_ids(plan)).collect()
}

/// The output of a tools step.
pub const TREE: &str = "tree";

/// A file that the lock names.
pub fn fetched(plan: &Plan, digest: &Digest) -> InputValue {
    let fetch = plan.fetches.get(digest).expect("a plan fetches every file that its steps read");
    InputValue::File { digest: *digest, size: fetch.size, executable: false }
}

/// Bytes that the plan holds.
pub fn inline(bytes: &[u8]) -> InputValue {
    InputValue::File { digest: Digest::of(bytes), size: bytes.len() as u64, executable: false }
}

/// The whole environment of a sandboxed command.
pub fn environment(own: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let fixed = ENVIRONMENT.map(|(name, value)| (name.to_owned(), value.to_owned()));
    fixed.into_iter().chain(own.clone()).collect()
}

/// The action of a step whose inputs, and tool tree if it has one, are known.
pub fn action(step: &Step, inputs: &BTreeMap<&str, InputValue>, tools: Option<&InputValue>) -> Messages {
    messages(&step.work, &step.outputs, inputs, tools)
}

/// The same of what a step consists of.
pub fn messages(
    work: &Work,
    outputs: &[String],
    inputs: &BTreeMap<&str, InputValue>,
    tools: Option<&InputValue>,
) -> Messages {
    let mut blobs = BTreeMap::new();
    let command = keep(&command(work, outputs), &mut blobs);
    let mut root = Node::default();
    for (path, value) in inputs {
        root.directories.entry(IN).or_default().insert(path, value);
    }
    let input_root = root.finish(&mut blobs);
    let action = Action {
        command_digest: Some(command),
        input_root_digest: Some(input_root),
        salt: format!("kiln {}", lock::OUTPUT).into_bytes(),
        platform: Some(platform(work, tools)),
    };
    let bytes = action.encode_to_vec();
    let digest = Digest::of(&bytes);
    blobs.insert(digest, bytes);
    Messages { action: digest, blobs }
}

/// What stands for an output that is known by its step alone.
fn placeholder(id: &Digest, name: &str) -> Digest {
    Digest::of(format!("output {name} of step {id}").as_bytes())
}

fn command(work: &Work, outputs: &[String]) -> Command {
    let (arguments, environment) = match work {
        Work::Builtin(builtin) => (arguments(builtin), BTreeMap::new()),
        Work::Sandbox { argv, env, .. } => (argv.clone(), environment(env)),
    };
    let variable = |(name, value)| EnvironmentVariable { name, value };
    let mut output_paths = outputs.to_vec();
    output_paths.sort();
    Command {
        arguments,
        environment_variables: environment.into_iter().map(variable).collect(),
        output_paths,
        working_directory: BUILD.to_owned(),
    }
}

fn arguments(builtin: &Builtin) -> Vec<String> {
    let parameter = match builtin {
        Builtin::Convert { format } => Some(format.name().to_owned()),
        _ => None,
    };
    ["kiln", name(builtin)].map(str::to_owned).into_iter().chain(parameter).collect()
}

/// The name of a builtin step as a command.
pub fn name(builtin: &Builtin) -> &'static str {
    match builtin {
        Builtin::Tools => "tools",
        Builtin::Base(_) => "base",
        Builtin::Named(_) => "named",
        Builtin::Root(_) => "root",
        Builtin::StockKernel => "stock-kernel",
        Builtin::ReadyKernel => "ready-kernel",
        Builtin::ReadyFirmware => "ready-firmware",
        Builtin::Initrd => "initrd",
        Builtin::KernelCheck => "kernel-check",
        Builtin::Pack => "pack",
        Builtin::MergeTars => "merge-tars",
        Builtin::Disk => "disk",
        Builtin::BootDisk => "boot-disk",
        Builtin::Convert { .. } => "convert",
        Builtin::Firmware => "firmware",
        Builtin::QemuTree => "qemu-tree",
        Builtin::QemuFacts => "qemu-facts",
    }
}

fn platform(work: &Work, tools: Option<&InputValue>) -> Platform {
    let mut properties = vec![("ISA", work.arch().facts().isa.to_owned()), ("InputRootAbsolutePath", ROOT.to_owned())];
    properties.push(("OSFamily", "linux".to_owned()));
    let root = tools.map(|tools| match tools {
        InputValue::File { digest, size, .. } | InputValue::Tree { root: digest, size } => (*digest, *size),
        InputValue::Transient { action, output } => (placeholder(action, output), 0),
    });
    properties.extend(root.map(|(digest, size)| ("chrootRootDigest", format!("{digest}/{size}"))));
    if let Work::Sandbox { ids, .. } = work {
        let range = if *ids == Ids::Range { "range" } else { "single" };
        properties.push(("kiln-ids", range.to_owned()));
    }
    properties.sort();
    let property = |(name, value): (&str, String)| Property { name: name.to_owned(), value };
    Platform { properties: properties.into_iter().map(property).collect() }
}

fn keep(message: &impl Message, blobs: &mut BTreeMap<Digest, Vec<u8>>) -> BlobDigest {
    let bytes = message.encode_to_vec();
    let digest = Digest::of(&bytes);
    let size = bytes.len() as u64;
    blobs.insert(digest, bytes);
    BlobDigest::new(&digest, size)
}

/// A directory that is being put together.
#[derive(Default)]
struct Node<'a> {
    directories: BTreeMap<&'a str, Node<'a>>,
    leaves: BTreeMap<&'a str, &'a InputValue>,
}

impl<'a> Node<'a> {
    fn insert(&mut self, path: &'a str, value: &'a InputValue) {
        match path.split_once('/') {
            Some((first, rest)) => self.directories.entry(first).or_default().insert(rest, value),
            None => {
                self.leaves.insert(path, value);
            }
        }
    }

    fn finish(self, blobs: &mut BTreeMap<Digest, Vec<u8>>) -> BlobDigest {
        let mut directory = Directory::default();
        for (name, node) in self.directories {
            directory.directories.push(DirectoryNode { name: name.to_owned(), digest: Some(node.finish(blobs)) });
        }
        for (name, value) in self.leaves {
            let name = name.to_owned();
            match value {
                InputValue::File { digest, size, executable } => {
                    let digest = Some(BlobDigest::new(digest, *size));
                    directory.files.push(FileNode { name, digest, is_executable: *executable });
                }
                InputValue::Transient { action, output } => {
                    let digest = Some(BlobDigest::new(&placeholder(action, output), 0));
                    directory.files.push(FileNode { name, digest, is_executable: false });
                }
                InputValue::Tree { root, size } => {
                    directory.directories.push(DirectoryNode { name, digest: Some(BlobDigest::new(root, *size)) });
                }
            }
        }
        directory.directories.sort_by(|a, b| a.name.cmp(&b.name));
        keep(&directory, blobs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::StepKind;
    use crate::recipe::image::DiskFormat;

    fn plan() -> Plan {
        let tools = Step {
            kind: StepKind::Tools("t".to_owned()),
            work: Work::Builtin(Builtin::Tools),
            inputs: [("a.deb".to_owned(), Input::Inline(b"deb".to_vec()))].into(),
            outputs: vec![TREE.to_owned()],
        };
        let disk = Step {
            kind: StepKind::KernelBuild("k".to_owned()),
            work: Work::Sandbox {
                tools: 0,
                argv: vec!["/bin/sh".to_owned(), "/kiln/in/x/disk.sh".to_owned()],
                env: [("SOURCE_DATE_EPOCH".to_owned(), "1".to_owned())].into(),
                ids: Ids::Single,
            },
            inputs: [("x/disk.sh".to_owned(), Input::Inline(b"true".to_vec()))].into(),
            outputs: vec!["disk.raw".to_owned()],
        };
        Plan { steps: vec![tools, disk], ..Plan::default() }
    }

    #[test]
    fn every_part_of_a_step_changes_its_id_and_its_name_does_not() {
        let first = static_ids(&plan());
        let changed = |change: &dyn Fn(&mut Plan)| {
            let mut plan = plan();
            change(&mut plan);
            static_ids(&plan)
        };
        assert_eq!(changed(&|plan| plan.steps[1].kind = StepKind::KernelBuild("other".to_owned())), first);
        let changes: [&dyn Fn(&mut Plan); 6] = [
            &|plan| drop(plan.steps[1].inputs.insert("y".to_owned(), Input::Inline(Vec::new()))),
            &|plan| plan.steps[1].outputs.push("more".to_owned()),
            &|plan| plan.steps[1].inputs = [("disk.sh".to_owned(), Input::Inline(b"true".to_vec()))].into(),
            &|plan| with(plan, |argv, _, _| argv.push("-x".to_owned())),
            &|plan| with(plan, |_, ids, _| *ids = Ids::Range),
            &|plan| with(plan, |_, _, env| drop(env.insert("A".to_owned(), "b".to_owned()))),
        ];
        for change in changes {
            let ids = changed(change);
            assert_eq!(ids[0], first[0]);
            assert_ne!(ids[1], first[1]);
        }
        let ids = changed(&|plan| plan.steps[0].inputs = [("b.deb".to_owned(), Input::Inline(Vec::new()))].into());
        assert!(ids[0] != first[0] && ids[1] != first[1], "what tools are made of reaches those who use them");
    }

    fn with(plan: &mut Plan, change: impl Fn(&mut Vec<String>, &mut Ids, &mut BTreeMap<String, String>)) {
        let Work::Sandbox { argv, ids, env, .. } = &mut plan.steps[1].work else { unreachable!() };
        change(argv, ids, env);
    }

    #[test]
    fn the_format_of_a_conversion_and_who_made_its_input_are_part_of_its_id() {
        let convert = |format| Step {
            kind: StepKind::Boot("m".to_owned()),
            work: Work::Builtin(Builtin::Convert { format }),
            inputs: BTreeMap::new(),
            outputs: vec!["disk".to_owned()],
        };
        let id = |format, made_by: &[u8]| {
            let value = InputValue::Transient { action: Digest::of(made_by), output: "disk.raw".to_owned() };
            action(&convert(format), &[("disk.raw", value)].into(), None).action
        };
        let first = id(DiskFormat::Qcow2, b"one");
        assert_eq!(first, id(DiskFormat::Qcow2, b"one"));
        assert_ne!(first, id(DiskFormat::Raw, b"one"));
        assert_ne!(first, id(DiskFormat::Qcow2, b"two"));
    }

    #[test]
    fn an_action_names_messages_that_are_at_hand() {
        let plan = plan();
        let value = inline(b"true");
        let tree = InputValue::Tree { root: Digest::of(b"root"), size: 7 };
        let messages = action(&plan.steps[1], &[("x/disk.sh", value)].into(), Some(&tree));
        let read = |digest: &BlobDigest| messages.blobs[&digest.parts().unwrap().0].as_slice();
        let action = Action::decode(messages.blobs[&messages.action].as_slice()).unwrap();
        let command = Command::decode(read(action.command_digest.as_ref().unwrap())).unwrap();
        assert_eq!(command.environment_variables.len(), 5);
        let names: Vec<String> =
            action.platform.unwrap().properties.into_iter().map(|property| property.name).collect();
        assert_eq!(names, ["ISA", "InputRootAbsolutePath", "OSFamily", "chrootRootDigest", "kiln-ids"]);
        let root = Directory::decode(read(action.input_root_digest.as_ref().unwrap())).unwrap();
        let inner = Directory::decode(read(root.directories[0].digest.as_ref().unwrap())).unwrap();
        assert_eq!((root.directories[0].name.as_str(), inner.directories[0].name.as_str()), ("in", "x"));
    }
}
