//! The live suite: tests that need the network, root, minutes or a virtual machine. Without `KILN_LIVE=1` each says what it
//! would do, and does nothing.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests stop at the first surprise"
)]

mod suite {
    mod alike_live;
    #[allow(dead_code, reason = "each suite takes what it needs")]
    mod archive_support;
    mod arm64_live;
    mod brought_live;
    mod development;
    mod disks_live;
    mod every_live;
    mod executable;
    mod export_live;
    mod first_boot;
    mod formats;
    mod guest;
    mod host_live;
    #[allow(dead_code, reason = "each suite takes what it needs")]
    mod kconfig;
    mod kernel;
    mod kills;
    mod knative;
    mod launch_live;
    mod layers_live;
    #[allow(dead_code, reason = "each suite takes what it needs")]
    mod live;
    mod machine_live;
    #[allow(dead_code, reason = "each suite takes what it needs")]
    mod machine_support;
    mod names_live;
    mod network_live;
    mod normal_user;
    #[allow(dead_code, reason = "each suite takes what it needs")]
    mod packages;
    mod peer;
    mod popular;
    #[allow(dead_code, reason = "each suite takes what it needs")]
    mod private_apt;
    mod programs;
    mod quick;
    mod ready_live;
    mod rebuild;
    mod recipes;
    mod registry_live;
    mod releases;
    mod report_live;
    mod root;
    mod rootless;
    mod running_live;
    mod sbom_live;
    mod share_live;
    mod shared;
    #[allow(dead_code, reason = "each suite takes what it needs")]
    mod skip;
    mod stock;
    #[allow(dead_code, reason = "each suite takes what it needs")]
    mod template_support;
    #[allow(dead_code, reason = "each suite takes what it needs")]
    mod tree;
    mod users;

    pub(crate) use live::live;
}
