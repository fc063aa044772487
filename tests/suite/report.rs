//! `kiln report`: one page that loads nothing and runs nothing, whatever recipes, packages and locks are called; with headings, captions
//! and scopes for those who do not see it. The live suite looks at it in a browser.

mod attested;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::failure_support::{Lab, RECIPE, archive, refused, text};

/// A page about one of kiln's own recipes. Neither a store nor a network is asked.
fn page(recipe: &str) -> String {
    // Tests ask for the same page at the same time.
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let directory = super::store::scratch(&format!("report-{}", ASKED.fetch_add(1, Ordering::Relaxed)));
    let mut kiln = Command::new(env!("CARGO_BIN_EXE_kiln"));
    kiln.args(["report", recipe, "-o"]).arg(directory.join("report.html")).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = kiln.env("KILN_STORE", "/nowhere/at/all").env("KILN_MIRROR", "http://127.0.0.1:9").output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let page = std::fs::read_to_string(directory.join("report.html")).unwrap();
    std::fs::remove_dir_all(&directory).unwrap();
    page
}

/// The tags of a page in their order, each closed where it has to be; attributes are quoted.
fn tags(page: &str) -> Vec<String> {
    let page = page.strip_prefix("<!DOCTYPE html>").unwrap();
    let (mut open, mut all): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        let end = rest[at..].find('>').unwrap_or_else(|| panic!("a tag without an end: {}", &rest[at..]));
        let tag = &rest[at + 1..at + end];
        rest = &rest[at + end + 1..];
        let name: String = tag.trim_start_matches('/').chars().take_while(char::is_ascii_alphanumeric).collect();
        if tag.starts_with('/') {
            assert_eq!(open.pop().as_deref(), Some(name.as_str()), "closed in the wrong order");
        } else if !tag.ends_with('/') && !["meta", "br"].contains(&name.as_str()) {
            open.push(name.clone());
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        if name == "style" && !tag.starts_with('/') {
            rest = &rest[rest.find("</style>").unwrap()..];
        }
        all.push(tag.to_owned());
    }
    assert_eq!(open, Vec::<String>::new(), "tags that are never closed");
    all
}

/// The value of an attribute of a tag.
fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    tag.split_once(&format!(" {name}=\""))?.1.split('"').next()
}

#[test]
fn a_page_stands_by_itself_and_can_be_read_without_being_seen() {
    for recipe in ["recipes/cxl-expander.kiln", "recipes/cxl-own-ndctl.kiln", "recipes/cxl-quick.kiln"] {
        let page = page(recipe);
        assert_eq!(page, self::page(recipe), "{recipe}: the same bytes");
        let tags = tags(&page);
        let named = |name: &str| {
            let is = |tag: &&String| tag.split(' ').next() == Some(name);
            tags.iter().filter(is).cloned().collect::<Vec<String>>()
        };
        for name in ["script", "link", "img", "iframe", "object", "embed", "base", "form"] {
            assert_eq!(named(name), Vec::<String>::new(), "{recipe}: {name}");
        }
        assert!(!page.contains("url(") && !page.contains("@import") && !page.contains("javascript:"));
        for name in ["header", "nav", "main", "footer", "h1"] {
            let attributes: Vec<&String> = tags.iter().filter(|tag| tag.split(' ').next() == Some(name)).collect();
            assert_eq!(attributes.len(), 1, "{recipe}: one {name}");
        }
        assert!(attribute(&named("html")[0], "lang") == Some("en"));
        assert!(named("table").len() > 5 && named("table").len() == named("caption").len());
        assert!(named("th").iter().all(|tag| matches!(attribute(tag, "scope"), Some("row" | "col"))));
        let ids: Vec<&str> = tags.iter().filter_map(|tag| attribute(tag, "id")).collect();
        assert_eq!(ids.len(), ids.iter().collect::<BTreeSet<_>>().len(), "ids are used once");
        assert!(named("a").iter().all(|tag| ids.contains(&attribute(tag, "href").unwrap().strip_prefix('#').unwrap())));
        assert_eq!(named("svg").iter().filter(|tag| attribute(tag, "role") == Some("img")).count(), 1);
        for region in tags.iter().filter(|tag| attribute(tag, "class") == Some("scroll")) {
            assert!(attribute(region, "tabindex") == Some("0") && attribute(region, "aria-label").is_some());
        }
    }
}

