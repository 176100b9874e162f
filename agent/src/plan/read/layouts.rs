//! The plan's `[[layouts]]`, and the beacons that are told by them.

use crate::{
    document::{FromToml, Report, Table},
    plan::{Identity, LAYOUTS_MAX, Layouts},
};
use std::ops::RangeInclusive;
use vitrine_protocol::{Id, layout::Layout};

/// The layouts and their names.
pub(super) fn read(table: &mut Table<'_>, report: &mut Report) -> Vec<(Id, Layout)> {
    let mut layouts: Vec<(Id, Layout)> = Vec::new();
    for mut table in table.tables("layouts", report) {
        let id = table.required::<Id>("id", report);
        let text = table.required::<String>("layout", report);
        table.finish(report);
        let (Some(id), Some(text)) = (id, text) else { continue };
        let layout = match text.get_ref().parse::<Layout>() {
            Ok(layout) if layout.identifier_lens().len() == 0 => {
                report.at(text.span(), "`layout`: a beacon needs an identifier: add a term `i:`");
                continue;
            }
            Ok(layout) => layout,
            Err(error) => {
                report.at(text.span(), format!("`layout`: {error}"));
                continue;
            }
        };
        if layouts.len() == LAYOUTS_MAX {
            report.at(table.span.clone(), format!("a plan has at most {LAYOUTS_MAX} layouts"));
            break;
        }
        if layouts.iter().any(|(known, _)| known == id.get_ref()) {
            report.at(
                id.span(),
                format!("there is a layout `{}` already: give each its own name", id.get_ref()),
            );
        }
        layouts.push((id.into_inner(), layout));
    }
    layouts
}

/// Identifiers in the words of one of the plan's layouts.
pub(super) fn read_identity(
    table: &mut Table<'_>,
    report: &mut Report,
    formats: &[(Id, Layout)],
    layouts: &mut Layouts,
) -> Option<Identity> {
    let mut table = table.table("layout", report)?;
    let id = table.required::<Id>("id", report);
    let identifiers = table.required::<Identifiers>("identifiers", report);
    table.finish(report);
    let (id, identifiers) = (id?, identifiers?);
    let Some(number) = formats.iter().position(|(known, _)| known == id.get_ref()) else {
        report.at(id.span(), format!("there is no layout `{}`: add it under [[layouts]]", id.get_ref()));
        return None;
    };
    let lens: Vec<_> = formats[number].1.identifier_lens().collect();
    let written = &identifiers.get_ref().0;
    let octets: Option<Vec<_>> = written.iter().zip(&lens).map(|(one, len)| one.octets(len)).collect();
    let Some(octets) = octets.filter(|_| written.len() == lens.len()) else {
        let lens = lens.iter().map(|len| match (len.start(), len.end()) {
            (least, most) if least == most => most.to_string(),
            (least, most) => format!("{least} to {most}"),
        });
        let lens = lens.collect::<Vec<_>>().join(", ");
        report.at(
            identifiers.span(),
            format!("the identifiers of layout `{}` have {lens} octets: write hexadecimal digits in quotes, or numbers", id.get_ref()),
        );
        return None;
    };
    Some(Identity::Layout(layouts.register(number, octets.iter().map(Vec::as_slice))))
}

/// An identifier of a layout.
enum Identifier {
    Octets(Vec<u8>),
    Number(u64),
}

impl Identifier {
    /// Its octets, if it has as many as allowed. A number has as many as there can be.
    fn octets(&self, len: &RangeInclusive<usize>) -> Option<Vec<u8>> {
        match self {
            Self::Octets(octets) => len.contains(&octets.len()).then(|| octets.clone()),
            Self::Number(number) => {
                let octets = number.to_be_bytes();
                let zeros = octets.iter().take_while(|&&octet| octet == 0).count();
                let padding = len.end().checked_sub(octets.len() - zeros)?;
                (len.start() == len.end()).then(|| [&vec![0; padding], &octets[zeros..]].concat())
            }
        }
    }
}

