//! Protocol buffers, as much as is needed to read a message of others: fields, in order.
//!
//! Format: protobuf.dev, "Encoding". Nothing is copied and nothing recurses by itself: whoever reads a field that is a
//! message reads its fields.

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// A varint, or a fixed number, as it is written.
    Number(u64),
    /// A text, octets, or a message.
    Octets(&'a [u8]),
}

impl<'a> Value<'a> {
    pub(super) fn octets(self) -> Option<&'a [u8]> {
        match self {
            Self::Octets(octets) => Some(octets),
            Self::Number(_) => None,
        }
    }

    pub(super) fn text(self) -> Option<&'a str> {
        self.octets().and_then(|octets| str::from_utf8(octets).ok())
    }

    pub(super) fn number(self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(number),
            Self::Octets(_) => None,
        }
    }

    /// Of a field of type `sint32` or `sint64`.
    pub(super) fn zigzag(self) -> Option<i64> {
        self.number().map(|number| (number >> 1) as i64 ^ -((number & 1) as i64))
    }

    /// Of a field of type `int32` or `int64`.
    pub(super) fn signed(self) -> Option<i64> {
        self.number().map(|number| number as i64)
    }
}

/// The message is cut short, or no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// The fields of a message: numbers and values, up to where it is broken.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a>(&'a [u8]);

pub(super) fn fields(message: &[u8]) -> Fields<'_> {
    Fields(message)
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field().ok_or(Broken);
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<(u64, Value<'a>)> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?),
            1 => Value::Number(u64::from_le_bytes(self.octets(8)?.try_into().ok()?)),
            2 => {
                let length = self.varint()?;
                Value::Octets(self.octets(length)?)
            }
            5 => Value::Number(u32::from_le_bytes(self.octets(4)?.try_into().ok()?).into()),
            // Groups: deprecated, and not in any format we read.
            _ => return None,
        };
        Some((tag >> 3, value))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (&octet, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(octet & 0x7f) << shift;
            if octet < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn octets(&mut self, length: u64) -> Option<&'a [u8]> {
        let (octets, rest) = self.0.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        Some(octets)
    }
}

/// The other way round, for messages of tests.
#[cfg(test)]
pub(super) mod write {
    pub(in crate::capture::relay) fn number(field: u64, number: u64) -> Vec<u8> {
        [varint(field << 3), varint(number)].concat()
    }

    pub(in crate::capture::relay) fn zigzag(field: u64, signed: i64) -> Vec<u8> {
        number(field, (signed << 1 ^ signed >> 63) as u64)
    }

    pub(in crate::capture::relay) fn octets(field: u64, octets: &[u8]) -> Vec<u8> {
        [varint(field << 3 | 2), varint(octets.len() as u64), octets.to_vec()].concat()
    }

    fn varint(mut number: u64) -> Vec<u8> {
        let mut octets = Vec::new();
        while number >= 0x80 {
            octets.push(number as u8 | 0x80);
            number >>= 7;
        }
        octets.push(number as u8);
        octets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_documentation_are_read() {
        let one = |message: &'static [u8]| fields(message).next().unwrap();
        assert_eq!(one(&[0x08, 0x96, 0x01]), Ok((1, Value::Number(150))));
        assert_eq!(one(b"\x12\x07testing"), Ok((2, Value::Octets(b"testing"))));
        let negative: [u8; 11] = [0x08, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(fields(&negative).next().unwrap().unwrap().1.signed(), Some(-2));
        for (number, value) in [(0, 0), (1, -1), (2, 1), (3, -2), (0xffff_fffe, 0x7fff_ffff)] {
            assert_eq!(Value::Number(number).zigzag(), Some(value));
        }
        assert_eq!(one(&[0x0d, 1, 0, 0, 0]), Ok((1, Value::Number(1))));
        assert_eq!(one(&[0x09, 1, 0, 0, 0, 0, 0, 0, 0]), Ok((1, Value::Number(1))));
    }

    #[test]
    fn a_broken_message_ends() {
        for message in
            [&[0x08][..], &[0x12, 7, b't'], &[0x0b], &[0xff; 11], &[0x12, 0xff, 0xff, 0xff, 0xff, 0x0f]]
        {
            assert_eq!(fields(message).collect::<Vec<_>>(), [Err(Broken)]);
        }
    }
}
