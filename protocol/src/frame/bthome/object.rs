//! The object ids of the specification: what each is called, measured in, and how its octets are laid out.
//!
//! Names are the specification's properties with underscores. Where it gives a sensor and a binary sensor the same
//! property, the binary one's name says what 1 means: `battery` in %, but `battery_low`. What 0 and 1 mean for the
//! others is the specification's: a `door` of 1 is open, a `lock` of 1 is unlocked.
//!
//! | object | source |
//! |---|---|
//! | 0x00 to 0x65, 0xF0 to 0xF2 | <https://bthome.io/format/> |
//! | the same ids in version 1 | <https://bthome.io/v1/> |

/// What the specification says of one object id.
#[derive(Debug, PartialEq, Eq)]
pub struct Object {
    pub(super) id: u8,
    pub(super) layout: Layout,
    name: &'static str,
    unit: &'static str,
    /// A value is `raw * multiplier / 10^decimals`.
    pub(super) multiplier: u8,
    pub(super) decimals: u8,
}

/// How an object's octets are read. Numbers are little endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// An unsigned number of so many octets.
    Unsigned(u8),
    /// A signed number of so many octets, in two's complement.
    Signed(u8),
    /// One octet, 0 or 1.
    Flag,
    /// One octet: which press.
    Button,
    /// A length in the low five bits, an operation code, and `length` octets of arguments.
    Command,
    /// Two octets: direction and steps.
    Dimmer,
    /// A length and so many octets of UTF-8.
    Text,
    /// A length and so many octets.
    Raw,
    /// Seconds since 1970-01-01T00:00:00Z in four octets.
    Time,
    /// A version number of so many octets, the least significant first.
    Version(u8),
}

impl Object {
    /// The object of `id`, `None` where the specification has none.
    pub fn of(id: u8) -> Option<&'static Self> {
        OBJECTS.get(usize::from(INDEX[usize::from(id)]))
    }

    /// All objects of the specification, their ids rising.
    pub fn all() -> &'static [Self] {
        OBJECTS
    }

    /// The object id.
    pub fn id(&self) -> u8 {
        self.id
    }

    /// The property's name, for example `temperature`. Several ids may share one: they differ in width and factor.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The unit, for example `°C`; `None` for what has none.
    pub fn unit(&self) -> Option<&'static str> {
        Some(self.unit).filter(|unit| !unit.is_empty())
    }
}

const fn object(id: u8, layout: Layout, name: &'static str) -> Object {
    Object { id, layout, name, unit: "", multiplier: 1, decimals: 0 }
}

/// A number: its factor is `10^-decimals`.
const fn number(id: u8, layout: Layout, name: &'static str, decimals: u8, unit: &'static str) -> Object {
    Object { id, layout, name, unit, multiplier: 1, decimals }
}

const fn flag(id: u8, name: &'static str) -> Object {
    object(id, Layout::Flag, name)
}

const U8: Layout = Layout::Unsigned(1);
const U16: Layout = Layout::Unsigned(2);
const U24: Layout = Layout::Unsigned(3);
const U32: Layout = Layout::Unsigned(4);
const I8: Layout = Layout::Signed(1);
const I16: Layout = Layout::Signed(2);
const I32: Layout = Layout::Signed(4);

/// The packet id, which the receiver compares and no one measures.
pub(super) const PACKET_ID: u8 = 0x00;