struct Identifiers(Vec<Identifier>);

impl FromToml for Identifiers {
    const EXPECTED: &'static str =
        "a list of hexadecimal digits in quotes, or numbers, such as [\"2f23-4454\", 3]";

    fn from_toml(value: &toml::de::DeValue<'_>) -> Option<Self> {
        Vec::from_toml(value).map(Self)
    }
}

impl FromToml for Identifier {
    const EXPECTED: &'static str = "hexadecimal digits in quotes, or a number";

    fn from_toml(value: &toml::de::DeValue<'_>) -> Option<Self> {
        if let Some(text) = value.as_str() {
            return hex::decode(text.replace('-', "")).ok().map(Self::Octets);
        }
        u64::from_toml(value).map(Self::Number)
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::parse;
    use expect_test::expect;

    #[test]
    fn every_problem_of_a_layout_is_told_with_its_place() {
        let text = r#"
version = 1
plan = '1'
[[layouts]]
id = 'acme'
layout = 'm:2-3=acac,i:4-7,i:8-9v'
[[layouts]]
id = 'acme'
layout = 's:0-1=fe00,i:2-3'
[[layouts]]
id = 'broken'
layout = 'm:2-3=acac,i:4:7'
[[layouts]]
id = 'extra'
layout = 'x,m:2-3=acac,d:4-4'
[[beacons]]
id = 'cart-1'
carrier = 'cart'
layout = { id = 'acne', identifiers = [] }
[[beacons]]
id = 'cart-2'
carrier = 'cart'
layout = { id = 'acme', identifiers = ['01020304'] }
[[beacons]]
id = 'cart-3'
carrier = 'cart'
layout = { id = 'acme', identifiers = ['0102030g', 1] }
[[beacons]]
id = 'cart-4'
carrier = 'cart'
layout = { id = 'acme', identifiers = [0x1_0000_0000, '01'] }
[[beacons]]
id = 'cart-5'
carrier = 'cart'
layout = { id = 'acme', identifiers = [258, 'ff'] }
[[beacons]]
id = 'cart-6'
carrier = 'cart'
layout = { id = 'acme', identifiers = ['00000102', 'ff'] }
"#;
        expect![[r#"
            store.toml:8:6: there is a layout `acme` already: give each its own name
            store.toml:12:10: `layout`: at column 15: expected a hyphen and the last offset, such as 4-19
            store.toml:15:10: `layout`: a beacon needs an identifier: add a term `i:`
            store.toml:16:1: a beacon has an `ibeacon`, an `eddystone_uid`, a `layout` or an `address`: write ibeacon = { uuid = "...", major = 1, minor = 1 }
            store.toml:19:17: there is no layout `acne`: add it under [[layouts]]
            store.toml:20:1: a beacon has an `ibeacon`, an `eddystone_uid`, a `layout` or an `address`: write ibeacon = { uuid = "...", major = 1, minor = 1 }
            store.toml:23:39: the identifiers of layout `acme` have 4, 1 to 2 octets: write hexadecimal digits in quotes, or numbers
            store.toml:24:1: a beacon has an `ibeacon`, an `eddystone_uid`, a `layout` or an `address`: write ibeacon = { uuid = "...", major = 1, minor = 1 }
            store.toml:27:39: `identifiers` must be a list of hexadecimal digits in quotes, or numbers, such as ["2f23-4454", 3]
            store.toml:28:1: a beacon has an `ibeacon`, an `eddystone_uid`, a `layout` or an `address`: write ibeacon = { uuid = "...", major = 1, minor = 1 }
            store.toml:31:39: the identifiers of layout `acme` have 4, 1 to 2 octets: write hexadecimal digits in quotes, or numbers
            store.toml:36:1: another beacon transmits the same: give each its own numbers"#]].assert_eq(&parse(text).unwrap_err().to_string());
    }
}