#[test]
fn a_page_says_what_the_lock_and_the_recipe_say() {
    let page = page("recipes/cxl-expander.kiln");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("lockfiles/cxl-expander.lock");
    let lock = kiln::lock::read(&std::fs::read_to_string(path).unwrap()).unwrap();
    let digests = lock.sets.values().flatten().map(|package| package.file.sha256);
    let files = lock.sources.values().flat_map(|source| source.files.values()).map(|file| file.file.sha256);
    let archives = lock.archives.values().map(|archive| archive.inrelease);
    let others = lock.recipe.files.values().copied().chain(lock.steps.values().copied());
    for digest in digests.chain(files).chain(archives).chain(others).chain([kiln::lock::inputs_digest(&lock)]) {
        assert!(page.contains(&digest.to_string()), "{digest} is missing");
    }
    for key in lock.archives.values().flat_map(|archive| &archive.signed_by) {
        assert!(page.contains(key.as_str()), "{key} is missing");
    }
    for option in ["DEV_DAX_KMEM", "CXL_BUS"] {
        assert!(page.contains(&format!("<th scope=\"row\">{option}</th>")), "{option} is missing");
    }
    assert!(page.contains("<svg ") && page.contains("aria-label=\"Topology of "));
    // Largest first.
    let (set, packages) = lock.sets.iter().max_by_key(|(_, packages)| packages.len()).unwrap();
    let table = page.split(&format!("<caption>Packages of {set}, largest first</caption>")).nth(1).unwrap();
    let table = table.split("</table>").next().unwrap();
    let names: Vec<&str> =
        table.split("<th scope=\"row\">").skip(1).map(|row| row.split('<').next().unwrap()).collect();
    let size = |name: &&str| packages.iter().find(|package| package.name == **name).unwrap().file.size;
    assert!(names.len() == packages.len() && names.iter().map(size).is_sorted_by(|a, b| a >= b));
}

#[test]
fn a_page_names_builds_what_they_read_and_what_their_outputs_are() {
    let page = page("recipes/cxl-own-qemu.kiln");
    let row = page.split("<th scope=\"row\">qemu</th><td>qemu-compiler</td><td>").nth(1).unwrap();
    let row = row.split("</tr>").next().unwrap();
    for read in
        ["firmware-revision.patch: the file lib/qemu-firmware-revision.patch", "qemu: Debian&#39;s source package qemu"]
    {
        assert!(row.contains(read), "{read}: {row}");
    }
    assert!(row.ends_with("<td>qemu</td>"), "{row}");
    let row = "<th scope=\"row\">qemu</th><td>qemu</td><td>QEMU patched 10.0.13</td>";
    assert!(page.contains(row), "{row}");
    assert!(!self::page("recipes/cxl-quick.kiln").contains("id=\"builds\""));
}

const HOSTILE: &str = "<img src=x onerror=hacked=1>";

#[test]
fn hostile_names_are_text() {
    let lab = Lab::unlocked("report-hostile", archive(), |_| {
        let file = format!("packages = [\"payload\"] file \"/etc/x\" {{ source = file \"{HOSTILE}.conf\" }}");
        let note = "param note = \"</style><script>hacked=1</script>\"\n";
        note.to_owned() + &RECIPE.replace("packages = [\"payload\"]", &file)
    });
    std::fs::write(lab.directory.join(format!("{HOSTILE}.conf")), "x").unwrap();
    let locked = lab.kiln().args(["lock", "tiny.kiln"]).output().unwrap();
    assert!(locked.status.success(), "{}", text(&locked));
    // A lock may come from anybody, too.
    let path = lab.directory.join("tiny.lock");
    let lock = std::fs::read_to_string(&path).unwrap();
    let lock = lock.replace("version = \"1.37\"", "version = \"1.37'><svg+onload=hacked=1>\"");
    let lock: String =
        lock.lines().filter(|line| !line.starts_with("checksum = ")).map(|line| format!("{line}\n")).collect();
    std::fs::write(&path, lock).unwrap();
    let made = lab.kiln().args(["report", "tiny.kiln", "-o", "report.html"]).output().unwrap();
    assert!(made.status.success(), "{}", text(&made));
    let page = std::fs::read_to_string(lab.directory.join("report.html")).unwrap();
    let tags = tags(&page);
    assert!(tags.iter().all(|tag| !tag.starts_with("img") && !tag.starts_with("script") && !tag.contains("onload")));
    for words in ["&lt;img src=x onerror=hacked=1&gt;.conf", "&lt;svg+onload=hacked=1&gt;", "&lt;script&gt;hacked=1"] {
        assert!(page.contains(words), "{words} is missing");
    }
    assert_eq!(page.matches("<style>").count(), 2, "that of the page and that of the picture");
}

