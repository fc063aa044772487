//! Builds of a recipe's own, through the front door: what their scripts leave reaches the image, runs once, comes out the
//! same again, and fails in words that point at the recipe.

use super::attack::ground::{Ended, Ground, Image, run};
use super::skip::skip;
use super::tree;

/// A ground whose recipes can be built; `None`, said aloud, where this machine cannot build any.
fn ground(name: &str) -> Option<Ground> {
    let ground = Ground::new(&Ground::place(&format!("builds-{name}")), Vec::new());
    match ground.why_not() {
        None => Some(ground),
        Some(why) => {
            skip(why);
            None
        }
    }
}

/// An image with one file out of the build `last`, and the blocks of the builds.
pub(super) fn image<'a>(body: &'a str, builds: &'a str) -> Image<'a> {
    Image { body, after: builds, ..Image::default() }
}

pub(super) const BODY: &str = "file \"/usr/bin/greet\" { source = output \"greet\" from last mode = 0o755 }\n\
    file \"/etc/notes\" { source = output \"notes\" from last }";

/// Two builds: one leaves a directory with a link and a program in it, the other reads it.
pub(super) const BUILDS: &str = r#"
build last {
  tools  = host-tools
  source "parts" = output "parts" from first
  source "note"  = "Köln \"quoted\" $HOME\n"
  source "kept"  = file "kept.bin"
  env "WHO"      = "the recipe's own"
  script = """
    cp /kiln/in/parts/bin/greet greet
    cat /kiln/in/note /kiln/in/kept >notes
    echo "$WHO $SOURCE_DATE_EPOCH $TZ $(pwd) $(readlink /kiln/in/parts/bin/link)" >>notes
    /kiln/in/parts/bin/greet >>notes
    if echo x 2>/dev/null >/kiln/in/note; then echo "inputs can be changed" >>notes; fi
  """
  outputs = ["greet", "notes"]
}
build first {
  tools  = host-tools
  script = file "first.sh"
  outputs = ["parts"]
}
build unused {
  tools   = host-tools
  source "far" = url "http://127.0.0.1:9/nobody/asks"
  script  = "exit 1"
  outputs = ["x"]
}
"#;

const FIRST: &str = "test \"$KILN_JOBS\" -ge 1\nmkdir -p parts/bin\nprintf '#!/bin/sh\\necho hello\\n' >parts/bin/greet\nchmod 755 parts/bin/greet\n\
    ln -s greet parts/bin/link\n";

pub(super) fn prepared(name: &str) -> Option<Ground> {
    let ground = ground(name)?;
    std::fs::write(ground.path("first.sh"), FIRST).unwrap();
    std::fs::write(ground.path("kept.bin"), b"kept\n").unwrap();
    Some(ground)
}

fn notes(ground: &Ground, name: &str) -> String {
    let lock = kiln::lock::read(&std::fs::read_to_string(ground.path(&format!("{name}.lock"))).unwrap()).unwrap();
    let digest = lock.outputs[&format!("{name}/root.tar")].file.sha256.hex();
    let files = tree::read(&ground.store().join("cas").join(digest));
    assert_eq!(files["usr/bin/greet"].mode, 0o755);
    assert_eq!(files["usr/bin/greet"].content, b"#!/bin/sh\necho hello\n");
    String::from_utf8(files["etc/notes"].content.clone()).unwrap()
}

#[test]
fn what_builds_leave_is_in_the_image_and_they_run_once() {
    let Some(ground) = prepared("reach") else { return };
    let first = ground.build("lab", &image(BODY, BUILDS));
    assert_eq!(first.code, Some(0), "{}", first.text());
    let said = notes(&ground, "lab");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[..2], ["Köln \"quoted\" $HOME", "kept"], "{said}");
    assert!(lines[2].starts_with("the recipe's own ") && lines[2].ends_with(" UTC /kiln/build greet"), "{said}");
    assert_eq!(lines[3..], ["hello"], "{said}");
    let lock = std::fs::read_to_string(ground.path("lab.lock")).unwrap();
    assert!(!lock.contains("nobody/asks"), "a build that nobody needs is locked");
    assert!(!first.text().contains("build unused:"), "{}", first.text());
    assert!(first.text().contains("warning: build `unused` is never used"), "{}", first.text());

    let again = run(ground.kiln().args(["build", "--allow-leaks", "lab.kiln"]));
    assert!(!again.text().contains("running"), "{}", again.text());
    let verified = run(ground.kiln().args(["verify", "--rebuild", "lab.kiln"]));
    assert_eq!(verified.code, Some(0), "{}", verified.text());
}

