//! `root.json` from a checked image: the same facts, with every file named by the step's input that holds it.

use std::collections::{BTreeMap, BTreeSet};

use super::file_system_id;
use crate::base::Digest;
use crate::plan::build;
use crate::plan::builder::Builder;
use crate::plan::root::{RULES, RootContent, RootFile, RootGroup, RootGrowth, RootIds, RootSpec, RootUnits, RootUser};
use crate::plan::step::{FetchPlace, Input, Plan};
use crate::recipe::Recipe;
use crate::recipe::content::DiskSource;
use crate::recipe::directory::Modes;
use crate::recipe::image::{Content, Group, Image, ImageFile, MachineField, SWAP_FILE, User};
use crate::recipe::machine::Firmware;

/// The specification of an image's root, and the inputs that hold its files.
pub(super) fn root_spec(
    recipe: &Recipe,
    image: &Image,
    builder: &mut Builder<'_>,
) -> (RootSpec, BTreeMap<String, Input>) {
    let mut inputs = BTreeMap::new();
    let mut files = Vec::new();
    for (at, file) in image.files.iter().enumerate() {
        let name = format!("files/{at:04}");
        let input = match &file.content {
            Content::Text(text) => Some(Input::Inline(text.as_bytes().to_vec())),
            Content::File(key) | Content::Tree(key) => Some(builder.recipe_file(recipe, key)),
            Content::Url(_) => Some(builder.fetch_only(&image.source_name(file))),
            Content::Output(output) => Some(build::output(builder, recipe, output)),
            Content::OutputTree(output) => Some(build::tree(builder, recipe, output)),
            Content::Directory | Content::Link(_) => None,
        };
        inputs.extend(input.map(|input| (name.clone(), input)));
        let content = match &file.content {
            Content::Text(_) | Content::File(_) | Content::Url(_) | Content::Output(_) => RootContent::Input(name),
            Content::Tree(_) | Content::OutputTree(_) => RootContent::Tree(name),
            Content::Directory => RootContent::Directory,
            Content::Link(target) => RootContent::Link(target.clone()),
        };
        files.push(root_file(file, content));
    }
    let lock = builder.lock;
    let table = lock.images.get(&image.name);
    let spec = RootSpec {
        architecture: image.architecture.value,
        rules: RULES,
        epoch: lock.epoch,
        hostname: image.hostname.clone(),
        stated: stated(image),
        remove: image.paths.remove.clone(),
        groups: image.groups.iter().map(root_group).collect(),
        users: image.users.iter().map(root_user).collect(),
        files,
        units: RootUnits { enable: image.enable.clone(), disable: image.disable.clone(), mask: image.mask.clone() },
        serial_console: image.serial_console,
        dhcp: image.dhcp,
        locale: image.locale.clone(),
        timezone: image.timezone.clone(),
        root_device: root_device(recipe, image, builder),
        swap_file: image.disk().and_then(|disk| disk.swap).map(|_| SWAP_FILE.to_owned()),
        grow: growth(recipe, image),
        ids: table.map_or_else(RootIds::default, |table| RootIds {
            users: table.users.clone(),
            groups: table.groups.clone(),
        }),
        new_ids: table.is_none_or(|table| table.open),
        strict: image.strict,
    };
    (spec, inputs)
}

/// The fields that a tree of the recipe could leave without effect.
fn stated(image: &Image) -> Vec<MachineField> {
    let tree = |file: &ImageFile| matches!(file.content, Content::Tree(_) | Content::OutputTree(_));
    let fields = image.files.iter().any(tree).then(|| image.spans.machine.keys().copied());
    fields.into_iter().flatten().collect()
}

/// The programs that are needed for one of its disks.
fn growth(recipe: &Recipe, image: &Image) -> Option<RootGrowth> {
    image.disk().filter(|disk| disk.grow)?;
    let mut machines = recipe.machines.values().filter(|machine| machine.image == image.name);
    let partitioned = machines.any(|machine| machine.firmware.value != Firmware::Direct);
    Some(if partitioned { RootGrowth::Partition } else { RootGrowth::FileSystem })
}

/// What `/etc/fstab` names as the root. Where the disk of an image without a machine will be, nobody knows: only the
/// identity of its file system. An archive has none, and whoever unpacks it decides.
fn root_device(recipe: &Recipe, image: &Image, builder: &Builder<'_>) -> Option<String> {
    image.disk()?;
    Some(match recipe.has_machine_with(image) {
        true => "/dev/vda".to_owned(),
        false => format!("UUID={}", file_system_id(builder, image)),
    })
}

/// The digests of files that in the image not everybody may read.
pub(super) fn private(plan: &Plan, spec: &RootSpec, inputs: &BTreeMap<String, Input>) -> BTreeSet<Digest> {
    let digest = |file: &RootFile| {
        let closed = file.mode & 0o004 == 0;
        match &file.content {
            RootContent::Input(name) if closed => match inputs.get(name)? {
                Input::Inline(bytes) => Some(Digest::of(bytes)),
                // A file that everybody may download is no secret.
                Input::Fetched(digest) => plan.fetches[digest].place.is_local().then_some(*digest),
                Input::Output { .. } | Input::Local(_) => None,
            },
            RootContent::Tree(name) => match inputs.get(name)? {
                Input::Fetched(digest) => keeps_modes(&plan.fetches[digest].place).then_some(*digest),
                Input::Inline(_) | Input::Output { .. } | Input::Local(_) => None,
            },
            RootContent::Input(_) | RootContent::Directory | RootContent::Link(_) => None,
        }
    };
    spec.files.iter().filter_map(digest).collect()
}

/// Whether files of a tree may be closed to others in the image; elsewhere everybody may read them.
fn keeps_modes(place: &FetchPlace) -> bool {
    matches!(place, FetchPlace::Recipe(DiskSource::Directory(directory)) if directory.modes == Modes::Exact)
}

fn root_group(group: &Group) -> RootGroup {
    RootGroup { name: group.name.clone(), gid: group.gid }
}

fn root_user(user: &User) -> RootUser {
    RootUser {
        name: user.name.clone(),
        uid: user.uid,
        password_hash: user.password_hash.clone(),
        authorized_keys: user.authorized_keys.clone(),
        groups: user.groups.clone(),
        shell: user.shell.clone(),
        home: user.home.clone(),
    }
}

fn root_file(file: &ImageFile, content: RootContent) -> RootFile {
    RootFile {
        path: file.path.clone(),
        content,
        mode: file.mode,
        owner: file.owner.clone(),
        group: file.group.clone(),
        capabilities: file.capabilities,
    }
}
