//! The check of a configuration, on a Kconfig file of a few lines.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::*;
use crate::exec::event::IgnoreSteps;
use crate::kconfig::{OptionRequest, RequestKind};
use crate::recipe::kernel::OptionValue;

const KCONFIG: &str = "config THP\n\tbool \"thp\"\nconfig DEV_DAX\n\ttristate \"dax\"\n\tdepends on THP\n\
                       config DEV_DAX_CXL\n\ttristate \"cxl\"\n\tdepends on DEV_DAX\nconfig MODULE_SIG\n\tbool \"sign\"\n\
                       config BLOCK\n\tbool \"block\"\nconfig EXT4_FS\n\ttristate \"ext4\"\n\tdepends on BLOCK\n";

struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let directory = std::env::temp_dir().join(format!("kiln-kernel-check-{name}-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        Place(directory)
    }

    fn checked(&self, requested: &Requested, config: &str) -> Result<String, CheckError> {
        self.checked_with(KCONFIG, requested, config)
    }

    fn checked_with(&self, kconfig: &str, requested: &Requested, config: &str) -> Result<String, CheckError> {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(kconfig.len() as u64);
        tar.append_data(&mut header, "./Kconfig", kconfig.as_bytes()).unwrap();
        let files = [
            ("kconfig.tar", tar.into_inner().unwrap()),
            ("requested.json", serde_json::to_vec(requested).unwrap()),
            ("kernel.config", config.as_bytes().to_vec()),
        ];
        let place = |(name, bytes): (&str, Vec<u8>)| {
            let path = self.0.join(name);
            fs::write_atomically(&path, &bytes).unwrap();
            (name.to_owned(), path)
        };
        let inputs: BTreeMap<_, _> = files.into_iter().map(place).collect();
        let out = self.0.join("out");
        fs::create_dir_all(&out).unwrap();
        let context = BuiltinContext {
            step: "kernel-check k",
            inputs: &inputs,
            out: &out,
            scratch: &self.0,
            variation: None,
            without_stand_ins: false,
            earlier: None,
            limits: crate::exec::sandbox::Limits::default(),
            listener: &IgnoreSteps,
        };
        run(&context)?;
        Ok(String::from_utf8(fs::read(&out.join(CONFIG), 1 << 20).unwrap()).unwrap())
    }

    fn refused(&self, requested: &Requested, config: &str) -> String {
        self.checked(requested, config).unwrap_err().to_string()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn nothing() -> Requested {
    let architecture = crate::base::Arch::default();
    Requested { architecture, requests: Vec::new(), forbidden: Vec::new(), needs: Vec::new(), modules: false }
}

#[test]
fn a_good_configuration_passes_and_a_bad_one_names_its_reason() {
    let request = |name: &str, kind| OptionRequest {
        name: name.to_owned(),
        value: OptionValue::Yes,
        by: "config cxl".to_owned(),
        kind,
    };
    let requested = Requested {
        requests: vec![request("DEV_DAX", RequestKind::Option), request("DEV_DAX_CXL", RequestKind::Require)],
        forbidden: vec![("MODULE_SIG".to_owned(), "it signs".to_owned())],
        ..nothing()
    };
    let place = Place::new("reasons");
    let good = "CONFIG_THP=y\nCONFIG_DEV_DAX=y\nCONFIG_DEV_DAX_CXL=y\n";
    assert_eq!(place.checked(&requested, good).unwrap(), good);
    assert_eq!(
        place.refused(&requested, "CONFIG_MODULE_SIG=y\n"),
        "the kernel configuration does not match the recipe:\n\
         `option DEV_DAX = y` of config cxl is not set: DEV_DAX needs THP, which is not set; add `option THP = y`\n\
         `require DEV_DAX_CXL = y` of config cxl is not set: DEV_DAX_CXL needs DEV_DAX, which needs THP, which is \
         not set; add `option THP = y` and `option DEV_DAX_CXL = y`\nMODULE_SIG must be off: it signs"
    );
    assert!(place.refused(&requested, "<html>").contains("line 1"));
}

#[test]
fn a_machine_finds_what_it_needs_or_is_named_with_the_way_there() {
    let need = |option: &str| MachineNeed {
        machine: "m".to_owned(),
        option: option.to_owned(),
        purpose: "for its disk".to_owned(),
    };
    let needs = vec![need("EXT4_FS"), need("NOT_IN_THIS_SOURCE")];
    let (whole, modular) =
        (Requested { needs, ..nothing() }, |requested: &Requested| Requested { modules: true, ..requested.clone() });
    let place = Place::new("machines");
    assert!(place.checked(&whole, "CONFIG_BLOCK=y\nCONFIG_EXT4_FS=y\n").is_ok());
    assert!(place.checked(&modular(&whole), "CONFIG_MODULES=y\nCONFIG_BLOCK=y\nCONFIG_EXT4_FS=m\n").is_ok());
    let said = place.refused(&whole, "");
    assert_eq!(
        said,
        "the kernel configuration does not match the recipe:\nmachine `m` needs EXT4_FS for its disk: \
         EXT4_FS needs BLOCK, which is not set; add `option BLOCK = y` and `option EXT4_FS = y`"
    );
    // What does not read says of no option that this kernel has it not.
    let said = place.checked_with("if", &whole, "").unwrap_err().to_string();
    assert!(said.contains("machine `m` needs EXT4_FS for its disk: cannot determine the reason"), "{said}");
    let failure = StepFailure::from(place.checked(&whole, "CONFIG_BLOCK=y\n").unwrap_err());
    assert_eq!(failure.fault, Fault::Recipe);
    assert_eq!(failure.about, [Statement::Machine("m".to_owned()), Statement::Block]);
}