#[test]
fn a_changed_source_runs_its_build_and_what_reads_it() {
    let Some(ground) = prepared("change") else { return };
    let first = ground.build("lab", &image(BODY, BUILDS));
    assert_eq!(first.code, Some(0), "{}", first.text());
    // Comments change the script, and not what it leaves: what reads it is not made again.
    std::fs::write(ground.path("first.sh"), format!("# Parts.\n{FIRST}")).unwrap();
    let ran = |ended: &Ended| {
        assert_eq!(ended.code, Some(0), "{}", ended.text());
        let text = ended.text();
        ["build first", "build last", "root lab"].map(|step| text.contains(&format!("{step}: running")))
    };
    assert_eq!(ran(&ground.build("lab", &image(BODY, BUILDS))), [true, false, false]);
    std::fs::write(ground.path("kept.bin"), b"changed\n").unwrap();
    assert_eq!(ran(&ground.build("lab", &image(BODY, BUILDS))), [false, true, true]);
    assert!(notes(&ground, "lab").contains("\nchanged\n"));
}

#[test]
fn directories_go_both_ways() {
    let Some(ground) = ground("trees") else { return };
    std::fs::create_dir_all(ground.path("src/deep")).unwrap();
    std::fs::write(ground.path("src/deep/tool"), "#!/bin/sh\n").unwrap();
    std::os::unix::fs::symlink("deep/tool", ground.path("src/link")).unwrap();
    let build = "build last {\n  tools = host-tools\n  source \"src\" = directory \"src\"\n  script = \"\"\"\n    \
        mkdir root\n    tar -x -C root -f /kiln/in/src\n    chmod 700 root/deep/tool\n    echo plain >root/plain\n  \
        \"\"\"\n  outputs = [\"root\"]\n}";
    let body = "tree \"/opt/app\" { source = output \"root\" from last }";
    let ended = ground.build("lab", &image(body, build));
    assert_eq!(ended.code, Some(0), "{}", ended.text());
    let lock = kiln::lock::read(&std::fs::read_to_string(ground.path("lab.lock")).unwrap()).unwrap();
    let files = tree::read(&ground.store().join("cas").join(lock.outputs["lab/root.tar"].file.sha256.hex()));
    assert_eq!((files["opt/app/deep/tool"].mode, files["opt/app/plain"].mode), (0o755, 0o644));
    assert_eq!(files["opt/app/deep/tool"].content, b"#!/bin/sh\n");
    assert_eq!(files["opt/app/link"].link, "deep/tool");

    // A changed file of the directory is another input.
    std::fs::write(ground.path("src/deep/tool"), "#!/bin/sh\nexit 1\n").unwrap();
    let stale = run(ground.kiln().args(["build", "--allow-leaks", "lab.kiln"]));
    assert!(stale.code == Some(1) && stale.text().contains("kiln lock"), "{}", stale.text());
    let again = ground.build("lab", &image(body, build));
    assert!(again.code == Some(0) && again.text().contains("build last: running"), "{}", again.text());

    let hidden = build.replace("root/deep/tool", "root/deep/tool; mkdir root/run; echo x >root/run/x");
    let ended = ground.build("hidden", &image("tree \"/\" { source = output \"root\" from last }", &hidden));
    assert!(ended.code == Some(1) && ended.text().contains("would be hidden"), "{}", ended.text());
    let file = "build last { tools = host-tools script = \"echo x >x\" outputs = [\"x\"] }";
    let ended = ground.build("file", &image("tree \"/opt\" { source = output \"x\" from last }", file));
    assert!(ended.code == Some(1) && ended.text().contains("a tree needs a directory"), "{}", ended.text());
}

/// What `kiln build` says of one build with these lines; it must end with a mistake of the recipe.
fn mistaken(ground: &Ground, name: &str, script: &str, outputs: &str) -> String {
    let build = format!(
        "build last {{\n  tools = host-tools\n  script = \"\"\"\n    {script}\n  \"\"\"\n  outputs = {outputs}\n}}"
    );
    let ended = ground.build(name, &image("file \"/x\" { source = output \"x\" from last }", &build));
    assert!(ended.broken().is_none(), "{}", ended.text());
    assert_eq!(ended.code, Some(1), "{}", ended.text());
    assert!(ended.text().contains("^") && ended.text().contains(&format!("{name}.kiln:")), "{}", ended.text());
    ended.text()
}

