//! One binary for every integration test: it links once.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests stop at the first surprise"
)]

mod suite {
    mod apt;
    mod archive_support;
    mod argv;
    mod attack;
    mod boot;
    mod crash;
    mod deb;
    mod differ;
    mod draw;
    mod failure;
    mod failure_support;
    mod fetch;
    mod format;
    mod guest;
    mod hostile;
    mod initrd;
    mod kconfig;
    mod kernel;
    mod kills;
    mod knative;
    mod language;
    mod language_docs;
    mod language_limits;
    mod launch;
    mod launch_live;
    mod live;
    mod lock;
    mod machine;
    mod machine_live;
    mod machine_support;
    mod peer;
    mod private_apt;
    mod qcow2;
    mod quick;
    mod rebuild;
    mod recipes;
    mod releases;
    mod root;
    mod rootless;
    mod sandbox;
    mod schedule;
    mod shared;
    mod sources;
    mod stock;
    mod store;
    mod tidy;
    mod tools;
    mod users;
    mod warm;

    pub(crate) use live::live;
}
