//! `root.json` from a checked image: the same facts, with every file named by the step's input that holds it.

use std::collections::BTreeMap;

use crate::lock::Lock;
use crate::plan::root::{RULES, RootContent, RootFile, RootPackage, RootSpec, RootUnits, RootUser};
use crate::plan::step::Input;
use crate::recipe::Recipe;
use crate::recipe::image::{Content, Image, ImageFile, User};

/// The specification of an image's root, and the inputs that hold its files.
pub(super) fn root_spec(recipe: &Recipe, image: &Image, lock: &Lock) -> (RootSpec, BTreeMap<String, Input>) {
    let mut inputs = BTreeMap::new();
    let files = image.files.iter().enumerate().map(|(at, file)| root_file(recipe, at, file, &mut inputs)).collect();
    let packages = lock.sets.get(&image.packages.name).expect("the lock has every package set of its recipe");
    let spec = RootSpec {
        rules: RULES,
        packages: packages
            .iter()
            .enumerate()
            .map(|(at, package)| RootPackage {
                name: package.name.clone(),
                version: package.version.clone(),
                architecture: package.architecture.clone(),
                input: crate::plan::builder::deb_name(at, package),
            })
            .collect(),
        epoch: lock.epoch,
        seed: lock.seed,
        hostname: image.hostname.clone(),
        users: image.users.iter().map(root_user).collect(),
        files,
        units: RootUnits { enable: image.enable.clone(), disable: image.disable.clone(), mask: image.mask.clone() },
        serial_console: image.serial_console,
        dhcp: image.dhcp,
        locale: image.locale.clone(),
        timezone: image.timezone.clone(),
        root_device: Some("/dev/vda".to_owned()),
        ids: None,
    };
    (spec, inputs)
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

fn root_file(recipe: &Recipe, at: usize, file: &ImageFile, inputs: &mut BTreeMap<String, Input>) -> RootFile {
    let mut held = |bytes: Vec<u8>| {
        let input = format!("files/{at:04}");
        inputs.insert(input.clone(), Input::Inline(bytes));
        RootContent::Input(input)
    };
    let content = match &file.content {
        Content::Text(text) => held(text.clone().into_bytes()),
        Content::File(path) => held(recipe.files.get(path).expect("a checked recipe holds its files").bytes.clone()),
        Content::Directory => RootContent::Directory,
        Content::Link(target) => RootContent::Link(target.clone()),
    };
    RootFile { path: file.path.clone(), content, mode: file.mode, owner: file.owner.clone(), group: file.group.clone() }
}
