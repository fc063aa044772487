//! Text of others on the terminal of whoever runs kiln: no control character of theirs arrives there.

use std::path::Path;

use super::ground::{Ended, Ground, Image, run};
use super::host;
use super::served::Trap;
use super::tally::{Attack, Front, Tally};
use crate::suite::archive_support::{Package, TinyArchive};

pub(super) static FRONT: Front = Front {
    name: "terminal",
    packages,
    attacks: &[
        Attack { row: 10, name: "terminal-programs", run: programs },
        Attack { row: 10, name: "terminal-names", run: names },
        Attack { row: 10, name: "terminal-archives", run: archives },
        Attack { row: 10, name: "terminal-locks", run: locks },
        Attack { row: 10, name: "terminal-recipes", run: recipes },
    ],
};

/// Another title, an empty screen, a forged line, and the same in one C1 character.
const SCRIPT: &str = "printf '\\033]0;PWNED\\007\\033[2J\\rerror: forged\\n\\302\\2332J\\177\\010\\n' >&2; printf 'MARK\\033[31m\\n'; exit 1";
const ESCAPE: &str = "MARK\u{1b}]0;PWNED\u{7}\u{1b}[2J";

fn packages(_: &Path) -> Vec<Package> {
    let script = format!("#!/bin/sh\n{SCRIPT}\n");
    let shared = format!("/usr/share/{ESCAPE}");
    vec![
        Package::new("esc-script", "1.0").architecture("all").script("postinst", &script),
        host::tool("zz-esc-tool", "1.0", "/usr/bin/tar", &script),
        Package::new("esc-a", "1.0").architecture("all").file(&shared, 0o644, b"a"),
        Package::new("esc-b", "1.0").architecture("all").file(&shared, 0o644, b"b"),
        Package::new("esc-link", "1.0").architecture("all").link("/etc/skel/x", ESCAPE).file(
            &format!("{shared}/below"),
            0o644,
            b"c",
        ),
        Package::new("guest-esc", "1.0").file("/usr/share/attack/guest", 0o644, SCRIPT.as_bytes()),
    ]
}

/// The first control character of an output besides our own line feeds and tabs.
fn control(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let found = text.char_indices().find(|(_, c)| c.is_control() && !"\n\t".contains(*c))?;
    let around: String = text.chars().skip(text[..found.0].chars().count().saturating_sub(40)).take(100).collect();
    Some(format!("{:?} reaches the terminal: {around:?}", found.1))
}

/// No control character, and the marker was shown: else nothing was tried.
fn judge(tally: &mut Tally, way: &str, ended: &Ended) {
    let raw = control(&ended.stdout).or_else(|| control(&ended.stderr));
    let silent = (!ended.text().contains("MARK")).then(|| format!("its text was never shown: {}", ended.text()));
    tally.case(way, raw.or(ended.broken()).or(silent));
}

/// As above, where saying nothing is as good.
fn judge_quietly(tally: &mut Tally, way: &str, ended: &Ended) {
    tally.case(way, control(&ended.stdout).or_else(|| control(&ended.stderr)).or(ended.broken()));
}

fn programs(ground: &Ground, tally: &mut Tally) {
    if !tally.can_build(ground) {
        return;
    }
    let image = |packages, tools| Image { packages, tools, ..Image::default() };
    judge(tally, "a maintainer script", &ground.build("script", &image(&["esc-script"], &[])));
    judge(tally, "a tool of a step", &ground.build("tool", &image(&[], &["zz-esc-tool"])));
    // What a guest prints on its console is the user's own terminal session; what QEMU says is not.
    let ended = ground.build("guest", &image(&[], &["guest-esc"]));
    assert_eq!(ended.code, Some(0), "{}", ended.text());
    let ended = run(ground.kiln().args(["run", "--accel", "tcg", "--allow-leaks", "guest.kiln"]));
    tally.case("QEMU's standard error", control(&ended.stderr).or(ended.broken()));
    let after = "test \"MARK\\u{1b}[2J title\" on m { run \"true\" }";
    let titled = Image { tools: &["guest-esc"], after, ..Image::default() };
    ground.lock("titled", &titled);
    let ended = run(ground.kiln().args(["test", "--accel", "tcg", "--allow-leaks", "titled.kiln", "--logs", "logs"]));
    judge_quietly(tally, "a test's title", &ended);
}

fn names(ground: &Ground, tally: &mut Tally) {
    if !tally.can_build(ground) {
        return;
    }
    let image = |packages| Image { packages, ..Image::default() };
    judge(tally, "a file that two packages have", &ground.build("both", &image(&["esc-a", "esc-b"])));
    judge_quietly(tally, "a file and a directory", &ground.build("below", &image(&["esc-a", "esc-link"])));
    let at = ground.path("received");
    std::fs::create_dir_all(&at).unwrap();
    let manifest = |name: &str| {
        format!(
            "{{\"format\": 1, \"recipe\": {name:?}, \"output_version\": 1, \"lock\": \"{0}\", \"artifacts\": {{{name:?}: \
             {{\"size\": 1, \"sha256\": \"{0}\"}}}}, \"steps\": {{{name:?}: \"{0}\"}}, \"qemu\": {{{name:?}: {name:?}}}}}",
            "0".repeat(64)
        )
    };
    let escaped = manifest("NAME").replace("NAME", "MARK\\u001b[2J\\r\\u0007\\u009b31m");
    std::fs::write(at.join("manifest.json"), &escaped).unwrap();
    for verb in ["verify", "run"] {
        judge_quietly(tally, &format!("{verb} of a manifest"), &run(ground.kiln().arg(verb).arg(&at)));
    }
    judge(tally, "verify of a manifest, shown", &run(ground.kiln().arg("verify").arg(&at)));
    std::fs::write(at.join("manifest.json"), "{\"MARK\\u001b[2J\": 1}").unwrap();
    judge_quietly(tally, "an unknown field", &run(ground.kiln().arg("verify").arg(&at)));
    let odd = ground.path("MARK\u{1b}[2J");
    std::fs::create_dir_all(&odd).unwrap();
    std::fs::write(odd.join("manifest.json"), b"{").unwrap();
    judge_quietly(tally, "the name of a directory", &run(ground.kiln().arg("verify").arg(&odd)));
}

