//! Writes version 2 service data.

use core::fmt;

use super::{
    Octets, TRIGGER_BASED, VERSION_2, Value,
    object::{Layout, Object, PACKET_ID},
    value::Decimal,
};

/// Service data in the making: what follows UUID 0xFCD2 in an AD structure.
///
/// ```
/// use vitrine_protocol::frame::bthome::{Builder, Decimal, Value};
///
/// let mut service_data = Builder::new(false);
/// service_data.packet_id(9)?.push(0x02, Value::Number(Decimal { mantissa: 2506, decimals: 2 }))?;
/// assert_eq!(service_data.as_bytes(), [0x40, 0x00, 9, 0x02, 0xca, 0x09]);
/// # Ok::<(), vitrine_protocol::frame::bthome::Refused>(())
/// ```
#[derive(Clone)]
pub struct Builder {
    octets: Octets,
    last_id: u8,
}

/// Why an object cannot be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The specification has no such object id.
    Unknown,
    /// An object with a higher id stands before it: receivers that do not know that one would stop there.
    Order,
    /// The object holds another kind of value.
    Kind,
    /// The value is out of the object's range, or finer than its resolution.
    Range,
    /// It does not fit. A legacy advertisement has room for 27 octets, and for 24 beside the flags.
    Long,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "the object id is not known",
            Self::Order => "objects stand in the order of their ids",
            Self::Kind => "the object holds another kind of value",
            Self::Range => "the value cannot be expressed in the object's range and resolution",
            Self::Long => "the payload is too long",
        })
    }
}

impl core::error::Error for Refused {}

impl Builder {
    /// Without objects. `trigger_based` for a device that sends only when something happens.
    pub fn new(trigger_based: bool) -> Self {
        let info = VERSION_2 | if trigger_based { TRIGGER_BASED } else { 0 };
        Self { octets: Octets::holding(&[&[info]]).unwrap_or_default(), last_id: 0 }
    }

    /// Adds the packet id, which comes first. Raise it, modulo 256, when the objects' values change.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn packet_id(&mut self, packet_id: u8) -> Result<&mut Self, Refused> {
        self.push(PACKET_ID, Value::Number(Decimal { mantissa: packet_id.into(), decimals: 0 }))
    }

    /// Adds the object `id`. Ids must not fall; the same one may come several times.
    ///
    /// # Errors
    /// [`Refused`]; what was added before stays.
    pub fn push(&mut self, id: u8, value: Value<'_>) -> Result<&mut Self, Refused> {
        let object = Object::of(id).ok_or(Refused::Unknown)?;
        if id < self.last_id {
            return Err(Refused::Order);
        }
        let mut whole = self.octets;
        whole.append(&[id]).ok_or(Refused::Long)?;
        append(&mut whole, object, value)?;
        (self.octets, self.last_id) = (whole, id);
        Ok(self)
    }

    /// The service data behind the UUID: device information and objects.
    pub fn as_bytes(&self) -> &[u8] {
        self.octets.as_bytes()
    }
}

fn append(to: &mut Octets, object: &Object, value: Value<'_>) -> Result<(), Refused> {
    let (code, rest): (u8, &[u8]) = match (object.layout, value) {
        (Layout::Unsigned(octets), Value::Number(number)) => {
            let raw = u64::try_from(raw(object, number)?).map_err(|_| Refused::Range)?;
            return append_integer(to, octets, raw, raw >> (8 * octets) == 0);
        }
        (Layout::Signed(octets), Value::Number(number)) => {
            let raw = raw(object, number)?;
            let above = raw >> (8 * octets - 1);
            return append_integer(to, octets, raw as u64, above == 0 || above == -1);
        }
        (Layout::Time, Value::Time { unix_s }) => {
            return append_integer(to, 4, unix_s, unix_s <= u32::MAX.into());
        }
        (Layout::Version(octets), Value::Version(parts)) => {
            if parts.len() != usize::from(octets) {
                return Err(Refused::Range);
            }
            return to.append(parts).ok_or(Refused::Long);
        }
        (Layout::Flag, Value::Flag(flag)) => (flag.into(), &[]),
        (Layout::Button, Value::Button(button)) => (button.code(), &[]),
        (Layout::Dimmer, Value::Dimmer(dimmer)) => (dimmer.code, &[dimmer.steps]),
        (Layout::Command, Value::Command(command)) => {
            let length = command.arguments.len();
            if length > 0x1f {
                return Err(Refused::Range);
            }
            to.append(&[length as u8]).ok_or(Refused::Long)?;
            (command.code, command.arguments)
        }
        (Layout::Text, Value::Text(text)) => (prefix(text.len())?, text.as_bytes()),
        (Layout::Raw, Value::Raw(raw)) => (prefix(raw.len())?, raw),
        _ => return Err(Refused::Kind),
    };
    to.append(&[code]).and_then(|()| to.append(rest)).ok_or(Refused::Long)
}

