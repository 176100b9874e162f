//! How a scale's line looks: text as it stands, with places for what is to be read.
//!
//! | place | what it takes |
//! |---|---|
//! | `{weight}` | a number, with a sign before it or not, a point or a comma in it or not |
//! | `{sign}` | `+`, `-` or nothing, where something stands between it and the number |
//! | `{unit}` | `g`, `kg`, `lb` or `oz` |
//! | `{stable}` | a word, up to a space or comma, or nothing: compared with the setting `stable` |
//! | `{any}` | anything, at most twice in a pattern |
//! | a space | any number of spaces, or none |

/// The longest pattern, in octets.
const PATTERN_MAX: usize = 128;
/// Each has to be tried at every place of the line.
const ANY_MAX: usize = 2;

/// A pattern, ready to read lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    pieces: Vec<Piece>,
    has_stable: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Space,
    Sign,
    Weight,
    Unit,
    Stable,
    Any,
}

/// A unit of weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Grams.
    Gram,
    /// Kilograms.
    Kilogram,
    /// Avoirdupois pounds.
    Pound,
    /// Avoirdupois ounces.
    Ounce,
}

/// What was found in a line.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The number.
    pub weight: f64,
    /// Its unit, if the pattern has a place for it.
    pub unit: Option<Unit>,
    /// What stood at `{stable}`, if the pattern has it.
    pub stable: Option<String>,
}

impl Unit {
    /// The unit of this name.
    pub fn parse(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "g" => Some(Self::Gram),
            "kg" => Some(Self::Kilogram),
            "lb" => Some(Self::Pound),
            "oz" => Some(Self::Ounce),
            _ => None,
        }
    }

    /// `weight` of it in whole grams; `None` where that is more than can be.
    pub fn grams(self, weight: f64) -> Option<i32> {
        let factor = match self {
            Self::Gram => 1.0,
            Self::Kilogram => 1000.0,
            Self::Pound => 453.592_37,
            Self::Ounce => 28.349_523_125,
        };
        let grams = (weight * factor).round();
        (grams.abs() <= f64::from(i32::MAX)).then_some(grams as i32)
    }
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > PATTERN_MAX {
            return Err(format!("write at most {PATTERN_MAX} characters"));
        }
        let mut pieces = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('{') {
                let (name, after) = after.split_once('}').ok_or("a `{` needs its `}`")?;
                pieces.push(match name {
                    "weight" => Piece::Weight,
                    "sign" => Piece::Sign,
                    "unit" => Piece::Unit,
                    "stable" => Piece::Stable,
                    "any" => Piece::Any,
                    _ => {
                        return Err(format!(
                            "there is no place `{{{name}}}`: choose from {{weight}}, {{sign}}, {{unit}}, {{stable}}, {{any}}"
                        ));
                    }
                });
                rest = after;
            } else if rest.starts_with(char::is_whitespace) {
                pieces.push(Piece::Space);
                rest = rest.trim_start();
            } else {
                let end = rest.find(|c: char| c == '{' || c.is_whitespace()).unwrap_or(rest.len());
                pieces.push(Piece::Text(rest[..end].to_owned()));
                rest = &rest[end..];
            }
        }
        let count = |piece| pieces.iter().filter(|other| **other == piece).count();
        if count(Piece::Weight) != 1 {
            return Err("write `{weight}` once, where the number stands, such as \"{weight} {unit}\"".into());
        }
        for (piece, name) in [(Piece::Unit, "unit"), (Piece::Stable, "stable"), (Piece::Sign, "sign")] {
            if count(piece) > 1 {
                return Err(format!("write `{{{name}}}` at most once"));
            }
        }
        if count(Piece::Any) > ANY_MAX {
            return Err(format!("write `{{any}}` at most {ANY_MAX} times"));
        }
        let has_stable = count(Piece::Stable) > 0;
        Ok(Self { pieces, has_stable })
    }

    /// Whether it has the place `{stable}`.
    pub fn has_stable(&self) -> bool {
        self.has_stable
    }

    /// What is in a line, if it fits.
    pub fn read(&self, line: &str) -> Option<Found> {
        fit(&self.pieces, line.trim(), Found { weight: 0.0, unit: None, stable: None }, false)
    }
}

