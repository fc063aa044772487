//! What people who develop CXL, kernels and QEMU ask launchers of machines for, in public trackers and scripts, and which test shows
//! that kiln does it or says why not. Whoever wants to know how kiln stands to such a wish begins here.

use std::path::Path;

/// A wish, and the tests: `FILE: NAME`, below `tests/suite` unless the path says otherwise. Of a fixture of the language or of a
/// machine there is no name: a test runs each, and the file beside it has the words.
const WISHES: [(&str, &[&str]); 24] = [
    (
        "boot a kernel from a git tree of one's own, and again within a minute after an edit; every wrong way to say it leads there",
        &[
            "development.rs: the_page_about_development_is_true",
            "local_source.rs: an_edit_builds_another_result_and_taking_it_back_the_first_one",
            "local_source.rs: an_incremental_run_is_shown_what_changed_since_the_directory_was_kept",
            "build_local.rs: a_name_behind_source_means_one_thing_or_is_refused",
            "tests/fixtures/language/kernel-local.txt",
        ],
    ),
    (
        "have an editor or a CI hook find every mistake of a machine, without a lock and without a picture of what cannot be",
        &[
            "front/machines.rs: every_error_of_a_machine_is_found_without_a_lock",
            "front/machines.rs: a_range_of_wrong_cpus_is_one_error",
            "front/machines.rs: no_picture_is_drawn_of_a_machine_that_cannot_be",
            "front/machines.rs: a_lock_that_is_there_brings_the_tables",
        ],
    ),
    (
        "add options of QEMU that a recipe has no words for, and parameters of the kernel, to a start or to the recipe",
        &[
            "additions.rs: options_of_qemu_come_after_all_others_and_unchanged",
            "additions.rs: kernel_parameters_come_after_all_others_whatever_boots_the_disk",
            "launch.rs: the_script_explains_itself_and_passes_options_on",
            "bare_qemu.rs: the_locked_qemu_has_the_users_arguments_alone_and_its_exit_code_is_kilns",
            "tests/fixtures/machine/rules/qemu-args.kiln",
        ],
    ),
    (
        "get in by SSH with one's own key, the image unchanged",
        &[
            "running_live.rs: the_owner_gets_in_and_what_lasts_is_there_at_the_next_start",
            "src/ops/ssh_keys.rs: a_run_has_the_users_own_keys_unless_others_or_none_are_asked_for",
        ],
    ),
    (
        "find persistent memory, its labels and every disk again at the next start",
        &[
            "running_live.rs: the_owner_gets_in_and_what_lasts_is_there_at_the_next_start",
            "src/guest/keep/tests.rs: everything_that_lasts_is_kept_and_found_again",
            "src/guest/keep/tests.rs: what_does_not_fit_is_refused_with_what_differs",
        ],
    ),
    (
        "debug the guest's kernel with gdb from its first instruction, with symbols and the kernel's scripts",
        &["development.rs: the_page_about_development_is_true", "additions.rs: a_printed_command_has_the_port_of_gdb"],
    ),
    (
        "have a directory of the host in the guest, for reading or for writing, and bring files out of a test",
        &[
            "share_live.rs: guests_see_the_hosts_directories_and_qemu_has_other_doors",
            "share.rs: what_a_machine_writes_belongs_to_the_owner_of_the_directory",
            "share.rs: what_is_read_only_is_so_by_the_kernel",
        ],
    ),
    (
        "write run_qemu's topology as it is, with what it cannot do as warnings",
        &[
            "cxl.rs: run_qemus_topology_is_taken_with_what_it_cannot_do_as_warnings",
            "recipes/cxl-run-qemu.kiln: the window over both bridges takes none, because kinds differ",
            "tests/fixtures/machine/rules/equal-devices--kinds.kiln",
        ],
    ),
    (
        "write cxl-test-tool's topologies, whose windows are smaller than their devices",
        &[
            "cxl.rs: cxl_test_tools_topologies_are_taken_with_windows_that_are_smaller_than_their_devices",
            "recipes/cxl-test-tool.kiln: four devices become regions, as many as a bridge of QEMU has decoders",
        ],
    ),
    (
        "be told why an option of a kernel was dropped, with advice that is true: prompts, types, ranges, choices, modules",
        &[
            "src/kconfig/reason_tests.rs: what_has_no_prompt_is_never_proposed",
            "src/kconfig/reason_tests.rs: a_bool_is_proposed_as_y_and_a_module_only_where_there_are_some",
            "src/kconfig/reason_tests.rs: a_choice_names_who_asked_for_the_other_member",
            "src/kconfig/reason_tests.rs: types_and_ranges_are_read_and_said",
            "src/kconfig/advice_tests.rs: what_the_configuration_proves_counts_before_a_question_to_the_compiler",
            "tests/fixtures/language/kernel-contradictions.txt",
        ],
    ),
    (
        "ask why an option has its value, and be told where it differs from what was asked for",
        &[
            "kconfig_explain.rs: an_option_is_explained_with_its_value_its_place_and_the_way_there",
            "kconfig_explain.rs: what_nobody_can_set_is_not_said_to_be_requested",
            "src/kconfig/reason_tests.rs: what_the_recipe_turns_off_itself_is_to_be_changed_there",
        ],
    ),
    (
        "be told before a kernel is compiled that it cannot boot its machine, or can make no use of its CXL memory",
        &[
            "machine_needs.rs: every_need_of_every_machine_stops_a_build_before_the_kernel_is_compiled",
            "machine_needs.rs: cxl_memory_needs_regions_dax_and_a_kernel_that_enables_it_in_a_guest_or_a_hidden_hypervisor",
            "machine.rs: a_stock_kernel_needs_a_hidden_hypervisor",
            "ready.rs: what_a_machine_needs_and_what_is_no_kernel_is_told_at_the_output",
        ],
    ),
    (
        "speak QMP to a machine that runs, and look at one whose test failed",
        &[
            "running.rs: every_verb_finds_the_run_of_a_recipe_or_of_its_result",
            "running_live.rs: the_owner_gets_in_and_what_lasts_is_there_at_the_next_start",
            "bare_qemu.rs: a_shell_for_failures_needs_somebody_to_type",
        ],
    ),
    (
        "plug an expander in and out while the guest runs",
        &["host_live.rs: tested_machines_have_memory_of_files_cpus_and_options_of_one_run"],
    ),
    (
        "give memory its latency and bandwidth: HMAT, caches, generic ports, tables of devices",
        &[
            "recipes/cxl-tiers.kiln: each speed is a memory tier of its own",
            "recipes/cxl-tiers.kiln: devices have the class of service of their window",
            "tests/fixtures/machine/good/attributes.argv",
        ],
    ),
    (
        "have an NVDIMM, an NVMe disk, slots for memory, memory of files and huge pages, pinned CPUs, a bridge of the host; of \
         what there is not, be told what there is",
        &[
            "recipes/nvdimm.kiln: memory is plugged into a slot",
            "recipes/nvdimm.kiln: the disk is an NVMe device",
            "host_live.rs: tested_machines_have_memory_of_files_cpus_and_options_of_one_run",
            "host_live.rs: tested_machines_have_memory_of_huge_pages",
            "running_live.rs: a_machine_on_a_bridge_of_the_host_is_reached_there",
            "tests/fixtures/language/machine-mistakes.txt",
        ],
    ),
    (
        "build on a host that is not Debian as an ordinary user, and run what was built with another QEMU or none of the store",
        &[
            "rootless.rs: a_normal_user_gets_the_bits_of_root",
            "launch_versions.rs: an_older_qemu_runs_the_machine_with_its_own_board_or_says_what_it_lacks",
            "launch_versions.rs: a_qemu_whose_version_nobody_can_read_is_named_so",
            "launch_delivered.rs: the_delivered_qemu_is_started_and_gone_afterwards",
            "directory.rs: a_whole_directory_is_good_and_its_qemu_must_be_at_hand",
        ],
    ),
    (
        "write the command lines of published CXL and NUMA experiments as recipes",
        &[
            "cxl.rs: command_lines_of_experiments_can_be_said",
            "recipes/all-blue.kiln: a pattern written in one worker is read in the other",
            "recipes/numa.kiln: distances are those of the recipe",
        ],
    ),
    (
        "be told of the known troubles of QEMU and Linux with CXL by version, before a machine is built",
        &[
            "machine.rs: the_table_says_what_each_qemu_does_with_a_volatile_expander",
            "machine.rs: what_was_measured_not_to_work_is_refused_and_nothing_that_works_is",
            "tests/fixtures/machine/rules/switch-depth.kiln",
            "tests/fixtures/machine/rules/window-interleaved.kiln",
        ],
    ),
    (
        "run ndctl's own tests on the kernel's mock modules, with ndctl and modules out of their sources",
        &[
            "recipes/cxl-mock.kiln: ndctl's tests pass on the mock modules",
            "recipes/cxl-own-ndctl.kiln: the patched programs list and configure CXL memory",
            "recipes/kernel-module.kiln: the module is loaded by its name, with a parameter",
        ],
    ),
    (
        "be told that CXL on arm64 is not there, where it is asked for",
        &["tests/fixtures/machine/rules/chipset--virt.kiln"],
    ),
    (
        "pass quotes to the guest's kernel, and rebuild nothing for it",
        &["cxl.rs: words_for_the_kernel_reach_it_with_their_quotes_and_rebuild_nothing"],
    ),
    (
        "run containers, k3s and Knative on a kernel of one's own",
        &[
            "cxl.rs: a_kernel_for_containers_asks_for_what_their_checkers_look_for",
            "recipes/cxl-kubernetes.kiln: moby's list of what a kernel needs finds nothing missing",
            "recipes/knative.kiln: the node is ready, with CXL memory as NUMA node 1",
        ],
    ),
    (
        "not stumble: over a recipe behind `--print`, over the host's own CPU without KVM, over memory that the host has not, over hints \
         that only name a source",
        &[
            "additions.rs: a_printed_command_is_asked_for_before_or_behind_the_recipe",
            "additions.rs: memory_and_cpus_that_the_host_has_not_are_refused_before_anything_is_built",
            "src/guest/launch/tests.rs: the_hosts_own_cpu_is_not_emulated",
            "remedies.rs: every_report_has_a_hint_that_is_no_reference_and_a_note_that_is",
        ],
    ),
];

/// The file, and what stands in it for the test of this name.
fn place(test: &str) -> (String, Option<String>) {
    let Some((file, name)) = test.split_once(": ") else { return (test.to_owned(), None) };
    let file = if file.starts_with("src/") || file.starts_with("recipes/") {
        file.to_owned()
    } else {
        format!("tests/suite/{file}")
    };
    let stands =
        if file.ends_with(".kiln") { format!("\ntest \"{name}\" on ") } else { format!("#[test]\nfn {name}() {{\n") };
    (file, Some(stands))
}

#[test]
fn every_wish_has_tests_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (wish, tests) in WISHES {
        assert!(!tests.is_empty(), "{wish}");
        for test in tests {
            let (file, stands) = place(test);
            let text =
                std::fs::read_to_string(root.join(&file)).unwrap_or_else(|error| panic!("{wish}: {file}: {error}"));
            // Tests inside of a module are indented.
            let text: String = text.lines().map(|line| format!("{}\n", line.trim_start())).collect();
            assert!(stands.is_none_or(|stands| text.contains(&stands)), "{wish}: {file} has no such test: {test}");
        }
    }
}