fn prefix(length: usize) -> Result<u8, Refused> {
    u8::try_from(length).map_err(|_| Refused::Long)
}

/// `number` in the object's factor, if it has a value there.
fn raw(object: &Object, number: Decimal) -> Result<i64, Refused> {
    let power = |exponent: u8| 10i64.checked_pow(exponent.into()).ok_or(Refused::Range);
    let finer = power(object.decimals.saturating_sub(number.decimals))?;
    let coarser = power(number.decimals.saturating_sub(object.decimals))?;
    let divisor = coarser.checked_mul(object.multiplier.into()).ok_or(Refused::Range)?;
    let scaled = number.mantissa.checked_mul(finer).ok_or(Refused::Range)?;
    if scaled % divisor != 0 {
        return Err(Refused::Range);
    }
    Ok(scaled / divisor)
}

fn append_integer(to: &mut Octets, octets: u8, value: u64, fits: bool) -> Result<(), Refused> {
    if !fits {
        return Err(Refused::Range);
    }
    let octets = usize::from(octets);
    to.append(value.to_le_bytes().get(..octets).unwrap_or(&[])).ok_or(Refused::Long)
}

#[cfg(test)]
mod tests {
    use super::super::{CAPACITY, Command, Dimmer};
    use super::*;

    fn refusal(id: u8, value: Value<'_>) -> Option<Refused> {
        Builder::new(false).push(id, value).err()
    }

    fn number(mantissa: i64, decimals: u8) -> Value<'static> {
        Value::Number(Decimal { mantissa, decimals })
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(refusal(0x66, number(1, 0)), Some(Refused::Unknown));
        assert_eq!(refusal(0x01, Value::Flag(true)), Some(Refused::Kind));
        assert_eq!(refusal(0x01, number(255, 0)), None);
        assert_eq!(refusal(0x01, number(256, 0)), Some(Refused::Range));
        assert_eq!(refusal(0x01, number(-1, 0)), Some(Refused::Range));
        assert_eq!(refusal(0x57, number(-128, 0)), None);
        assert_eq!(refusal(0x57, number(-129, 0)), Some(Refused::Range));
        assert_eq!(refusal(0x57, number(128, 0)), Some(Refused::Range));
        assert_eq!(refusal(0x50, Value::Time { unix_s: 1 << 32 }), Some(Refused::Range));
        assert_eq!(refusal(0xf2, Value::Version(&[1, 2])), Some(Refused::Range));
        assert_eq!(
            refusal(0x3b, Value::Command(Command { code: 0, arguments: &[0; 32] })),
            Some(Refused::Range)
        );
        assert_eq!(refusal(0x54, Value::Raw(&[0; CAPACITY - 2])), Some(Refused::Long));
        assert_eq!(refusal(0x54, Value::Raw(&[0; CAPACITY - 3])), None);
    }

    #[test]
    fn numbers_are_scaled_exactly_or_not_at_all() {
        let temperature = |mantissa, decimals| {
            let mut builder = Builder::new(true);
            builder.push(0x02, number(mantissa, decimals)).map(|b| [b.as_bytes()[2], b.as_bytes()[3]])
        };
        assert_eq!(temperature(21, 0), Ok(2100i16.to_le_bytes()));
        assert_eq!(temperature(21_500, 3), Ok(2150i16.to_le_bytes()));
        assert_eq!(temperature(21_501, 3), Err(Refused::Range));
        assert_eq!(temperature(i64::MAX, 0), Err(Refused::Range));
        assert_eq!(temperature(1, 255), Err(Refused::Range));
        assert_eq!(refusal(0x58, number(-770, 2)), None);
        assert_eq!(refusal(0x58, number(-771, 2)), Some(Refused::Range));
    }

    #[test]
    fn a_refused_object_leaves_the_rest_as_it_was() {
        let mut builder = Builder::new(true);
        builder.push(0x3c, Value::Dimmer(Dimmer { code: 1, steps: 3 })).unwrap();
        assert_eq!(builder.push(0x01, number(97, 0)).err(), Some(Refused::Order));
        assert_eq!(builder.push(0x53, Value::Text(&"x".repeat(60))).err(), Some(Refused::Long));
        builder.push(0x3c, Value::Dimmer(Dimmer { code: 0, steps: 0 })).unwrap();
        assert_eq!(builder.as_bytes(), [0x44, 0x3c, 1, 3, 0x3c, 0, 0]);
    }
}