static OBJECTS: &[Object] = &[
    number(PACKET_ID, U8, "packet_id", 0, ""),
    number(0x01, U8, "battery", 0, "%"),
    number(0x02, I16, "temperature", 2, "°C"),
    number(0x03, U16, "humidity", 2, "%"),
    number(0x04, U24, "pressure", 2, "hPa"),
    number(0x05, U24, "illuminance", 2, "lx"),
    number(0x06, U16, "mass", 2, "kg"),
    number(0x07, U16, "mass", 2, "lb"),
    number(0x08, I16, "dewpoint", 2, "°C"),
    number(0x09, U8, "count", 0, ""),
    number(0x0a, U24, "energy", 3, "kWh"),
    number(0x0b, U24, "power", 2, "W"),
    number(0x0c, U16, "voltage", 3, "V"),
    number(0x0d, U16, "pm2.5", 0, "µg/m³"),
    number(0x0e, U16, "pm10", 0, "µg/m³"),
    flag(0x0f, "generic_boolean"),
    flag(0x10, "power_on"),
    flag(0x11, "opening"),
    number(0x12, U16, "co2", 0, "ppm"),
    number(0x13, U16, "tvoc", 0, "µg/m³"),
    number(0x14, U16, "moisture", 2, "%"),
    flag(0x15, "battery_low"),
    flag(0x16, "battery_charging"),
    flag(0x17, "carbon_monoxide"),
    flag(0x18, "cold"),
    flag(0x19, "connectivity"),
    flag(0x1a, "door"),
    flag(0x1b, "garage_door"),
    flag(0x1c, "gas_detected"),
    flag(0x1d, "heat"),
    flag(0x1e, "light"),
    flag(0x1f, "lock"),
    flag(0x20, "moisture_detected"),
    flag(0x21, "motion"),
    flag(0x22, "moving"),
    flag(0x23, "occupancy"),
    flag(0x24, "plug"),
    flag(0x25, "presence"),
    flag(0x26, "problem"),
    flag(0x27, "running"),
    flag(0x28, "safety"),
    flag(0x29, "smoke"),
    flag(0x2a, "sound"),
    flag(0x2b, "tamper"),
    flag(0x2c, "vibration"),
    flag(0x2d, "window"),
    number(0x2e, U8, "humidity", 0, "%"),
    number(0x2f, U8, "moisture", 0, "%"),
    object(0x3a, Layout::Button, "button"),
    object(0x3b, Layout::Command, "command"),
    object(0x3c, Layout::Dimmer, "dimmer"),
    number(0x3d, U16, "count", 0, ""),
    number(0x3e, U32, "count", 0, ""),
    number(0x3f, I16, "rotation", 1, "°"),
    number(0x40, U16, "distance", 0, "mm"),
    number(0x41, U16, "distance", 1, "m"),
    number(0x42, U24, "duration", 3, "s"),
    number(0x43, U16, "current", 3, "A"),
    number(0x44, U16, "speed", 2, "m/s"),
    number(0x45, I16, "temperature", 1, "°C"),
    number(0x46, U8, "uv_index", 1, ""),
    number(0x47, U16, "volume", 1, "L"),
    number(0x48, U16, "volume", 0, "mL"),
    number(0x49, U16, "volume_flow_rate", 3, "m³/h"),
    number(0x4a, U16, "voltage", 1, "V"),
    number(0x4b, U24, "gas", 3, "m³"),
    number(0x4c, U32, "gas", 3, "m³"),
    number(0x4d, U32, "energy", 3, "kWh"),
    number(0x4e, U32, "volume", 3, "L"),
    number(0x4f, U32, "water", 3, "L"),
    object(0x50, Layout::Time, "timestamp"),
    number(0x51, U16, "acceleration", 3, "m/s²"),
    number(0x52, U16, "gyroscope", 3, "°/s"),
    object(0x53, Layout::Text, "text"),
    object(0x54, Layout::Raw, "raw"),
    number(0x55, U32, "volume_storage", 3, "L"),
    number(0x56, U16, "conductivity", 0, "µS/cm"),
    number(0x57, I8, "temperature", 0, "°C"),
    // The one factor that is no power of ten: 0.35.
    Object { multiplier: 35, ..number(0x58, I8, "temperature", 2, "°C") },
    number(0x59, I8, "count", 0, ""),
    number(0x5a, I16, "count", 0, ""),
    number(0x5b, I32, "count", 0, ""),
    number(0x5c, I32, "power", 2, "W"),
    number(0x5d, I16, "current", 3, "A"),
    number(0x5e, U16, "direction", 2, "°"),
    number(0x5f, U16, "precipitation", 1, "mm"),
    number(0x60, U8, "channel", 0, ""),
    number(0x61, U16, "rotational_speed", 0, "rpm"),
    number(0x62, I32, "speed", 6, "m/s"),
    number(0x63, I32, "acceleration", 6, "m/s²"),
    number(0x64, U8, "light_level", 0, ""),
    number(0x65, U8, "settings_revision", 0, ""),
    number(0xf0, U16, "device_type_id", 0, ""),
    object(0xf1, Layout::Version(4), "firmware_version"),
    object(0xf2, Layout::Version(3), "firmware_version"),
];

/// Where in [`OBJECTS`] an id stands; past its end for ids that the specification does not have.
static INDEX: [u8; 256] = {
    let mut index = [u8::MAX; 256];
    let mut at = 0;
    while at < OBJECTS.len() {
        index[OBJECTS[at].id as usize] = at as u8;
        at += 1;
    }
    index
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_rise_and_each_is_found() {
        assert!(Object::all().is_sorted_by(|a, b| a.id < b.id));
        for object in Object::all() {
            assert_eq!(Object::of(object.id), Some(object));
        }
        assert_eq!((0..=255).filter_map(Object::of).count(), Object::all().len());
        assert_eq!(Object::of(0x66), None);
    }

    /// A reader of `{name, value, unit}` must be able to rely on the value's kind.
    #[test]
    fn one_name_has_one_kind_of_value() {
        let is_flag = |object: &Object| object.layout == Layout::Flag;
        for a in Object::all() {
            for b in Object::all().iter().filter(|b| b.name == a.name) {
                assert_eq!(is_flag(a), is_flag(b), "{}", a.name);
            }
        }
    }
}
