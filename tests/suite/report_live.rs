//! `kiln report` in a browser: Debian's Chromium at 1280 and 400 pixels, in light and dark.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::live::{QUICK, SELDOM, Scratch, has_its_turn, judge, kiln, live, quick, succeed};
use super::packages;

/// Looks at `report.html` beside it at both widths, and leaves what it saw as JSON.
const HARNESS: &str = include_str!("../fixtures/report/harness.html");

/// Starts Chromium in a root of its own packages, with this machine's devices.
const START: &str = "mkdir -p $0/proc $0/sys $0/dev $0/tmp && mount --rbind /proc $0/proc && mount --rbind /sys $0/sys && \
                     mount --rbind /dev $0/dev && exec chroot \"$0\" /usr/lib/chromium/chromium --headless --no-sandbox --disable-gpu \
                     --user-data-dir=/tmp/profile --allow-file-access-from-files --virtual-time-budget=20000 --dump-dom \"$@\"";

fn look(root: &Path, scheme: &str) -> Vec<Value> {
    let mut chromium = Command::new("unshare");
    chromium.args(["-m", "sh", "-c", START]).arg(root);
    chromium.args([&format!("--blink-settings=preferredColorScheme={scheme}"), "file:///tmp/harness.html"]);
    let seen = String::from_utf8(succeed(&mut chromium).stdout).unwrap();
    let json = seen.split("<pre id=\"result\">").nth(1).unwrap().split("</pre>").next().unwrap();
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {seen}"))
}

#[test]
fn a_page_fits_is_legible_and_can_be_used_without_a_mouse() {
    if !live("the page of `kiln report` in Chromium") || !has_its_turn("report", &SELDOM) || !judge("unshare") {
        return;
    }
    if !judge("ssh-keygen") {
        return;
    }
    let scratch = Scratch::new("report-live");
    let root = scratch.path("root");
    for package in packages::fetch("trixie", &["chromium", "fonts-dejavu-core"]) {
        succeed(Command::new("dpkg-deb").arg("-x").arg(&package.file).arg(&root));
    }
    // Of a machine that is signed, and of one with a long list of kernel options.
    let (built, key) = (quick(), scratch.path("key"));
    let out = scratch.path("build");
    succeed(Command::new("cp").arg("-r").arg(&built.out).arg(&out));
    succeed(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"]).arg(&key));
    succeed(kiln(&built.store).arg("sign").arg(&out).arg("--key").arg(&key));
    let public = std::fs::read_to_string(scratch.path("key.pub")).unwrap();
    std::fs::write(scratch.path("trusted"), format!("alice {public}")).unwrap();
    std::fs::create_dir_all(root.join("tmp")).unwrap();
    std::fs::write(root.join("tmp/harness.html"), HARNESS).unwrap();
    for recipe in [QUICK, "recipes/cxl-expander.kiln"] {
        let mut report = kiln(&built.store);
        report
            .args(["report", recipe, "--force", "-o"])
            .arg(root.join("tmp/report.html"))
            .env("XDG_STATE_HOME", scratch.path("state"));
        if recipe == QUICK {
            report
                .arg("--lock")
                .arg(&built.lock)
                .arg("--result")
                .arg(&out)
                .arg("--trusted-keys")
                .arg(scratch.path("trusted"));
        }
        succeed(&mut report);
        let page = std::fs::read_to_string(root.join("tmp/report.html")).unwrap();
        assert_eq!(page.contains("<th scope=\"row\">alice</th>"), recipe == QUICK, "who signed is listed");
        for (scheme, dark) in [("1", false), ("0", true)] {
            let seen = look(&root, scheme);
            assert_eq!(seen.len(), 2);
            for view in &seen {
                let about = format!("{recipe}: {view}");
                assert!(["1280", "400"].contains(&view["name"].as_str().unwrap()), "{about}");
                assert_eq!(view["name"].as_str().unwrap(), view["width"].to_string(), "{about}");
                assert!(view["overflow"].as_i64().unwrap() <= 0, "the page scrolls sideways: {about}");
                assert!(view["contrast"].as_f64().unwrap() >= 4.5, "text is hard to read: {about}");
                assert_eq!((&view["dark"], &view["landmarks"]), (&dark.into(), &"1111".into()), "{about}");
                assert_eq!(
                    (&view["jumps"], &view["lang"], &view["svg"]),
                    (&0.into(), &"en".into(), &1.into()),
                    "{about}"
                );
                for all in ["scoped", "links", "regions", "ids"] {
                    assert_eq!(view[all], true, "{all}: {about}");
                }
                assert!(view["tables"].as_u64().unwrap() > 5 && view["headings"].as_u64().unwrap() > 5, "{about}");
                assert_eq!((&view["scripts"], &view["active"]), (&0.into(), &0.into()), "{about}");
            }
        }
    }
}
