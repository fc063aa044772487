//! Compares what was asked for with what Kconfig made of it.

use serde::{Deserialize, Serialize};

use super::dotconfig::DotConfig;
use super::fragment::spelled;
use crate::recipe::kernel::OptionValue;

/// One option that somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OptionRequest {
    /// Without `CONFIG_`.
    pub name: String,
    /// What it shall be.
    pub value: OptionValue,
    /// Who asked: `config cxl`, `kernel cxl-kernel`.
    pub by: String,
    /// In which way.
    pub kind: RequestKind,
}

impl OptionRequest {
    /// As the recipe says it: `` `option DEV_DAX = y` of config cxl``.
    pub fn text(&self) -> String {
        let word = if self.kind == RequestKind::Option { "option" } else { "require" };
        format!("`{word} {} = {}` of {}", self.name, spelled(&self.value), self.by)
    }
}

/// How an option was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RequestKind {
    /// `option X = y`: part of a fragment.
    Option,
    /// `require X = y`: part of no fragment, but of the promise.
    Require,
}

/// An option whose final value is not what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    pub request: OptionRequest,
    /// What the final configuration says, in its spelling; `n` when it says nothing.
    pub value: String,
}

/// Every request that the final configuration does not fulfil, in the order of the requests.
pub fn check(requested: &[OptionRequest], config: &DotConfig) -> Vec<Dropped> {
    let differs = |request: &&OptionRequest| !fulfilled(&request.value, config.value(&request.name));
    let dropped =
        |request: &OptionRequest| Dropped { request: request.clone(), value: config.value(&request.name).to_owned() };
    requested.iter().filter(differs).map(dropped).collect()
}

/// Whether a type must be looked up to tell: digits of a decimal number are those of another, hexadecimal one.
pub fn is_ambiguous(request: &OptionRequest) -> bool {
    let decimal = |number: &String| number.bytes().all(|byte| byte.is_ascii_digit()) && number.len() > 1;
    matches!(&request.value, OptionValue::Number(number) if decimal(number))
}

/// Numbers are compared as numbers: Kconfig keeps the spelling of a hexadecimal one, but people write `0x0F`.
fn fulfilled(wanted: &OptionValue, found: &str) -> bool {
    match wanted {
        OptionValue::Number(number) => match (parse_number(number), parse_number(found)) {
            (Some(wanted), Some(found)) => wanted == found,
            _ => number == found,
        },
        wanted => spelled(wanted) == found,
    }
}

/// A decimal or hexadecimal number of a `.config`.
pub(super) fn parse_number(text: &str) -> Option<i128> {
    let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    hex.map_or_else(|| text.parse().ok(), |digits| i128::from_str_radix(digits, 16).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kconfig::dotconfig::read;

    fn request(name: &str, value: OptionValue) -> OptionRequest {
        OptionRequest { name: name.to_owned(), value, by: "kernel k".to_owned(), kind: RequestKind::Option }
    }

    #[test]
    fn only_what_differs_is_reported() {
        let config = read(b"CONFIG_A=y\nCONFIG_M=m\nCONFIG_H=0xff\nCONFIG_T=\"x\"\n# CONFIG_N is not set\n").unwrap();
        let text = |text: &str| OptionValue::Text(text.to_owned());
        let kept = [
            request("A", OptionValue::Yes),
            request("M", OptionValue::Module),
            request("H", OptionValue::Number("0xFF".to_owned())),
            request("H", OptionValue::Number("255".to_owned())),
            request("T", text("x")),
            request("N", OptionValue::No),
            request("NOWHERE", OptionValue::No),
        ];
        assert_eq!(check(&kept, &config), []);
        let lost = [
            request("A", OptionValue::No),
            request("M", OptionValue::Yes),
            request("H", OptionValue::Number("0xfe".to_owned())),
            request("T", text("y")),
            request("N", OptionValue::Yes),
            request("NOWHERE", OptionValue::Yes),
        ];
        let found: Vec<String> = check(&lost, &config).into_iter().map(|dropped| dropped.value).collect();
        assert_eq!(found, ["y", "m", "0xff", "\"x\"", "n", "n"]);
    }
}