/// Fits the rest of a line to the rest of a pattern; `is_negative` where a sign was found apart.
fn fit(pieces: &[Piece], line: &str, mut found: Found, mut is_negative: bool) -> Option<Found> {
    let Some((piece, pieces)) = pieces.split_first() else {
        return line.trim().is_empty().then(|| {
            found.weight = if is_negative { -found.weight } else { found.weight };
            found
        });
    };
    let rest = match piece {
        Piece::Text(text) => line.strip_prefix(text.as_str())?,
        Piece::Space => line.trim_start(),
        Piece::Sign => {
            let (negative, rest) = take_sign(line);
            is_negative = negative;
            rest
        }
        Piece::Weight => {
            let (negative, digits) = take_sign(line);
            let is_number = |c: char| c.is_ascii_digit() || c == '.' || c == ',';
            let end = digits.find(|c| !is_number(c)).unwrap_or(digits.len());
            // What follows the number in a list is no part of it.
            let number = digits[..end].trim_end_matches(',');
            let weight: f64 = number.replace(',', ".").parse().ok()?;
            found.weight = if negative { -weight } else { weight };
            &digits[number.len()..]
        }
        Piece::Unit => {
            let end = line.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(line.len());
            found.unit = Some(Unit::parse(&line[..end])?);
            &line[end..]
        }
        Piece::Stable => {
            let end = line.find(|c: char| c == ',' || c.is_whitespace()).unwrap_or(line.len());
            found.stable = Some(line[..end].to_owned());
            &line[end..]
        }
        Piece::Any => {
            let ends = line.char_indices().map(|(at, _)| at).chain([line.len()]);
            let mut fits = ends.map(|end| fit(pieces, &line[end..], found.clone(), is_negative));
            return fits.find_map(|fit| fit);
        }
    };
    fit(pieces, rest, found, is_negative)
}

/// Whether there is a minus, and what follows the sign and its spaces.
fn take_sign(text: &str) -> (bool, &str) {
    let text = text.trim_start();
    let rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    (text.starts_with('-'), rest.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    fn check(pattern: &str, lines: &[&str], expected: Expect) {
        let pattern = Pattern::parse(pattern).unwrap();
        let mut text = String::new();
        for line in lines {
            text += &match pattern.read(line) {
                None => format!("{line}: does not fit\n"),
                Some(Found { weight, unit, stable }) => {
                    let grams = unit.unwrap_or(Unit::Gram).grams(weight);
                    let stable = stable.map(|said| format!(" {said:?}")).unwrap_or_default();
                    format!("{line}: {grams:?}{stable}\n")
                }
            };
        }
        expected.assert_eq(&text);
    }

    #[test]
    fn lines_of_common_scales_are_read() {
        // A&D and their like.
        check(
            "{stable},{any},{weight} {unit}",
            &["ST,GS,+ 0001.234kg", "US,NT,-00012.5  g", "OL", "ST,GS,  12.50 lb", "ST,GS,12.50 st"],
            expect![[r#"
                ST,GS,+ 0001.234kg: Some(1234) "ST"
                US,NT,-00012.5  g: Some(-13) "US"
                OL: does not fit
                ST,GS,  12.50 lb: Some(5670) "ST"
                ST,GS,12.50 st: does not fit
            "#]],
        );
        // Mettler Toledo's standard interface.
        check(
            "S {stable} {weight} {unit}",
            &["S S     100.00 g", "S D     -10.02 kg", "S I", "S +"],
            expect![[r#"
                S S     100.00 g: Some(100) "S"
                S D     -10.02 kg: Some(-10020) "D"
                S I: does not fit
                S +: does not fit
            "#]],
        );
        // Ohaus: a question mark where the weight moves.
        check(
            "{weight} {unit} {stable}",
            &["    12.3 kg", "12.3 oz ?", "1,5 kg"],
            expect![[r#"
                    12.3 kg: Some(12300) ""
                12.3 oz ?: Some(349) "?"
                1,5 kg: Some(1500) ""
            "#]],
        );
        check(
            "W{sign},{weight}",
            &["W-, 200", "W,200", "W+,200x"],
            expect![[r#"
                W-, 200: Some(-200)
                W,200: Some(200)
                W+,200x: does not fit
            "#]],
        );
    }

    #[test]
    fn what_is_wrong_with_a_pattern_is_told() {
        let long = "x".repeat(200);
        let bad =
            ["", "{unit}", "{weight} {weight}", "{weigth}", "{weight", "{any}{any}{any}{weight}", &long];
        let told = bad.map(|text| Pattern::parse(text).unwrap_err()).join("\n");
        expect![[r#"
            write `{weight}` once, where the number stands, such as "{weight} {unit}"
            write `{weight}` once, where the number stands, such as "{weight} {unit}"
            write `{weight}` once, where the number stands, such as "{weight} {unit}"
            there is no place `{weigth}`: choose from {weight}, {sign}, {unit}, {stable}, {any}
            a `{` needs its `}`
            write `{any}` at most 2 times
            write at most 128 characters"#]]
        .assert_eq(&told);
    }

    proptest! {
        #[test]
        fn no_pattern_and_no_line_is_too_much(pattern in "[ -~]{0,20}(\\{weight\\})?[ -~]{0,20}", line in "\\PC{0,128}") {
            if let Ok(pattern) = Pattern::parse(&pattern) {
                pattern.read(&line);
            }
        }

        #[test]
        fn what_is_printed_is_read(grams in -9_999_999i32..9_999_999) {
            let pattern = Pattern::parse("{stable},{sign} {weight} {unit}").unwrap();
            let sign = if grams < 0 { '-' } else { '+' };
            let (kilos, rest) = (grams.unsigned_abs() / 1000, grams.unsigned_abs() % 1000);
            let found = pattern.read(&format!("ST,{sign}  {kilos:05}.{rest:03}kg")).unwrap();
            prop_assert_eq!(found.unit.unwrap().grams(found.weight), Some(grams));
        }
    }
}