#[test]
fn a_page_that_is_forced_replaces_a_link_and_is_asked_for_with_a_file() {
    let lab = Lab::new("report-link");
    std::fs::write(lab.directory.join("precious"), "precious").unwrap();
    std::os::unix::fs::symlink("precious", lab.directory.join("report.html")).unwrap();
    let ask =
        |words: &[&str]| lab.kiln().args(["report", "tiny.kiln", "-o", "report.html"]).args(words).output().unwrap();
    refused(&ask(&[]), 2, &["report.html exists already", "--force"]);
    let made = ask(&["--force"]);
    assert!(made.status.success() && text(&made) == "wrote report.html\n", "{}", text(&made));
    assert_eq!(std::fs::read_to_string(lab.directory.join("precious")).unwrap(), "precious");
    assert!(std::fs::read_to_string(lab.directory.join("report.html")).unwrap().contains("no signature was checked"));
    refused(&lab.kiln().args(["report", "tiny.kiln"]).output().unwrap(), 2, &["--output"]);
    let words = ["report", "tiny.kiln", "-o", "report.html", "--source", "stock=."];
    refused(&lab.kiln().args(words).output().unwrap(), 2, &["--source"]);
    let words = ["report", "tiny.kiln", "-o", "report.html", "--result", "nowhere"];
    assert_ne!(lab.kiln().args(words).output().unwrap().status.code(), Some(0));
    std::fs::remove_file(lab.directory.join("tiny.lock")).unwrap();
    refused(&lab.kiln().args(["report", "tiny.kiln", "-o", "r.html"]).output().unwrap(), 1, &["no lock found"]);
}

#[test]
fn a_page_has_no_password_and_no_token_of_an_address() {
    let lab = Lab::unlocked("report-secret", archive(), |url| {
        let at = format!("{url}/debian/dists/trixie/InRelease");
        let file = format!("packages = [\"payload\"] file \"/etc/x\" {{ source = url \"{at}\" }}");
        RECIPE.replace("packages = [\"payload\"]", &file)
    });
    let locked = lab.kiln().args(["lock", "tiny.kiln"]).output().unwrap();
    assert!(locked.status.success(), "{}", text(&locked));
    let path = lab.directory.join("tiny.lock");
    let lock = std::fs::read_to_string(&path).unwrap();
    let recipe = std::fs::read_to_string(lab.directory.join("tiny.kiln")).unwrap();
    let public = format!("{}/debian/dists/trixie/InRelease", lab.server.url());
    for (address, shown) in [
        (format!("{public}?token=swordfish"), format!("<td>{public}</td>")),
        (public.replace("://", "://me:swordfish@"), "<td>a URL that is not shown,".to_owned()),
    ] {
        let mut lock = kiln::lock::read(&lock).unwrap();
        for file in lock.sources.values_mut().flat_map(|source| source.files.values_mut()) {
            file.place = kiln::lock::SourcePlace::Url(address.clone());
        }
        let recipe = recipe.replace(&public, &address);
        std::fs::write(lab.directory.join("tiny.kiln"), &recipe).unwrap();
        if let Some(digest) = lock.recipe.files.get_mut("tiny.kiln") {
            *digest = kiln::base::Digest::of(recipe.as_bytes());
        }
        lock.recipe.digest = kiln::lock::recipe_digest(&lock.recipe.files, &lock.recipe.params);
        std::fs::write(&path, kiln::lock::write(&lock)).unwrap();
        let made = lab.kiln().args(["report", "tiny.kiln", "--force", "-o", "report.html"]).output().unwrap();
        assert!(made.status.success(), "{}", text(&made));
        let page = std::fs::read_to_string(lab.directory.join("report.html")).unwrap();
        assert!(page.contains(&shown) && !page.contains("swordfish"), "{page}");
    }
}
