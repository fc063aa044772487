//! Machines that run: their owner gets in over SSH, files go in and out, QMP answers, options of one run are in that run
//! alone, and what lasts is there at the next start.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::live::{SELDOM, Scratch, has_its_turn, judge, kiln, live, quick, succeed};

/// One persistent expander, on a port that no other test uses.
const RECIPE: &str = r#"
import "lib/cxl-lab.kiln"

machine lasting {
  kernel = stock
  image  = cxl-lab
  qemu   = qemu-11
  cpu    = lab-cpu
  append = [no-timer-check, "kiln.words=\"two words\""]
  disk data { size = 16MiB }
  cxl {
    bridge host0 { port p0 { expander pm0 { persistent = 256MiB lsa = 128KiB } } }
    window w0 { targets = [host0] size = 256MiB }
  }
  forward ssh = 22722
}

test "a file comes out" on lasting {
  run "printf 'out of the guest' >/run/result"
  fetch "/run/result"
}
"#;

/// A region does not outlive a boot; what the label area says of the namespace on it does.
const REGION: &str =
    "until cxl list -M | grep -q mem0; do sleep 1; done; cxl create-region -m -t pmem -d decoder0.0 -w 1 mem0";

/// A parameter of the kernel and a device that are not the recipe's.
const OF_ONE_RUN: [&str; 5] = ["--append", "kiln.trial=1", "--", "-device", "virtio-rng-pci,bus=pcie.0,addr=0xe"];

/// From the start to a login under software emulation, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(900);

/// A home directory with a key pair.
fn home(scratch: &Scratch) -> PathBuf {
    let home = scratch.path("home");
    std::fs::create_dir_all(home.join(".ssh")).unwrap();
    let mut made = Command::new("ssh-keygen");
    succeed(made.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(home.join(".ssh/id_ed25519")));
    home
}

/// What a command in the guest writes for whoever knows the port and has the private key.
fn plain_ssh(home: &Path, command: &str) -> String {
    let mut ssh = Command::new("ssh");
    ssh.args([
        "-F",
        "none",
        "-p",
        "22722",
        "-o",
        "BatchMode=yes",
        "-o",
        "IdentitiesOnly=yes",
        "-o",
        "IdentityAgent=none",
    ]);
    ssh.args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-i"]);
    let output = succeed(ssh.arg(home.join(".ssh/id_ed25519")).arg("root@127.0.0.1").arg(command));
    String::from_utf8(output.stdout).unwrap()
}

/// A `kiln run` in the background.
struct Running<'a> {
    child: Child,
    recipe: &'a Path,
    store: &'a Path,
}

