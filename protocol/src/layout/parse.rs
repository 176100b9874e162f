//! From a layout's text to checked values.

use super::{DATA_MAX, Field, IDENTIFIER_MAX, IDENTIFIERS_MAX, Layout, MATCH_MAX, Matching, Power, Service};
use arrayvec::ArrayVec;
use core::{fmt, str::FromStr};

/// Most octets of a data field.
const DATA_OCTETS_MAX: usize = 8;

/// Why a layout cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayoutError {
    /// Where, in characters from 1.
    pub column: usize,
    /// What should stand there.
    pub expected: &'static str,
}

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at column {}: expected {}", self.column, self.expected)
    }
}

impl core::error::Error for LayoutError {}

impl FromStr for Layout {
    type Err = LayoutError;

    fn from_str(text: &str) -> Result<Self, LayoutError> {
        let mut cursor = Cursor { text: text.as_bytes(), at: 0 };
        let mut layout = Self {
            service: None,
            matching: None,
            identifiers: ArrayVec::new(),
            power: None,
            data: ArrayVec::new(),
            extra: false,
        };
        loop {
            while cursor.eat(b' ') {}
            layout.term(&mut cursor)?;
            while cursor.eat(b' ') {}
            if cursor.peek().is_none() {
                break;
            }
            cursor.expect(b',', "a comma before the next term, or the end")?;
        }
        if layout.service.is_none() && layout.matching.is_none() {
            return Err(cursor.error("a term `m:` or `s:` that tells this beacon from others"));
        }
        if layout.identifiers.is_empty() && !layout.extra {
            return Err(cursor.error("a term `i:` that identifies the beacon, or `x`"));
        }
        Ok(layout)
    }
}

impl Layout {
    fn term(&mut self, cursor: &mut Cursor<'_>) -> Result<(), LayoutError> {
        let start = cursor.at;
        let twice = |expected| LayoutError { column: start + 1, expected };
        let letter = cursor.next("a term that starts with m:, s:, i:, p:, d:, or x")?;
        if letter != b'x' {
            cursor.expect(b':', "a colon after the term's letter")?;
        }
        match letter {
            b'm' if self.matching.is_none() => self.matching = Some(cursor.matching()?),
            b'm' => return Err(twice("no second `m:`")),
            b's' if self.service.is_none() => self.service = Some(cursor.service()?),
            b's' => return Err(twice("no second `s:`")),
            b'p' if self.power.is_none() => self.power = Some(cursor.power()?),
            b'p' => return Err(twice("no second `p:`")),
            b'i' => {
                let field = cursor.field(IDENTIFIER_MAX, "an identifier of at most 20 octets")?;
                self.identifiers.try_push(field).map_err(|_| twice(MOST_IDENTIFIERS))?;
            }
            b'd' => {
                let field = cursor.field(DATA_OCTETS_MAX, "a data field of at most 8 octets")?;
                if field.may_end_early {
                    return Err(twice("a data field without `v`: only identifiers may end early"));
                }
                self.data.try_push(field).map_err(|_| twice(MOST_DATA))?;
            }
            b'x' => self.extra = true,
            _ => return Err(twice("a term that starts with m:, s:, i:, p:, d:, or x")),
        }
        Ok(())
    }
}

const MOST_IDENTIFIERS: &str = "at most 5 identifiers";
const MOST_DATA: &str = "at most 8 data fields";
const _: () = assert!(IDENTIFIERS_MAX == 5 && DATA_MAX == 8 && IDENTIFIER_MAX == 20 && DATA_OCTETS_MAX == 8);

struct Cursor<'t> {
    text: &'t [u8],
    at: usize,
}

