//! The offline suite, in one binary, which links once. What needs a network, root, minutes or a virtual machine is `live.rs`.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests stop at the first surprise"
)]

mod suite {
    mod additions;
    mod apt;
    #[allow(dead_code, reason = "each suite takes what it needs")]
    mod archive_support;
    mod arguments;
    mod argv;
    mod arm64;
    #[allow(dead_code, reason = "each suite takes what it needs")]
    mod attack;
    mod attest_support;
    mod bare_qemu;
    mod beforehand;
    mod below;
    mod blame;
    mod boot;
    mod brought;
    mod build_local;
    mod builds;
    mod bundle;
    mod caches;
    mod crash;
    mod cxl;
    mod deb;
    mod differ;
    mod directory;
    mod disk;
    mod docs;
    mod doors;
    mod draw;
    mod every;
    mod executable;
    mod export;
    mod failure;
    mod failure_support;
    mod fetch;
    mod format;
    mod front;
    mod gone;
    mod hostile;
    mod images;
    mod incremental;
    mod initrd;
    mod kconfig;
    mod kconfig_explain;
    mod kept_tree;
    mod language;
    mod language_docs;
    mod language_limits;
    mod launch;
    mod launch_delivered;
    mod launch_versions;
    mod limits;
    #[allow(dead_code, reason = "each suite takes what it needs")]
    mod live;
    mod local_source;
    mod lock;
    mod machine;
    mod machine_needs;
    #[allow(dead_code, reason = "each suite takes what it needs")]
    mod machine_support;
    mod moved;
    mod normal_user;
    mod oci;
    mod ops;
    mod outdated;
    mod outputs;
    mod overlap;
    #[allow(dead_code, reason = "each suite takes what it needs")]
    mod packages;
    mod partly;
    mod passphrase;
    mod patience;
    mod private_apt;
    mod qcow2;
    mod questions;
    mod quorum;
    mod ready;
    mod remedies;
    mod report;
    mod roots;
    mod running;
    mod sandbox;
    mod sbom;
    mod schedule;
    mod share;
    mod signed;
    mod skip;
    mod small_kernel;
    mod sources;
    mod ssh_agent;
    mod stand_ins;
    mod stand_ins_python;
    mod stand_ins_shell;
    mod store;
    mod store_modes;
    mod template_support;
    mod templates;
    mod terminal;
    mod throttle;
    mod tidy;
    mod tools;
    #[allow(dead_code, reason = "each suite takes what it needs")]
    mod tree;
    mod unsolved;
    mod updates;
    mod wishes;
    mod words;
    mod world_support;
    mod written;

    pub(crate) use live::live;
}
