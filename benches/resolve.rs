//! Resolution beside apt's, with the indexes of both cached, in turn: medians of `ROUNDS` (3 by default), and kiln's peak memory.
//!
//! `cargo bench --bench resolve` needs apt and the host's Debian mirrors (to fill both caches first; nothing that is
//! measured touches the network). kiln's time is that of a whole `kiln lock --update`: signatures of four `InRelease` files
//! checked, cached indexes read and checked, the set solved, the lock written.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a bench measures and prints"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use kiln::base::span::Span;
use kiln::base::{Arch, SourceMap};
use kiln::debian::mirror::Mirrors;
use kiln::lock::resolve::{DirectoryCache, ResolveContext, Update, resolve};
use kiln::lock::{Lock, write};
use kiln::recipe::archive::Archive;
use kiln::recipe::packages::{Base, PackageRequest, PackageSet};
use kiln::recipe::{Recipe, RecipeFile};
use kiln::world::{HttpRequest, RealWorld, Response, World, WorldError};

#[path = "../tests/suite/private_apt.rs"]
mod private_apt;
#[path = "../tests/suite/world_support.rs"]
mod world_support;

use private_apt::{KEYRING, PrivateApt, SUITES};
use world_support::real_files_and_clock;

const SETS: [(&str, &[&str]); 3] = [
    ("server", &["nginx", "postgresql"]),
    ("cxl", &["systemd-sysv", "openssh-server", "network-manager", "cxl", "ndctl", "daxctl", "numactl"]),
    ("desktop", &["gnome-core"]),
];

fn main() {
    // The last line says what is wrong, and nothing of a backtrace.
    std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
    let Some(apt_version) = apt_version().filter(|_| Path::new(KEYRING).exists()) else {
        println!("set-aside resolve no apt-get with the keys of Debian's archives on this machine");
        std::process::exit(77);
    };
    println!("version apt {apt_version}");
    let root = std::env::temp_dir().join("kiln-bench-resolve");
    let apt = PrivateApt::new(&root.join("apt"));
    // Makes apt's binary cache.
    apt.run("install", &["-s", "dash"]).unwrap();
    let world = Remembering { real: RealWorld::default(), pages: Mutex::default() };
    let cache = DirectoryCache::new(root.join("indexes"));
    let rounds = std::env::var("ROUNDS").map_or(3, |rounds| rounds.parse().unwrap());
    for (name, packages) in SETS {
        let recipe = recipe(&world, packages);
        let lock = run(&world, &cache, &recipe);
        println!("{name}: {} packages for {}", lock.sets["bench"].len(), packages.join(" "));
        let [mut ours, mut uris, mut simulated] = [const { Vec::new() }; 3];
        for _ in 0..rounds {
            ours.push(timed(|| drop(write(&run(&world, &cache, &recipe)))));
            uris.push(timed(|| install(&apt, &["--print-uris", "-y"], packages)));
            simulated.push(timed(|| install(&apt, &["-s"], packages)));
        }
        let [ours, uris, simulated] = [ours, uris, simulated].map(median);
        println!("figure resolve.{name}.kiln {ours:.3} s");
        println!("figure resolve.{name}.peer {uris:.3} s");
        println!("figure resolve.{name}.ratio {:.3} peer/kiln", uris / ours);
        println!("figure resolve.{name}.ratio-simulated {:.3} peer/kiln", simulated / ours);
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kibibytes: f64 = peak.split_whitespace().next().unwrap().parse().unwrap();
    println!("figure resolve.memory.kiln {:.1} MiB <=150", kibibytes / 1024.0);
}

fn apt_version() -> Option<String> {
    let output = std::process::Command::new("apt-get").arg("--version").output().ok()?;
    String::from_utf8(output.stdout).ok()?.split_whitespace().nth(1).map(str::to_owned)
}

fn install(apt: &PrivateApt, options: &[&str], packages: &[&str]) {
    let arguments = [options, &["--no-install-recommends"], packages].concat();
    apt.run("install", &arguments).unwrap_or_else(|error| panic!("{error}"));
}

fn timed(what: impl FnOnce()) -> Duration {
    let started = Instant::now();
    what();
    started.elapsed()
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[(times.len() - 1) / 2].as_secs_f64()
}

fn run(world: &dyn World, cache: &DirectoryCache, recipe: &Recipe) -> Lock {
    let mirrors = Mirrors::of(world).unwrap();
    let context = ResolveContext { world, cache, mirrors: &mirrors, listener: &|_| {} };
    resolve(&context, recipe, None, &Update::All).unwrap_or_else(|error| panic!("{error}"))
}

fn recipe(world: &dyn World, packages: &[&str]) -> Recipe {
    let file = SourceMap::default().add(PathBuf::from("bench.kiln"), String::new());
    let span = Span { file, start: 0, end: 0 };
    let archives = SUITES.map(|(suite, priority)| {
        let archive = Archive {
            name: suite.to_owned(),
            suite: suite.to_owned(),
            components: vec!["main".to_owned()],
            repository: private_apt::repository(suite).to_owned(),
            architecture: Arch::Amd64,
            keys: vec![KEYRING.to_owned()],
            check_valid_until: true,
            priority,
            span,
        };
        (suite.to_owned(), archive)
    });
    let request = |name: &&str| PackageRequest { name: (*name).to_owned(), archive: None, version: None, span };
    let set = PackageSet {
        name: "bench".to_owned(),
        architecture: Arch::Amd64,
        archives: SUITES.map(|(suite, _)| suite.to_owned()).to_vec(),
        requests: packages.iter().map(request).collect(),
        local: Vec::new(),
        base: Base::None,
        recommends: false,
        exclude: Vec::new(),
        span,
    };
    let bytes = world.read(Path::new(KEYRING), 1 << 20).unwrap();
    Recipe {
        name: "bench".to_owned(),
        root: PathBuf::from("/"),
        sources: SourceMap::default(),
        files: BTreeMap::from([(KEYRING.to_owned(), RecipeFile::held(bytes))]),
        params: BTreeMap::new(),
        epoch: None,
        archives: BTreeMap::from(archives),
        package_sets: BTreeMap::from([(set.name.clone(), set)]),
        kernels: BTreeMap::new(),
        builds: BTreeMap::new(),
        qemus: BTreeMap::new(),
        images: BTreeMap::new(),
        goals: kiln::recipe::Goals::default(),
        unused: Vec::new(),
        machines: BTreeMap::new(),
        tests: Vec::new(),
    }
}

/// The world, but a page that was fetched once is remembered: what is measured is resolution, not the network.
struct Remembering {
    real: RealWorld,
    pages: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl World for Remembering {
    real_files_and_clock!();

    fn env(&self, name: &str) -> Option<String> {
        self.real.env(name)
    }

    fn get(&self, request: &HttpRequest<'_>) -> Result<Response, WorldError> {
        let url = request.url;
        if !url.ends_with("/InRelease") {
            return self.real.get(request);
        }
        let known = self.pages.lock().unwrap().get(url).cloned();
        let page = match known {
            Some(page) => page,
            None => {
                let mut page = Vec::new();
                std::io::Read::read_to_end(&mut self.real.get(&HttpRequest { from: 0, ..*request })?.body, &mut page)
                    .unwrap();
                self.pages.lock().unwrap().insert(url.to_owned(), page.clone());
                page
            }
        };
        Ok(Response { start: 0, length: Some(page.len() as u64), body: Box::new(std::io::Cursor::new(page)) })
    }
}
