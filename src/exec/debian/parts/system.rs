//! Host name, locale, time zone, file systems: the small files of `/etc`.

use crate::exec::failure::StepFailure;
use crate::exec::tree::parts::Addition;
use crate::exec::tree::{RootError, Tree};
use crate::plan::Statement;
use crate::plan::root::{RootSpec, fstab};

/// Writes them.
pub(super) fn apply(Addition { spec, tree, .. }: &Addition<'_>) -> Result<(), RootError> {
    let host = &spec.hostname;
    tree.put("etc/hostname", format!("{host}\n").as_bytes(), 0o644)?;
    // The full name first, which is what `hostname --fqdn` answers (hosts(5)).
    let short = host.split_once('.').map_or(String::new(), |(short, _)| format!("\t{short}"));
    let hosts = format!(
        "127.0.0.1\tlocalhost\n127.0.1.1\t{host}{short}\n\n::1\tlocalhost ip6-localhost ip6-loopback\n\
         ff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n"
    );
    tree.put("etc/hosts", hosts.as_bytes(), 0o644)?;
    if let Some(device) = &spec.root_device {
        let fstab = fstab(device, spec.swap_file.as_deref());
        tree.put("etc/fstab", fstab.as_bytes(), 0o644)?;
    }
    tree.directory("etc/default")?;
    let locale = format!("LANG={}\n", spec.locale);
    // `/etc/default/locale` has been a link to `/etc/locale.conf` since Debian 13.
    let linked = tree.stat("etc/default/locale")?.is_some_and(|stat| stat.link());
    let name = if linked { "etc/locale.conf" } else { "etc/default/locale" };
    tree.put(name, locale.as_bytes(), 0o644)?;
    timezone(spec, tree)
}

fn timezone(spec: &RootSpec, tree: &Tree) -> Result<(), RootError> {
    let zone = &spec.timezone;
    let name = format!("usr/share/zoneinfo/{zone}");
    let odd = zone.is_empty() || zone.split('/').any(|part| part.is_empty() || part == "..");
    // Without tzdata every system is on UTC already.
    let there = !odd && tree.has(&name)?;
    let known = there || matches!(zone.as_str(), "UTC" | "Etc/UTC");
    if odd || !known {
        return Err(StepFailure::recipe(Statement::Timezone, format!("unknown time zone `{zone}`"))
            .help("the package tzdata has the time zones; tzdata-legacy has the old names")
            .into());
    }
    if there {
        tree.link("etc/localtime", format!("/{name}"))?;
        tree.put("etc/timezone", format!("{zone}\n").as_bytes(), 0o644)?;
    }
    Ok(())
}