impl Cursor<'_> {
    fn error(&self, expected: &'static str) -> LayoutError {
        LayoutError { column: self.at + 1, expected }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self, expected: &'static str) -> Result<u8, LayoutError> {
        let octet = self.peek().ok_or(self.error(expected))?;
        self.at += 1;
        Ok(octet)
    }

    fn eat(&mut self, octet: u8) -> bool {
        let found = self.peek() == Some(octet);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, octet: u8, expected: &'static str) -> Result<(), LayoutError> {
        if self.eat(octet) { Ok(()) } else { Err(self.error(expected)) }
    }

    /// A decimal number of at most 255.
    fn offset(&mut self) -> Result<u8, LayoutError> {
        let (start, mut value) = (self.at, None::<u8>);
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            let shifted = value.unwrap_or(0).checked_mul(10).and_then(|v| v.checked_add(digit - b'0'));
            value =
                Some(shifted.ok_or(LayoutError { column: start + 1, expected: "an offset of at most 255" })?);
            self.at += 1;
        }
        value.ok_or(self.error("an offset in octets, such as 4"))
    }

    /// `first-last`.
    fn range(&mut self) -> Result<(u8, u8), LayoutError> {
        let first = self.offset()?;
        self.expect(b'-', "a hyphen and the last offset, such as 4-19")?;
        let start = self.at;
        let last = self.offset()?;
        if last < first {
            return Err(LayoutError { column: start + 1, expected: "a last offset not below the first one" });
        }
        Ok((first, last))
    }

    fn field(&mut self, octets_max: usize, expected: &'static str) -> Result<Field, LayoutError> {
        let start = self.at;
        let (first, last) = self.range()?;
        let mut field = Field { first, last, least_significant_first: false, may_end_early: false };
        loop {
            match self.peek() {
                Some(b'l') => field.least_significant_first = true,
                Some(b'v') => field.may_end_early = true,
                Some(b'b') => {}
                _ => break,
            }
            self.at += 1;
        }
        if field.len() > octets_max {
            return Err(LayoutError { column: start + 1, expected });
        }
        Ok(field)
    }

    /// `=` and exactly `octets` octets as hexadecimal digits; hyphens between them are passed over.
    fn hex<const MAX: usize>(&mut self, octets: usize) -> Result<ArrayVec<u8, MAX>, LayoutError> {
        self.expect(b'=', "an equals sign and hexadecimal digits")?;
        let mut out = ArrayVec::new();
        for _ in 0..octets {
            while self.eat(b'-') {}
            let octet = self.digit()? << 4 | self.digit()?;
            out.try_push(octet).map_err(|_| self.error("at most 16 octets"))?;
        }
        Ok(out)
    }

    fn digit(&mut self) -> Result<u8, LayoutError> {
        let expected = "two hexadecimal digits for each octet of the range";
        let value =
            self.peek().and_then(|octet| char::from(octet).to_digit(16)).ok_or(self.error(expected))?;
        self.at += 1;
        Ok(value as u8)
    }

    fn matching(&mut self) -> Result<Matching, LayoutError> {
        let start = self.at;
        let (first, last) = self.range()?;
        let octets = usize::from(last - first) + 1;
        if octets > MATCH_MAX {
            return Err(LayoutError { column: start + 1, expected: "at most 16 octets to match" });
        }
        Ok(Matching { first, octets: self.hex(octets)? })
    }

    fn service(&mut self) -> Result<Service, LayoutError> {
        let start = self.at;
        match self.range()? {
            (0, 1) => {
                let uuid = self.hex::<2>(2)?;
                Ok(Service::Uuid16(uuid.iter().fold(0, |uuid, octet| uuid << 8 | u16::from(*octet))))
            }
            (0, 15) => {
                let uuid = self.hex::<16>(16)?;
                uuid.into_inner().map(Service::Uuid128).map_err(|_| self.error("16 octets"))
            }
            _ => Err(LayoutError {
                column: start + 1,
                expected: "0-1 and a 16-bit UUID, or 0-15 and a 128-bit one",
            }),
        }
    }

    fn power(&mut self) -> Result<Power, LayoutError> {
        let start = self.at;
        if self.eat(b'-') {
            self.expect(b':', "a colon and the power in dBm, such as p:-:-59")?;
            return Ok(Power { at: None, offset_dbm: self.dbm()? });
        }
        let (first, last) = self.range()?;
        if first != last {
            return Err(LayoutError {
                column: start + 1,
                expected: "the offset of one octet, such as 24-24",
            });
        }
        let offset_dbm = if self.eat(b':') { self.dbm()? } else { 0 };
        Ok(Power { at: Some(first), offset_dbm })
    }

    fn dbm(&mut self) -> Result<i8, LayoutError> {
        let start = self.at;
        let sign = if self.eat(b'-') { -1 } else { 1 };
        let dbm = i8::try_from(sign * i16::from(self.offset()?));
        dbm.map_err(|_| LayoutError { column: start + 1, expected: "a power in dBm, from -128 to 127" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::{String, ToString};

    fn error(text: &str) -> String {
        text.parse::<Layout>().unwrap_err().to_string()
    }

    #[test]
    fn errors_name_the_column_and_what_is_expected() {
        for (text, expected) in [
            ("", "at column 1: expected a term that starts with m:, s:, i:, p:, d:, or x"),
            ("m:2-3=0215,", "at column 12: expected a term that starts with m:, s:, i:, p:, d:, or x"),
            ("q:1-2", "at column 1: expected a term that starts with m:, s:, i:, p:, d:, or x"),
            ("m2-3=0215", "at column 2: expected a colon after the term's letter"),
            ("m:2-3=02", "at column 9: expected two hexadecimal digits for each octet of the range"),
            ("m:2-3=021g", "at column 10: expected two hexadecimal digits for each octet of the range"),
            ("m:2-3=02155", "at column 11: expected a comma before the next term, or the end"),
            ("m:2-3=0215 i:4-5", "at column 12: expected a comma before the next term, or the end"),
            ("m:3-2=0215", "at column 5: expected a last offset not below the first one"),
            ("m:2=0215", "at column 4: expected a hyphen and the last offset, such as 4-19"),
            ("m:0-16=00", "at column 3: expected at most 16 octets to match"),
            ("m:2-3=0215", "at column 11: expected a term `i:` that identifies the beacon, or `x`"),
            ("i:4-19", "at column 7: expected a term `m:` or `s:` that tells this beacon from others"),
            ("m:2-3=0215,i:4-24", "at column 14: expected an identifier of at most 20 octets"),
            ("m:2-3=0215,i:4-256", "at column 16: expected an offset of at most 255"),
            (
                "m:2-3=0215,i:4-5,i:4-5,i:4-5,i:4-5,i:4-5,i:4-5",
                "at column 42: expected at most 5 identifiers",
            ),
            ("m:2-3=0215,m:2-3=0215", "at column 12: expected no second `m:`"),
            ("s:0-3=00000000", "at column 3: expected 0-1 and a 16-bit UUID, or 0-15 and a 128-bit one"),
            ("m:2-3=0215,i:4-5,p:24-25", "at column 20: expected the offset of one octet, such as 24-24"),
            ("m:2-3=0215,i:4-5,p:24-24:200", "at column 26: expected a power in dBm, from -128 to 127"),
            ("m:2-3=0215,i:4-5,d:6-14", "at column 20: expected a data field of at most 8 octets"),
            (
                "m:2-3=0215,i:4-5,d:6-7v",
                "at column 18: expected a data field without `v`: only identifiers may end early",
            ),
        ] {
            assert_eq!(error(text), expected, "{text:?}");
        }
    }

    #[test]
    fn an_extra_layout_needs_no_identifier() {
        let tlm: Layout = "x,s:0-1=feaa,m:2-2=20,d:3-3,d:4-5,d:6-7,d:8-11,d:12-15".parse().unwrap();
        assert!(tlm.is_extra());
        assert_eq!((tlm.identifiers.len(), tlm.data.len()), (0, 5));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused_with_a_column_in_it(text in "([msidpx]:?|[0-9]{1,3}|[-=:, lvb]|\\PC){0,24}") {
            if let Err(error) = text.parse::<Layout>() {
                proptest::prop_assert!((1..=text.len() + 1).contains(&error.column));
            }
        }
    }
}
