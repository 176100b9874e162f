//! The configuration as it lies in flash: versioned, checked, and in two copies.
//!
//! [`load`] takes the newer copy that is whole. [`save`] never touches that one: it erases and programs the other, so
//! a power cut at any moment leaves a whole configuration, the old one or the new one.
//!
//! # Format, version 1
//!
//! Numbers are little endian. A copy begins its page:
//!
//! | at | octets | |
//! |---|---|---|
//! | 0 | 4 | `56 74 72 62` ("Vtrb") |
//! | 4 | 1 | version: 1 |
//! | 5 | 1 | 0 |
//! | 6 | 2 | length of the body |
//! | 8 | 4 | serial number: the copy with the higher one is the newer |
//! | 12 | 4 | beacon time when it was made, in seconds: 1970-01-01 UTC is 0 |
//! | 16 | | body |
//! | then | 4 | CRC-32C (iSCSI) of all before |
//!
//! Body: quiet hours (2 from, 2 until; both 0xffff for none), low battery (2 below in mV, 1 stretch; stretch 0 for
//! none), holds (4 times 2: motion, button, contact, presence, in s), identity (1: 0 none, 1 device key, 2 Eddystone;
//! then 16 of the key unless none, and 1 exponent for Eddystone), number of slots (1), and each slot: kind (1), power
//! in dBm (1), interval in ms (4; 0 for none), fast interval in ms (4; 0 for none), inputs that start it (1), and what
//! the kind needs:
//!
//! | kind | | octets |
//! |---|---|---|
//! | 1 | fixed content | 1 length, the advertising data |
//! | 2 | Eddystone-TLM | none |
//! | 3 | Eddystone-EID | 1 power at 0 m in dBm |
//! | 4 | Eddystone-eTLM | none |
//! | 5 | secure frame | 2 company |
//!
//! A reader refuses versions, kinds and identities that it does not know: the other copy is used.

use crate::{
    Config, Content, Error, Fast, Holds, Identity, Interval, LowBattery, Page, QuietHours, Settings, Slot,
    Store, Triggers, pdu::AdvertisingData, store::WORD,
};
use arrayvec::ArrayVec;
use crc::{CRC_32_ISCSI, Crc, NoTable};
use vitrine_protocol::identity::{DeviceKey, Exponent, IdentityKey};

/// Octets of the longest copy, with its CRC.
pub const IMAGE_MAX: usize = 512;

const MAGIC: [u8; 4] = *b"Vtrb";
const VERSION: u8 = 1;
const HEADER: usize = 16;
/// Bit by bit: the table would be a kilobyte of flash for what is done once a power-up.
pub(crate) const CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISCSI);

/// A copy of the configuration.
#[derive(Clone, Debug)]
pub struct Image {
    /// What it configures.
    pub config: Config,
    /// The higher is the newer.
    pub serial: u32,
    /// Beacon time when it was made, in seconds.
    pub time_s: u32,
}

impl Image {
    /// The octets of a copy, filled up with 0xff to whole words of the store.
    pub fn encode(&self) -> ArrayVec<u8, IMAGE_MAX> {
        let body = encode_body(&self.config);
        let mut out = ArrayVec::new();
        put(&mut out, &MAGIC);
        put(&mut out, &[VERSION, 0]);
        put(&mut out, &(body.len() as u16).to_le_bytes());
        put(&mut out, &self.serial.to_le_bytes());
        put(&mut out, &self.time_s.to_le_bytes());
        put(&mut out, &body);
        let crc = CRC.checksum(&out);
        put(&mut out, &crc.to_le_bytes());
        while !out.len().is_multiple_of(WORD) {
            put(&mut out, &[0xff]);
        }
        out
    }

