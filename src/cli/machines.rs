//! `kiln run` and `kiln test`: the verbs that start machines.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::host::HostArgs;
use super::shared::{RealizeArgs, RecipeArgs, assignment, size, source};
use crate::base::ByteSize;
use crate::guest;
use crate::machine::LaunchAdditions;
use crate::ops::share::ShareRequest;
use crate::ops::ssh_keys::KeyChoice;

/// How QEMU executes the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AccelArg {
    /// KVM if it works, otherwise software emulation
    Auto,
    /// KVM, or fail
    Kvm,
    /// Software emulation
    Tcg,
}

impl From<AccelArg> for guest::AccelChoice {
    fn from(asked: AccelArg) -> guest::AccelChoice {
        match asked {
            AccelArg::Auto => guest::AccelChoice::Auto,
            AccelArg::Kvm => guest::AccelChoice::Kvm,
            AccelArg::Tcg => guest::AccelChoice::Tcg,
        }
    }
}

/// `kiln run`
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Path to a recipe, which is built first if needed, or to a result directory
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// With a reference to a registry: speak HTTP without TLS to it
    #[arg(long)]
    pub plain_http: bool,
    /// With a reference or a result directory: refuse a build that is not signed by a trusted key, or is older than one that
    /// was accepted before
    #[arg(long)]
    pub signed: bool,
    /// How the build goes
    #[command(flatten)]
    pub realize: RealizeArgs,
    /// If no server has a locked file any more, build with what the archives have now, and write that lock to
    /// result/NAME.lock; the recipe's lock is left unchanged
    #[arg(long, conflicts_with_all = ["offline", "print"])]
    pub relock_gone: bool,
    /// Machine to run, if the recipe has several
    #[arg(long, value_name = "NAME")]
    pub machine: Option<String>,
    /// How to execute the guest's instructions
    #[arg(long, value_enum, default_value_t = AccelArg::Auto)]
    pub accel: AccelArg,
    /// Keep what the machines write (disks, persistent and shared memories, UEFI variables) in this directory, created if
    /// missing, instead of discarding it. A file, or a name that ends in .qcow2, keeps the disk of one machine alone
    #[arg(long, value_name = "DIR", conflicts_with = "print")]
    pub keep: Option<PathBuf>,
    /// Let the owners of these public SSH keys log in as root, for this run only [default: ~/.ssh/id_*.pub]
    #[arg(long, value_name = "FILE", conflicts_with = "print")]
    pub ssh_key: Vec<PathBuf>,
    /// Hand no SSH key to the machines
    #[arg(long, conflicts_with_all = ["ssh_key", "print"])]
    pub no_ssh_key: bool,
    /// Show a directory of this host to every machine of this run, mounted there as /mnt/NAME; with `:ro`, for reading
    /// only. May be given several times: --share code=.. --share data=/srv/data:ro
    #[arg(long, value_name = "NAME=DIR[:ro]", conflicts_with = "print")]
    pub share: Vec<ShareRequest>,
    /// Let the guest see a disk of SIZE, such as 16GiB, instead of one of the image's size; the root grows if the
    /// image says `grow = true`
    #[arg(long, value_name = "SIZE", value_parser = size, conflicts_with = "print")]
    pub disk_size: Option<ByteSize>,
    /// What the machines take of this host
    #[command(flatten)]
    pub host: HostArgs,
    /// Connect the machines to this bridge of the host instead of the user network. Needs QEMU's qemu-bridge-helper, setuid
    /// root or run by root, and `allow NAME` in /etc/qemu/bridge.conf. No port is forwarded
    #[arg(long, value_name = "NAME", value_parser = bridge, conflicts_with = "print")]
    pub bridge: Option<String>,
    /// Add kernel parameters to the end of the kernel command line of the machine on the terminal, for this run only; the
    /// lock does not record them. Takes one parameter, or several separated by spaces, and may be given several times:
    /// --append "nokaslr loglevel=8"
    #[arg(long, value_name = "PARAMETERS")]
    pub append: Vec<String>,
    /// Let gdb debug the kernel of the machine on the terminal over this port of 127.0.0.1 [default: 1234], and print the
    /// command to type. Adds `nokaslr` to the kernel command line
    #[arg(long, value_name = "PORT", num_args = 0..=1, require_equals = true, default_missing_value = "1234",
        value_parser = clap::value_parser!(u16).range(1..))]
    pub gdb: Option<u16>,
    /// With --gdb: do not start the guest before gdb says `continue`
    #[arg(long, requires = "gdb")]
    pub wait: bool,
    /// Print the QEMU command line instead of running it; nothing is built
    #[arg(long, value_enum, value_name = "FORM", num_args = 0..=1, default_missing_value = "sh",
        conflicts_with_all = ["jobs", "no_cache", "incremental", "limits", "allow_leaks", "variation", "memory_file",
        "hugepages", "pin"])]
    pub print: Option<PrintForm>,
    /// Options of QEMU for this run only, after all others: -- -device usb-ehci. They apply to the machine on the
    /// terminal. QEMU sees no files of the host and no network of the host
    #[arg(last = true, value_name = "QEMU-OPTIONS")]
    pub arguments: Vec<String>,
}

