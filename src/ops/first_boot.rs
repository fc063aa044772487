//! Images whose packages make secrets of their own, and that run no unit which makes them at first boot.
//!
//! Input: a recipe and its lock. Output: warnings at what the recipe asks for. The build sees the files, and tells of all
//! packages; here are those that are known by name, so that `kiln lock` and `kiln check` tell of them as well.

use crate::base::Diagnostic;
use crate::lock::Lock;
use crate::recipe::Recipe;
use crate::recipe::image::Image;

/// Makes systemd the init.
const INIT_PACKAGE: &str = "systemd-sysv";
const INIT: [&str; 2] = ["/sbin/init", "/usr/sbin/init"];

/// Packages that make files of their own when they are configured, and how the paths of these begin.
const MAKERS: [(&str, &str); 8] = [
    ("dropbear", "/etc/dropbear/"),
    ("mariadb-server", "/var/lib/mysql"),
    ("munge", "/etc/munge/"),
    ("nvme-cli", "/etc/nvme/"),
    ("open-iscsi", "/etc/iscsi/"),
    ("openssh-server", "/etc/ssh/ssh_host_"),
    ("slapd", "/etc/ldap/"),
    ("ssl-cert", "/etc/ssl/private/"),
];

/// One for each such package of each image.
pub(super) fn doubts(recipe: &Recipe, lock: &Lock) -> Vec<Diagnostic> {
    recipe.images.values().flat_map(|image| of_image(image, lock)).collect()
}

fn of_image(image: &Image, lock: &Lock) -> Vec<Diagnostic> {
    let packages = lock.sets.get(&image.packages.name).map_or(&[][..], Vec::as_slice);
    let has = |name: &str| packages.iter().any(|package| package.name == name);
    let states = |start: &str| image.files.iter().any(|file| file.path.starts_with(start));
    if has(INIT_PACKAGE) || INIT.iter().any(|path| states(path)) {
        return Vec::new();
    }
    let makers = MAKERS.iter().filter(|(package, start)| has(package) && !states(start));
    makers.map(|(package, _)| doubt(image, package)).collect()
}

fn doubt(image: &Image, package: &str) -> Diagnostic {
    let request = image.packages.requests.iter().find(|request| request.name == package);
    let span = request.map_or(image.span, |request| request.span);
    let message =
        format!("nothing makes the keys or identities of `{package}` in a machine with image `{}`", image.name);
    let doubt = Diagnostic::new(span, message).label("they are not in the image");
    let doubt = doubt.note("a systemd unit makes them at first boot, and systemd is not the init of this image");
    doubt.hint(format!("add the package `{INIT_PACKAGE}`, or give the files in the recipe"))
}