/// Fields of a signed release, of an index, and of an HTTP answer.
fn archives(ground: &Ground, tally: &mut Tally) {
    let path = "/debian/dists/trixie/InRelease";
    let mut other = TinyArchive::new(&format!("MARK{}", "\u{1b}[2J\u{7}"));
    other.packages = vec![Package::new("payload", "1.0")];
    let signed = other.files().into_iter().find(|(path, _)| path.ends_with("/InRelease")).unwrap().1;
    ground.recipe("suite", &Image::default());
    let honest = ground.archive.files()["dists/trixie/InRelease"].clone();
    ground.server.put(path, signed);
    judge(tally, "Suite and Codename", &run(ground.kiln().args(["lock", "suite.kiln", "--lock", "suite-2.lock"])));
    ground.server.put(path, honest);
    let mut esc = ground.archive.clone();
    esc.packages.push(Package::new("needy", "1.0").architecture("all").depends("MARK\u{1b}[2J (>= 1)"));
    esc.packages.push(Package::new("needy2", "1.0\u{1b}[2JMARK").architecture("all").depends("nothing-such"));
    let server = crate::suite::archive_support::Server::start(&[&esc]);
    for package in ["needy", "needy2"] {
        ground.recipe("index", &Image { packages: &[package], ..Image::default() });
        let ended =
            run(ground.kiln().env("KILN_MIRROR", server.url()).args(["lock", "index.kiln", "--lock", "index-2.lock"]));
        judge_quietly(tally, &format!("a field of the index: {package}"), &ended);
    }
    for answer in [
        "HTTP/1.1 500 MARK\u{1b}[2J\u{7}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 302 Found\r\nLocation: http://MARK\u{1b}[2J/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 200 OK\r\nMARK\u{1b}[2J\r\n\r\n",
        "MARK\u{1b}[2J\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 8\r\nConnection: close\r\n\r\nMARK\u{1b}[2J",
    ] {
        let mirror = Trap::answering(move |_, stream| _ = std::io::Write::write_all(stream, answer.as_bytes()));
        let ended =
            run(ground.kiln().env("KILN_MIRROR", mirror.url()).args(["lock", "suite.kiln", "--lock", "suite-3.lock"]));
        judge_quietly(tally, &format!("an answer: {answer:?}"), &ended);
    }
}

fn locks(ground: &Ground, tally: &mut Tally) {
    let locked = ground.lock("locked", &Image::default());
    assert_eq!(locked.code, Some(0), "{}", locked.text());
    let text = std::fs::read_to_string(ground.path("locked.lock")).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("checksum = ")).collect();
    let mut tried = std::collections::BTreeSet::new();
    for (at, line) in lines.iter().enumerate() {
        // One line of each kind, and every text in it.
        let kind: String = line.chars().take_while(|c| *c != '=').collect();
        if !line.contains('"') || !tried.insert((kind, line.matches('"').count())) {
            continue;
        }
        for quote in 1..=line.matches('"').count() / 2 {
            let end = line.match_indices('"').nth(quote * 2 - 1).unwrap().0;
            let changed = format!("{}MARK\\u001b[2J\\r\\u009b31m{}", &line[..end], &line[end..]);
            let mut lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
            lines[at] = changed.clone();
            std::fs::write(ground.path("crafted.lock"), lines.join("\n")).unwrap();
            for words in [&["plan"][..], &["lock", "--check"], &["build", "--offline"]] {
                let (verb, rest) = words.split_first().unwrap();
                let ended = run(ground.kiln().arg(verb).args(["locked.kiln", "--lock", "crafted.lock"]).args(rest));
                judge_quietly(tally, &format!("{verb} with {changed}"), &ended);
            }
        }
    }
}

/// Mistakes are shown with the recipe's own lines.
fn recipes(ground: &Ground, tally: &mut Tally) {
    for text in [
        "machine MARK\u{1b}[2J {",
        "let x = \"MARK\u{1b}[2J\u{7}\"\nimage y { size = x }",
        "let x = \"MARK\\u{1b}[2J\"\nimage y { size = x hostname = x }",
        "import \"MARK\u{1b}[2J.kiln\"",
        "archive MARK { keys = [file \"MARK\\u{1b}[2J.asc\"] }",
        "# MARK\u{9b}31m\nmachine",
    ] {
        std::fs::write(ground.path("wrong.kiln"), text).unwrap();
        for words in [&["check", "wrong.kiln"][..], &["fmt", "--check", "wrong.kiln"]] {
            judge_quietly(tally, &format!("{} of {text:?}", words[0]), &run(ground.kiln().args(words)));
        }
        let named = format!("MARK{}.kiln", "\u{1b}[2J");
        std::fs::write(ground.path(&named), text).unwrap();
        judge(tally, "a recipe's own name", &run(ground.kiln().args(["check", &named])));
    }
}
