//! Reads `firmware = ...` and `uefi { ... }` of a machine.

use crate::base::Spanned;
use crate::recipe::build::{self, BuildOutput};
use crate::recipe::machine::{BuiltFirmware, Firmware};
use crate::recipe::reader::Reader;
use crate::recipe::scope::Scope;
use crate::recipe::value::Value;

/// What runs before the kernel.
pub(super) fn kind(reader: &mut Reader<'_>) -> Spanned<Firmware> {
    let Some(word) = reader.word("firmware", &["direct", "seabios", "uefi"]) else {
        return Spanned::new(Firmware::Direct, reader.node().head());
    };
    word.map(|word| match word {
        "seabios" => Firmware::Seabios,
        "uefi" => Firmware::Uefi,
        _ => Firmware::Direct,
    })
}

/// `uefi { code = output "OVMF_CODE.fd" from BUILD  variables = output "OVMF_VARS.fd" from BUILD }`
pub(super) fn built(reader: &mut Reader<'_>, scope: &Scope) -> Option<BuiltFirmware> {
    let node = reader.block("uefi")?;
    let mut inner = Reader::new(node, &scope.report);
    let code = output(&mut inner, "code", "OVMF_CODE.fd", scope);
    let variables = output(&mut inner, "variables", "OVMF_VARS.fd", scope);
    inner.finish();
    Some(BuiltFirmware { code: code?, variables: variables?, span: node.head() })
}

fn output(reader: &mut Reader<'_>, field: &'static str, example: &str, scope: &Scope) -> Option<Spanned<BuildOutput>> {
    let value = reader.required::<Value>(field)?;
    let span = value.span;
    build::output_or_report(&value, example, scope).map(|output| Spanned::new(output, span))
}