impl<'a> Running<'a> {
    /// Starts it, and waits until its SSH server answers.
    fn start(recipe: &'a Path, store: &'a Path, home: &Path, more: &[&str]) -> Running<'a> {
        let mut run = kiln(store);
        run.env("HOME", home).arg("run").arg(recipe).args(more).stdin(Stdio::piped()).stdout(Stdio::null());
        let running = Running { child: run.stderr(Stdio::piped()).spawn().unwrap(), recipe, store };
        let began = Instant::now();
        while !kiln(store).arg("ssh").arg(recipe).arg("true").output().unwrap().status.success() {
            assert!(began.elapsed() < PATIENCE, "nobody gets in");
            std::thread::sleep(Duration::from_secs(1));
        }
        running
    }

    /// What QEMU answers to a command.
    fn qmp(&self, command: &str) -> String {
        let output = succeed(kiln(self.store).arg("qmp").arg(self.recipe).arg(command));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a command in the guest writes.
    fn ssh(&self, command: &str) -> String {
        let output = succeed(kiln(self.store).arg("ssh").arg(self.recipe).arg(command));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Powers the guest off, and gives what kiln said.
    fn end(mut self) -> String {
        // The connection may end before the answer comes.
        let _ = kiln(self.store).arg("ssh").arg(self.recipe).arg("systemctl poweroff").output().unwrap();
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(self.child.wait().unwrap().success(), "{said}");
        said
    }
}

#[test]
fn the_owner_gets_in_and_what_lasts_is_there_at_the_next_start() {
    let what = "running machines: kiln ssh, kiln cp, --keep DIR, fetch";
    if !live(what) || !has_its_turn("running", &SELDOM) || !judge("ssh-keygen") {
        return;
    }
    let (scratch, store) = (Scratch::new("running"), &quick().store);
    let recipe = scratch.recipe("lasting.kiln", RECIPE);
    succeed(kiln(store).arg("lock").arg(&recipe));
    let (keep, logs) = (scratch.path("kept"), scratch.path("logs"));
    succeed(kiln(store).arg("test").arg(&recipe).arg("--logs").arg(&logs));
    assert_eq!(std::fs::read(logs.join("lasting/run/result")).unwrap(), b"out of the guest");

    let home = home(&scratch);
    let kept = ["--keep", keep.to_str().unwrap()];
    let memory = scratch.path("memory");
    std::fs::create_dir(&memory).unwrap();
    let of_host = ["--memory-file", memory.to_str().unwrap(), "--pin", "0"];
    let first = Running::start(&recipe, store, &home, &[&kept[..], &of_host, &OF_ONE_RUN].concat());
    // Without kiln, with one's own key, which neither the image nor the lock has.
    let words = plain_ssh(&home, "cat /proc/cmdline");
    assert!(words.contains(" kiln.trial=1") && words.contains(" kiln.words=\"two words\""), "{words}");
    let backends = first.qmp("query-memdev");
    assert!(backends.contains("\"kiln.memory\"") && backends.contains("\"prealloc\": true"), "{backends}");
    assert_eq!(std::fs::read_dir(&memory).unwrap().count(), 1, "a private directory of the run");
    first.ssh("test -e /sys/bus/pci/devices/0000:00:0e.0");
    assert!(first.qmp("query-status").contains("\"running\""));
    let refused = kiln(store).arg("qmp").arg(&recipe).arg("no-such-command").output().unwrap();
    assert_eq!(refused.status.code(), Some(4), "{}", String::from_utf8_lossy(&refused.stderr));
    first.ssh(REGION);
    first.ssh("ndctl create-namespace -m devdax -r region0 --map=mem --name=kept");
    first.ssh("yes lasting | head -c 1M >/root/pattern && daxio -i /root/pattern -o /dev/dax0.0 -l 1M");
    first.ssh("printf data | dd of=/dev/disk/by-id/virtio-data conv=fsync status=none");
    let file = scratch.path("in");
    std::fs::write(&file, b"into the guest").unwrap();
    succeed(kiln(store).arg("cp").arg(&file).arg("lasting:/root/in"));
    assert_eq!(kiln(store).arg("ssh").arg(&recipe).arg("exit 7").output().unwrap().status.code(), Some(7));
    let busy = kiln(store).arg("run").arg(&recipe).arg("--keep").arg(&keep).output().unwrap();
    assert!(!busy.status.success(), "two runs on one directory");
    let said = first.end();
    assert!(said.contains("log in to lasting with `kiln ssh") && said.contains("are not kept"), "{said}");
    assert!(said.contains("memory is in files below") && said.contains("QEMU runs on CPUs 0 of this host"), "{said}");
    assert_eq!(std::fs::read_dir(&memory).unwrap().count(), 0, "memory is gone with the run");

    let second = Running::start(&recipe, store, &home, &kept);
    second.ssh("! test -e /sys/bus/pci/devices/0000:00:0e.0");
    assert_eq!(second.ssh("cat /root/in"), "into the guest");
    assert_eq!(second.ssh("head -c 4 /dev/disk/by-id/virtio-data"), "data");
    second.ssh(REGION);
    let names = "until test -e /dev/dax0.0; do sleep 1; done; ndctl list -N";
    assert!(second.ssh(names).contains("\"kept\""));
    second.ssh("daxio -i /dev/dax0.0 -o /root/read -l 1M && cmp /root/pattern /root/read");
    let out = scratch.path("out");
    succeed(kiln(store).arg("cp").arg("lasting:/root/in").arg(&out));
    assert_eq!(std::fs::read(&out).unwrap(), b"into the guest");
    second.end();
    let over = succeed(Command::new("ls").arg(&keep));
    assert_eq!(String::from_utf8_lossy(&over.stdout), "keep.json\nlasting\n");
}

/// A bridge in a network namespace of its own, a host on it, and `kiln run` beside them. The helper's list of bridges is
/// laid over /etc for these programs alone.
const ON_A_BRIDGE: &str = r#"
set -eu
kiln=$1 recipe=$2 scratch=$3
mkdir -p "$scratch/etc" && mount -t tmpfs none "$scratch/etc" && mkdir "$scratch/etc/upper" "$scratch/etc/work"
mount -t overlay none -o "lowerdir=/etc,upperdir=$scratch/etc/upper,workdir=$scratch/etc/work" /etc
mkdir -p /etc/qemu && echo "allow kiln0" >/etc/qemu/bridge.conf
ip link set lo up && ip link add kiln0 type bridge && ip link set kiln0 up
"$kiln" run "$recipe" --bridge kiln0 </dev/null >"$scratch/console" 2>"$scratch/said" &
run=$!
trap 'kill $run; wait $run || true' EXIT
for _ in $(seq 1 300); do
    kill -0 $run
    mac=$(sed -n 's/.* is on bridge kiln0 as \([0-9a-f:]*\): .*/\1/p' "$scratch/said")
    # The address that a card gives itself (RFC 4291, appendix A).
    address=$(echo "$mac" | awk -F: 'NF == 6 { print "fe80::5054:" $3 "ff:fe" $4 ":" $5 $6 }')
    if [ -n "$address" ] && ssh-keyscan -T 5 "$address%kiln0" 2>/dev/null | grep ssh-ed25519; then exit 0; fi
    sleep 2
done
exit 1
"#;

#[test]
fn a_machine_on_a_bridge_of_the_host_is_reached_there() {
    let what = "a machine on a bridge";
    if !live(what) || !has_its_turn("bridge", &SELDOM) || !judge("ssh-keyscan") || !judge("ip") {
        return;
    }
    // Debian's `qemu-system-common` has it; the judges of the gate have not.
    if !Path::new("/usr/lib/qemu/qemu-bridge-helper").exists() {
        println!("skipped: this host has no qemu-bridge-helper");
        return;
    }
    let (scratch, store) = (Scratch::new("bridge"), &quick().store);
    let recipe = scratch.recipe("lasting.kiln", RECIPE);
    succeed(kiln(store).arg("lock").arg(&recipe));
    succeed(kiln(store).arg("build").arg(&recipe).arg("--out").arg(scratch.path("out")));
    let mut program = Command::new("unshare");
    program.args(["-n", "-m", "sh", "-c", ON_A_BRIDGE, "sh", env!("CARGO_BIN_EXE_kiln")]).arg(&recipe);
    program.arg(scratch.path("")).env("KILN_STORE", store);
    let output = program.output().unwrap();
    let said = std::fs::read_to_string(scratch.path("said")).unwrap_or_default();
    assert!(output.status.success(), "{}\n{said}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("no port is forwarded") && !said.contains("forwarding 127.0.0.1"), "{said}");
}