    /// Reads a copy that `page` begins with; `None` where there is no whole one of a known version.
    ///
    /// # Errors
    /// [`Error::Configuration`] where it is whole but cannot be used.
    pub fn decode<E>(page: &[u8]) -> Result<Option<Self>, Error<E>> {
        let Some((settings, serial, time_s)) = whole(page).and_then(|(head, body)| {
            let mut head = Reader(head.get(8..)?);
            Some((decode_body(body)?, head.u32()?, head.u32()?))
        }) else {
            return Ok(None);
        };
        let config = Config::check(settings).map_err(Error::Configuration)?;
        Ok(Some(Self { config, serial, time_s }))
    }
}

/// The newer copy that is whole and can be used.
///
/// # Errors
/// [`Error::NoConfiguration`]; where there is none, the error of a copy that cannot be used, or of the store.
pub fn load<S: Store>(store: &mut S) -> Result<Image, Error<S::Error>> {
    let mut best: Result<Image, Error<S::Error>> = Err(Error::NoConfiguration);
    for page in Page::CONFIG {
        match (read(store, page), &best) {
            (Ok(Some(image)), Ok(other)) if image.serial <= other.serial => {}
            (Ok(Some(image)), _) => best = Ok(image),
            (Err(error), Err(_)) => best = Err(error),
            (Ok(None) | Err(_), _) => {}
        }
    }
    best
}

/// Writes `config` over the copy that [`load`] would not take.
///
/// # Errors
/// [`Error::Store`]: the configuration in use is still whole.
pub fn save<S: Store>(store: &mut S, config: Config, time_s: u32) -> Result<(), Error<S::Error>> {
    let [a, b] = Page::CONFIG.map(|page| read(store, page).ok().flatten().map(|image| image.serial));
    let page = if a > b { Page::ConfigB } else { Page::ConfigA };
    let serial = a.max(b).map_or(1, |newest| newest.saturating_add(1));
    let bytes = Image { config, serial, time_s }.encode();
    let failed = |cause| Error::Store { page, cause };
    store.erase(page).map_err(failed)?;
    store.program(page, 0, &bytes).map_err(failed)
}

fn read<S: Store>(store: &mut S, page: Page) -> Result<Option<Image>, Error<S::Error>> {
    let mut bytes = [0; IMAGE_MAX];
    store.read(page, 0, &mut bytes).map_err(|cause| Error::Store { page, cause })?;
    Image::decode(&bytes)
}

/// Header and body of a copy with a known version and the right CRC.
fn whole(page: &[u8]) -> Option<(&[u8], &[u8])> {
    let (head, rest) = page.split_at_checked(HEADER)?;
    let mut fields = Reader(head);
    if fields.take()? != MAGIC || fields.take()? != [VERSION, 0] {
        return None;
    }
    let (body, rest) = rest.split_at_checked(fields.u16()?.into())?;
    let mut digest = CRC.digest();
    digest.update(head);
    digest.update(body);
    (Reader(rest).u32()? == digest.finalize()).then_some((head, body))
}

fn encode_body(config: &Config) -> ArrayVec<u8, { IMAGE_MAX - HEADER - 4 }> {
    let mut out = ArrayVec::new();
    let quiet = config.quiet.map_or([0xffff; 2], |quiet| [quiet.from_min, quiet.until_min]);
    put(&mut out, quiet.map(u16::to_le_bytes).as_flattened());
    let (below_mv, stretch) = config.low_battery.map_or((0, 0), |low| (low.below_mv, low.stretch));
    put(&mut out, &below_mv.to_le_bytes());
    put(&mut out, &[stretch]);
    let Holds { motion_s, button_s, contact_s, presence_s } = config.holds;
    put(&mut out, [motion_s, button_s, contact_s, presence_s].map(u16::to_le_bytes).as_flattened());
    match &config.identity {
        None => put(&mut out, &[0]),
        Some(Identity::Device(key)) => {
            put(&mut out, &[1]);
            put(&mut out, key.expose());
        }
        Some(Identity::Eddystone(key, exponent)) => {
            put(&mut out, &[2]);
            put(&mut out, key.expose());
            put(&mut out, &[exponent.get()]);
        }
    }
    put(&mut out, &[config.slots.len() as u8]);
    for slot in &config.slots {
        encode_slot(slot, &mut out);
    }
    out
}

