//! Reads `user "name" { ... }` in an image.

use super::file::MOUNTED_OVER;
use super::{ImageFile, User};
use crate::base::{Diagnostic, Spanned};
use crate::recipe::kinds::TextOrFile;
use crate::recipe::reader::Reader;
use crate::recipe::scope::Scope;
use crate::recipe::value::EvaluatedNode;

/// Every user of an image.
pub(super) fn users(reader: &mut Reader<'_>, scope: &Scope) -> Vec<User> {
    reader.distinct("user", |node| user(node, scope), |user| &user.name)
}

fn user(node: &EvaluatedNode, scope: &Scope) -> Option<User> {
    let mut reader = Reader::new(node, &scope.report);
    let name = reader.argument::<String>("a login name in quotes").and_then(|name| login(name, &reader));
    let uid = reader.integer("uid", 0..=65_533).map(|uid| uid.value as u32);
    let password_hash = reader.optional::<String>("password-hash").map(|hash| password(hash, &reader));
    let keys = reader.list::<TextOrFile>("authorized-keys");
    let authorized_keys: Vec<String> = keys.into_iter().flat_map(|key| authorized_keys(key, scope)).collect();
    let groups = reader.list::<String>("groups").into_iter().filter_map(|group| login(group, &reader)).collect();
    let shell = reader.optional::<String>("shell").map(|shell| absolute(shell, &reader));
    let home = reader.optional::<String>("home");
    if let Some(home) = home.as_ref().filter(|home| !authorized_keys.is_empty() && is_never_made(&home.value)) {
        let wrong = Diagnostic::new(home.span, format!("`{}` cannot hold `authorized-keys`", home.value));
        reader.error(wrong.label("no directory of this name is in the image").hint("give the user another `home`"));
    }
    let home = home.map(|home| absolute(home, &reader));
    reader.finish();
    let name = name?;
    Some(User {
        uid,
        password_hash: password_hash.map_or(Some(None), |hash| hash.map(Some))?,
        authorized_keys,
        groups,
        shell: shell.map_or(Some(None), |shell| shell.map(Some))?,
        home: home.map_or(Some(None), |home| home.map(Some))?,
        name,
        span: node.head(),
    })
}

/// Whether kiln makes no home at this path: Debian's name for none (policy 9.2.3), or below what is mounted over at every boot.
pub fn is_never_made(home: &str) -> bool {
    let below =
        |directory: &&str| home.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    home == "/nonexistent" || MOUNTED_OVER.iter().any(below)
}

/// Keys come from the user's block or from a file of the recipe: two ways would leave one of them out.
pub(super) fn keys_once(users: &[User], files: &[ImageFile], reader: &Reader<'_>) {
    for user in users.iter().filter(|user| !user.authorized_keys.is_empty()) {
        let own_home = if user.name == "root" { "/root".to_owned() } else { format!("/home/{}", user.name) };
        let path = format!("{}/.ssh/authorized_keys", user.home.as_ref().unwrap_or(&own_home));
        if let Some(file) = files.iter().find(|file| file.path == path) {
            let twice = Diagnostic::new(file.span, format!("the keys of user `{}` are set more than once", user.name));
            let twice = twice.label("this file").related(user.span, "and `authorized-keys` of this user");
            reader.error(twice.hint("keep one of the two"));
        }
    }
}

/// What Debian's adduser takes: a lower-case letter or `_`, then those, digits and `-`; at most 32.
pub(super) fn login(name: Spanned<String>, reader: &Reader<'_>) -> Option<String> {
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    let starts = name.value.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    if starts && name.value.len() <= 32 && name.value.bytes().all(legal) {
        return Some(name.value);
    }
    let wrong = Diagnostic::new(name.span, format!("`{}` cannot be the name of a user or a group", name.value));
    reader.error(wrong.label("lower-case letters, digits, `_` and `-`, at most 32"));
    None
}

/// A field of shadow(5): nothing that ends the field or the line.
fn password(hash: Spanned<String>, reader: &Reader<'_>) -> Option<String> {
    let good = hash.value.is_empty() || hash.value.starts_with(['$', '*', '!']);
    if good && hash.value.bytes().all(|b| b.is_ascii_graphic() && b != b':') {
        return Some(hash.value);
    }
    let wrong = Diagnostic::new(hash.span, "invalid password hash").label("expected crypt(5), as in `$y$...`");
    let hint = "`openssl passwd -6` makes one (write `\\$` for `$`); `\"\"` logs in without a password, `\"*\"` never";
    reader.error(wrong.hint(hint));
    None
}

fn authorized_keys(key: Spanned<TextOrFile>, scope: &Scope) -> Vec<String> {
    let text = match &key.value {
        TextOrFile::Text(text) => text.clone(),
        // A file that is too large to be held has no keys, whatever else is in it.
        TextOrFile::File(path) => String::from_utf8_lossy(scope.files[path].bytes().unwrap_or_default()).into_owned(),
    };
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let keys: Vec<String> = lines.map(str::to_owned).collect();
    let types = ["ssh-", "ecdsa-", "sk-"];
    // sshd(8): options may come first, so the type is looked for among the words.
    let is_key = |line: &String| line.split(' ').any(|word| types.iter().any(|kind| word.starts_with(kind)));
    if keys.is_empty() || !keys.iter().all(is_key) || text.contains('\0') {
        let wrong = Diagnostic::new(key.span, "no SSH public key found").label("expected `ssh-ed25519 AAAA...`");
        scope.report.push(wrong.hint("the public key is in the file that ends in `.pub`"));
        return Vec::new();
    }
    keys
}

fn absolute(path: Spanned<String>, reader: &Reader<'_>) -> Option<String> {
    if super::file::is_absolute(&path.value) && !path.value.contains(':') {
        return Some(path.value);
    }
    let wrong = Diagnostic::new(path.span, format!("`{}` is not an absolute path", path.value));
    reader.error(wrong.label("expected `/...` without `..`"));
    None
}