#[test]
fn a_build_that_fails_points_at_its_script() {
    let Some(ground) = ground("fails") else { return };
    let said = mistaken(&ground, "exits", "echo so far; false; echo x >x", "[\"x\"]");
    assert!(said.contains("so far") && said.contains("build last") && said.contains("exit status: 1"), "{said}");
    assert!(said.contains("`kiln shell --failed RECIPE last` opens a shell in what the script left"), "{said}");
    for (name, script, word) in [
        ("nothing", "true", "it produced no x"),
        ("link", "ln -s /etc/passwd x", "not a file or a directory"),
        ("pipe", "mkfifo x", "not a file or a directory"),
        ("network", "head -c 1 </dev/tcp/127.0.0.1/9 >x", "exit status"),
        ("inputs", "echo x >/kiln/in/x; echo x >x", "exit status"),
    ] {
        let said = mistaken(&ground, name, script, "[\"x\"]");
        assert!(said.contains(word), "{name}: {said}");
    }
    // A directory is no content of a file.
    let said = mistaken(&ground, "directory", "mkdir x", "[\"x\"]");
    assert!(said.contains("the build left a directory"), "{said}");
}

/// What a shell in the sandbox of a step answers to these lines.
fn shell(ground: &Ground, words: &[&str], lines: &str) -> Ended {
    let input = ground.path("lines");
    std::fs::write(&input, lines).unwrap();
    let mut kiln = std::process::Command::new("sh");
    kiln.args(["-c", "exec \"$@\" <lines", "sh"]).arg(ground.kiln().get_program());
    let like = ground.kiln();
    kiln.env_clear().current_dir(&ground.directory);
    kiln.envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
    run(kiln.arg("shell").args(words))
}

#[test]
fn a_shell_sees_what_the_script_sees_and_leaves_nothing() {
    let Some(ground) = prepared("shell") else { return };
    assert_eq!(ground.lock("lab", &image(BODY, BUILDS)).code, Some(0));
    let lines = "echo \"$WHO in $PWD\"; ls /kiln/in; touch greet notes; ls; exit 7\n";
    let fresh = shell(&ground, &["lab.kiln", "last"], lines);
    assert_eq!(fresh.code, Some(0), "{}", fresh.text());
    let said = String::from_utf8(fresh.stdout).unwrap();
    // The miniature's bash lacks the locale, and says so.
    let said =
        said.lines().filter(|line| !line.contains("warning")).map(|line| format!("{line}\n")).collect::<String>();
    assert_eq!(said, "the recipe's own in /kiln/build\nkept\nnote\nparts\ngreet\nnotes\n");

    let after = shell(&ground, &["--failed", "lab.kiln", "build last"], "cat greet\n");
    assert_eq!(after.code, Some(0), "{}", after.text());
    assert!(after.text().contains("#!/bin/sh\necho hello\n"), "{}", after.text());
    assert!(after.text().contains("ended with exit status 0"), "{}", after.text());

    // Neither is a result: the build runs.
    let built = run(ground.kiln().args(["build", "--allow-leaks", "lab.kiln"]));
    assert!(built.text().contains("build last: running"), "{}", built.text());
    assert_eq!(notes(&ground, "lab").lines().last(), Some("hello"));

    let unknown = shell(&ground, &["lab.kiln", "lst"], "");
    assert_eq!(unknown.code, Some(2), "{}", unknown.text());
    assert!(unknown.text().contains("`build last`"), "{}", unknown.text());
    let broken = "build last {\n  tools = host-tools\n  script = \"echo half >half; false\"\n  outputs = [\"x\"]\n}";
    let body = "file \"/x\" { source = output \"x\" from last }";
    assert_eq!(ground.lock("broken", &image(body, broken)).code, Some(0));
    let failed = shell(&ground, &["--failed", "broken.kiln", "last"], "cat half\n");
    assert!(failed.text().contains("half\n") && failed.text().contains("exit status 1"), "{}", failed.text());
}
