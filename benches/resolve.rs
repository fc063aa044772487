//! Resolution beside apt's, with the indexes of both cached: medians of three, and kiln's peak memory.
//!
//! `cargo bench --bench resolve` needs apt and the host's Debian mirrors (to fill both caches first; nothing that is
//! measured touches the network). kiln's time is that of a whole `kiln lock --update`: signatures of four `InRelease` files
//! checked, cached indexes read and checked, the set solved, the lock written.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::print_stdout, reason = "a bench measures and prints")]

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

const SETS: [&[&str]; 3] = [
    &["nginx", "postgresql"],
    &["systemd-sysv", "openssh-server", "network-manager", "cxl", "ndctl", "daxctl", "numactl"],
    &["gnome-core"],
];

fn main() {
    let root = std::env::temp_dir().join("kiln-bench-resolve");
    let apt = PrivateApt::new(&root.join("apt"));
    // Makes apt's binary cache.
    apt.run("install", &["-s", "dash"]).unwrap();
    let world = Remembering { real: RealWorld::default(), pages: Mutex::default() };
    let cache = DirectoryCache::new(root.join("indexes"));
    for packages in SETS {
        let recipe = recipe(&world, packages);
        let lock = run(&world, &cache, &recipe);
        let ours = median(|| drop(write(&run(&world, &cache, &recipe))));
        let uris = median(|| install(&apt, &["--print-uris", "-y"], packages));
        let simulated = median(|| install(&apt, &["-s"], packages));
        println!(
            "{}: {} packages; kiln {ours:.2?}; apt --print-uris {uris:.2?} ({:.1}x); apt -s {simulated:.2?} ({:.1}x)",
            packages.join(" "),
            lock.sets["bench"].len(),
            uris.as_secs_f64() / ours.as_secs_f64(),
            simulated.as_secs_f64() / ours.as_secs_f64()
        );
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    println!("peak memory: {}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap());
}

fn install(apt: &PrivateApt, options: &[&str], packages: &[&str]) {
    let arguments = [options, &["--no-install-recommends"], packages].concat();
    apt.run("install", &arguments).unwrap_or_else(|error| panic!("{error}"));
}

fn median(mut what: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..3)
        .map(|_| {
            let started = Instant::now();
            what();
            started.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[1]
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
