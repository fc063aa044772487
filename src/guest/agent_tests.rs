//! The shell in the guest, run by this machine's `sh`, and the agent against streams that misbehave.

use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::*;

fn deadline(seconds: u64) -> Deadline {
    Deadline::after(Duration::from_secs(seconds))
}

/// The loader and the script, run by this machine's `sh` on a socket instead of a serial port.
fn shell() -> (Agent<UnixStream>, std::process::Child, String) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let home = format!("{}/kiln-agent-test-{}", std::env::temp_dir().display(), std::process::id());
    // A login shell would read what the user of this host has written for themselves.
    let script =
        SCRIPT.replace("/run/kiln-agent", &home).replace("mount -t", "true").replace("exec $s -l -i", "exec sh -s");
    let loader = LOADER.replace("exec 3<>/dev/@PORT@;stty raw -echo <&3", "exec 3<&0");
    let child = Command::new("sh")
        .args(["-c", &loader])
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut agent = Agent::new(ours);
    while agent.line(Awaited::Greeting, deadline(10), &mut || Ok(())).unwrap() != "kiln-hello" {}
    for chunk in frame::chunks(script.as_bytes()) {
        agent.send(&chunk[1..]).unwrap();
        agent.expect("+", deadline(10), &mut || Ok(())).unwrap();
    }
    agent.send(".").unwrap();
    agent.expect("kiln-ready", deadline(10), &mut || Ok(())).unwrap();
    (agent, child, home)
}

#[test]
fn the_script_runs_commands_bounds_them_and_survives_them() {
    let (mut agent, mut child, home) = shell();
    let mut call = |command: &str, seconds| agent.call(command, seconds, &mut || Ok(())).unwrap();
    assert_eq!(
        call("printf 'a\\nb'; echo \"ü 'x' $((6*7))\" >&2; exit 3", 10),
        Answer { code: 3, output: "a\nbü 'x' 42\n".into(), total: 13 }
    );
    assert_eq!(call("cat; exit 0", 10).output, b"");
    assert_eq!(call("sleep 20", 1).code, 124);
    let big = call("head -c 400000 /dev/zero", 20);
    assert!(big.cut() && big.output.len() == frame::OUTPUT_LIMIT && big.total == 400_000);
    let long = format!("echo {}", "x".repeat(9000));
    assert_eq!(call(&long, 10).output.len(), 9001);
    let screen = Screen { rows: 24, columns: 80, terminal: "xterm; reboot".into() };
    let end = agent.open_shell(&screen, &mut || Ok(())).unwrap();
    agent.send("echo $TERM; exit 3").unwrap();
    let said: Vec<String> = std::iter::from_fn(|| {
        let line = agent.line(Awaited::Response, deadline(20), &mut || Ok(())).unwrap();
        (line != end).then_some(line)
    })
    .collect();
    assert_eq!(said, ["vt100", ""]);
    let mut call = |command: &str, seconds| agent.call(command, seconds, &mut || Ok(())).unwrap();
    assert_eq!(call("echo after", 10).text(), "after\n", "commands are carried out after a shell, too");
    child.kill().unwrap();
    child.wait().unwrap();
    let error = agent.call("true", 5, &mut || Ok(())).unwrap_err();
    assert!(matches!(error, AgentError::Closed), "{error}");
    std::fs::remove_dir_all(home).unwrap();
}

#[test]
fn silence_restarts_and_the_watcher_end_the_wait() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    let mut agent = Agent::new(ours);
    let silent = agent.greet(deadline(0), &mut || Ok(())).unwrap_err();
    assert!(silent.to_string().contains("did not respond after boot"), "{silent}");
    let mut polls = 0;
    let watch = agent.greet(deadline(60), &mut || {
        polls += 1;
        if polls > 3 { Err(GuestError::Interrupted) } else { Ok(()) }
    });
    assert!(matches!(watch, Err(AgentError::Watch(GuestError::Interrupted))));
    theirs.write_all(b"noise\r\nkiln-hello\r\n").unwrap();
    let restarted = agent.call("true", 5, &mut || Ok(())).unwrap_err();
    assert!(matches!(restarted, AgentError::Restarted), "{restarted}");
}

/// What a serial port of QEMU looks like: a few bytes for every read.
struct Dripping(std::io::Cursor<Vec<u8>>);

impl Read for Dripping {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(&mut buffer[..1])
    }
}

impl Write for Dripping {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn looking_after_the_machine_does_not_hold_up_a_long_answer() {
    let output = vec![b'x'; 30_000];
    let mut text = format!("-\n+\n=1 0 {0} {0} {1}\n", output.len(), frame::sum(&output));
    let lines = frame::chunks(&output);
    lines.iter().for_each(|line| text += &format!("{}\n", &line[1..]));
    let size = text.len();
    let mut agent = Agent::new(Dripping(std::io::Cursor::new((text + ".\n").into_bytes())));
    let mut looks = 0;
    let answer = agent.call("true", 60, &mut || {
        looks += 1;
        Ok(())
    });
    assert_eq!(answer.unwrap().output, output);
    assert!(looks > 0 && looks < size / 10, "{looks} looks for {size} bytes");
}

#[test]
fn the_words_survive_their_two_levels_of_quotes() {
    assert!(!LOADER.contains(['\'', '"', '%']) && !LOADER.contains("${") && !LOADER.contains("$$"));
    assert!(kernel_words("ttyAMA1").len() < 500, "the kernel keeps 2047 characters for everything");
    let words = grub_words("ttyS1");
    assert!(words.contains(UNPACK) && !words.contains(['\'', '\\']) && words.matches('"').count() == 2, "{words}");
    assert!(words.len() <= crate::machine::rules::TEST_WORDS, "{}", words.len());
}

#[test]
fn a_packed_program_is_unpacked_by_this_machines_sh() {
    let program = "set -f;IFS=;s=;for l in a b;do [ . = $l ]&&break;s=$s$l;done;echo $s <&0";
    let packed = crate::base::base64::encode(program.as_bytes());
    let output = Command::new("sh").args(["-c", UNPACK, &packed]).output().unwrap();
    assert_eq!((output.stdout, output.stderr), (b"ab\n".to_vec(), Vec::new()));
}