impl RunArgs {
    /// What the machine on the terminal has besides.
    pub fn additions(&self) -> LaunchAdditions {
        LaunchAdditions { append: self.append.clone(), arguments: self.arguments.clone(), ..LaunchAdditions::default() }
    }
}

fn bridge(text: &str) -> Result<String, String> {
    let is_name = guest::network::bridge::is_interface(text);
    is_name.then(|| text.to_owned()).ok_or_else(|| "expected the name of a bridge such as br0".to_owned())
}

impl RunArgs {
    /// Whose SSH keys the machines are handed.
    pub fn keys(&self) -> KeyChoice {
        match (self.no_ssh_key, self.ssh_key.is_empty()) {
            (true, _) => KeyChoice::None,
            (false, true) => KeyChoice::Own,
            (false, false) => KeyChoice::Files(self.ssh_key.clone()),
        }
    }
}

/// How `--print` spells a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PrintForm {
    /// One argument per line
    Argv,
    /// A shell command
    Sh,
    /// A JSON array
    Json,
}

/// `kiln test`
#[derive(Debug, Args)]
pub struct TestArgs {
    /// Recipes to test. One is built after the other; machines of up to --jobs recipes [default: half of the CPUs] run at
    /// the same time, as long as their memory fits into four fifths of what is available
    #[arg(required = true)]
    pub recipes: Vec<PathBuf>,
    /// Override a parameter of the recipes
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = assignment)]
    pub set: Vec<(String, String)>,
    /// Path to the lock [default: lockfiles/NAME.lock]
    #[arg(long, value_name = "FILE")]
    pub lock: Option<PathBuf>,
    /// Compile this kernel of the recipes from a directory of your own, or give it to this build as its source
    #[arg(long = "source", value_name = "NAME=DIR", value_parser = source)]
    pub sources: Vec<(String, PathBuf)>,
    /// How the build goes
    #[command(flatten)]
    pub realize: RealizeArgs,
    /// If no server has a locked file any more, build with what the archives have now, and write that lock to
    /// result/NAME.lock; the recipe's lock is left unchanged
    #[arg(long, conflicts_with = "offline")]
    pub relock_gone: bool,
    /// How to execute the guest's instructions
    #[arg(long, value_enum, default_value_t = AccelArg::Auto)]
    pub accel: AccelArg,
    /// Let the guest see a disk of SIZE, such as 16GiB, instead of one of the image's size; the root grows if the
    /// image says `grow = true`
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub disk_size: Option<ByteSize>,
    /// Show a directory of this host to every machine, mounted there as /mnt/NAME; with `:ro`, for reading only. May be
    /// given several times
    #[arg(long, value_name = "NAME=DIR[:ro]")]
    pub share: Vec<ShareRequest>,
    /// What the machines take of this host
    #[command(flatten)]
    pub host: HostArgs,
    /// Add kernel parameters to the end of the kernel command line of every machine, for this run only; the lock does not
    /// record them. Takes one parameter, or several separated by spaces, and may be given several times
    #[arg(long, value_name = "PARAMETERS")]
    pub append: Vec<String>,
    /// Also write the results as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Print the results as JSON
    #[arg(long)]
    pub json: bool,
    /// Run only tests whose title contains TEXT
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,
    /// Also run tests that are marked slow
    #[arg(long)]
    pub slow: bool,
    /// When a step fails, keep the machines running and open a root shell in the one of the step, on this terminal; print
    /// how to reach the others with `kiln ssh` and `kiln qmp`. `exit` or Ctrl-A X ends the machines and the command with
    /// the exit code of a failed test; later tests are not run
    #[arg(long, conflicts_with = "json")]
    pub shell_on_failure: bool,
    /// Directory for console logs, with a directory per recipe if there are several [default: result/NAME/log]
    #[arg(long, value_name = "DIR")]
    pub logs: Option<PathBuf>,
    /// Options of QEMU for this run only, after all others, for every machine: -- -device usb-ehci. QEMU sees no files of
    /// the host and no network of the host
    #[arg(last = true, value_name = "QEMU-OPTIONS")]
    pub arguments: Vec<String>,
}

impl TestArgs {
    /// What every machine has besides.
    pub fn additions(&self) -> LaunchAdditions {
        LaunchAdditions { append: self.append.clone(), arguments: self.arguments.clone(), ..LaunchAdditions::default() }
    }
}