fn encode_slot<const N: usize>(slot: &Slot, out: &mut ArrayVec<u8, N>) {
    let kind = match slot.content {
        Content::Fixed(_) => 1,
        Content::Tlm => 2,
        Content::Eid { .. } => 3,
        Content::Etlm => 4,
        Content::Secure { .. } => 5,
    };
    put(out, &[kind, slot.power_dbm as u8]);
    put(out, &slot.interval.map_or(0, Interval::as_ms).to_le_bytes());
    put(out, &slot.fast.map_or(0, |fast| fast.interval.as_ms()).to_le_bytes());
    put(out, &[slot.fast.map_or(0, |fast| fast.on.bits())]);
    match &slot.content {
        Content::Fixed(data) => {
            put(out, &[data.len() as u8]);
            put(out, data);
        }
        Content::Eid { tx_power_dbm } => put(out, &tx_power_dbm.to_le_bytes()),
        Content::Secure { company } => put(out, &company.to_le_bytes()),
        Content::Tlm | Content::Etlm => {}
    }
}

fn decode_body(body: &[u8]) -> Option<Settings> {
    let mut body = Reader(body);
    let quiet = match (body.u16()?, body.u16()?) {
        (0xffff, 0xffff) => None,
        (from_min, until_min) => Some(QuietHours { from_min, until_min }),
    };
    let low_battery = match (body.u16()?, body.u8()?) {
        (_, 0) => None,
        (below_mv, stretch) => Some(LowBattery { below_mv, stretch }),
    };
    let holds = Holds {
        motion_s: body.u16()?,
        button_s: body.u16()?,
        contact_s: body.u16()?,
        presence_s: body.u16()?,
    };
    let identity = match body.u8()? {
        0 => None,
        1 => Some(Identity::Device(DeviceKey::new(body.take()?))),
        2 => {
            let key = IdentityKey::new(body.take()?);
            Some(Identity::Eddystone(key, Exponent::new(body.u8()?)?))
        }
        _ => return None,
    };
    let mut slots = ArrayVec::new();
    for _ in 0..body.u8()? {
        slots.try_push(decode_slot(&mut body)?).ok()?;
    }
    body.0.is_empty().then_some(Settings { slots, identity, holds, quiet, low_battery })
}

fn decode_slot(body: &mut Reader<'_>) -> Option<Slot> {
    let (kind, power_dbm) = (body.u8()?, body.i8()?);
    let interval = body.interval()?;
    let (fast, on) = (body.interval()?, Triggers::from_bits(body.u8()?));
    let content = match kind {
        1 => Content::Fixed(body.data()?),
        2 => Content::Tlm,
        3 => Content::Eid { tx_power_dbm: body.i8()? },
        4 => Content::Etlm,
        5 => Content::Secure { company: body.u16()? },
        _ => return None,
    };
    Some(Slot { content, interval, fast: fast.map(|interval| Fast { interval, on }), power_dbm })
}

/// Appends `bytes`. Configurations are bounded, so that the longest one fits: a test says so.
fn put<const N: usize>(out: &mut ArrayVec<u8, N>, bytes: &[u8]) {
    let fits = out.try_extend_from_slice(bytes).is_ok();
    debug_assert!(fits, "longer than an image may be");
}

/// Reads numbers off a slice; `None` past its end.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take().map(u8::from_le_bytes)
    }

    fn i8(&mut self) -> Option<i8> {
        self.take().map(i8::from_le_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    /// A length, and that many octets.
    fn data(&mut self) -> Option<AdvertisingData> {
        let length = self.u8()?.into();
        let (data, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        data.try_into().ok()
    }

    /// `Some(None)` for none; `None` where it is not an interval.
    fn interval(&mut self) -> Option<Option<Interval>> {
        match self.u32()? {
            0 => Some(None),
            ms => Interval::from_ms(ms).ok().map(Some),
        }
    }
}

#[cfg(test)]
mod tests;
