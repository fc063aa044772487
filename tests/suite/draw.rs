//! Every good machine has a golden tree; its SVG is well formed and names everything.

use std::path::PathBuf;

use kiln::machine::draw::{svg, tree};
use kiln::machine::topology::Topology;

use super::machine_support::{every, fixtures, golden, read};

#[test]
fn every_good_machine_has_its_golden_tree_and_picture() {
    for (stem, text) in every("good") {
        let machines = read(&text).machines;
        let trees: Vec<String> = machines.iter().map(tree).collect();
        golden(&fixtures("good").join(format!("{stem}.tree")), &trees.join("\n"));
        let picture = svg(&machines);
        for (name, count) in [("<svg", 1), ("</svg>", 1), ("<text", picture.matches("</text>").count())] {
            assert_eq!(picture.matches(name).count(), count, "{stem}: {name}");
        }
        for machine in &machines {
            for at in
                machine.cxl.iter().flat_map(|cxl| Topology::of(cxl).expanders().map(|at| at.serial).collect::<Vec<_>>())
            {
                assert!(picture.contains(&format!("sn 0x{at:x}")), "{stem} shows the serial number {at:x}");
            }
        }
        #[allow(clippy::disallowed_methods, reason = "a switch for whoever wants to look at the pictures")]
        if let Some(directory) = std::env::var_os("KILN_PICTURES") {
            let path = PathBuf::from(directory).join(format!("{stem}.svg"));
            kiln::world::fs::write_atomically(&path, picture.as_bytes()).unwrap();
        }
    }
}
