//! Turns what BlueZ reports of devices into what a receiver heard.
//!
//! BlueZ tells of an advertisement in pieces: signal strength, manufacturer data and service data, each in an event
//! of its own and the signal strength only when it changed. The [`Translator`] therefore keeps the last RSSI of each
//! device, for at most [`MAX_DEVICES`]; beyond that the one unheard for longest goes. An RSSI is never invented:
//! a payload without one is lost, and counted.
//!
//! An advertisement with neither manufacturer nor service data is not heard: BlueZ tells of it by RSSI alone, as it
//! does of every other.

use crate::{
    capture::{Heard, Told},
    clock::Now,
    plan::Layouts,
    private::Address,
};
use btleplug::api::{PeripheralProperties, bleuuid::BleUuid};
use std::collections::HashMap;
use vitrine_protocol::{Id, advertisement::Malformed, frame::Frame, layout::Payload};

/// Most devices remembered. A busy store has some hundreds in the air at once and sees 100 000 random addresses
/// a day; a forgotten device costs one question to BlueZ.
const MAX_DEVICES: usize = 4096;

/// What BlueZ said of one device at once.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) address: Address,
    /// In dBm; `None` where it has not changed, or is not available.
    rssi_dbm: Option<i8>,
    payloads: Vec<Read>,
}

/// What a payload told.
type Read = Result<Told, Malformed>;

impl Report {
    /// A new RSSI. `None` where `id` does not hold an address; so for the others.
    pub(super) fn of_rssi(id: &str, rssi: i16) -> Option<Self> {
        Some(Self { address: address(id)?, rssi_dbm: None, payloads: Vec::new() }.with_rssi(Some(rssi)))
    }

    /// Manufacturer data by company.
    pub(super) fn of_manufacturer_data(
        id: &str,
        data: &HashMap<u16, Vec<u8>>,
        layouts: &Layouts,
    ) -> Option<Self> {
        Some(Self { address: address(id)?, rssi_dbm: None, payloads: manufacturer(data, layouts).collect() })
    }

    /// Service data by UUID.
    pub(super) fn of_service_data(
        id: &str,
        data: &HashMap<impl BleUuid + AsRef<[u8]>, Vec<u8>>,
        layouts: &Layouts,
    ) -> Option<Self> {
        Some(Self { address: address(id)?, rssi_dbm: None, payloads: service(data, layouts).collect() })
    }

    /// All that BlueZ holds of a device. `None` where that is its memory of an earlier scan: an RSSI is there only
    /// while the device is heard.
    pub(super) fn of_properties(properties: PeripheralProperties, layouts: &Layouts) -> Option<Self> {
        let manufacturer = manufacturer(&properties.manufacturer_data, layouts);
        let payloads = manufacturer.chain(service(&properties.service_data, layouts));
        let address = Address::new(properties.address.into_inner());
        let report = Self { address, rssi_dbm: None, payloads: payloads.collect() };
        Some(report.with_rssi(Some(properties.rssi?)))
    }

    /// The same with an RSSI, unless that is none: Bluetooth Core 5.4, vol. 4 part E 7.7.65.2, has -127 to 20 dBm
    /// and 127 for "not available".
    pub(super) fn with_rssi(self, rssi: Option<i16>) -> Self {
        let valid = rssi.filter(|rssi| (-127..=20).contains(rssi));
        Self { rssi_dbm: valid.and_then(|rssi| i8::try_from(rssi).ok()), ..self }
    }
}

/// The address at the end of a device's path on D-Bus: `hci0/dev_C0_B1_E1_AB_00_01`.
fn address(id: &str) -> Option<Address> {
    let (_, address) = id.rsplit_once("/dev_")?;
    Address::parse(&address.replace('_', ":"))
}

fn manufacturer(data: &HashMap<u16, Vec<u8>>, layouts: &Layouts) -> impl Iterator<Item = Read> {
    data.iter().map(|(&company, data)| {
        let payload = Payload::Manufacturer { company, data };
        Told::new(Frame::from_manufacturer_data(company, data), Some(payload), layouts)
    })
}

fn service(
    data: &HashMap<impl BleUuid + AsRef<[u8]>, Vec<u8>>,
    layouts: &Layouts,
) -> impl Iterator<Item = Read> {
    data.iter().map(|(uuid, data)| match uuid.to_ble_u16() {
        Some(uuid) => {
            let payload = Payload::Service16 { uuid, data };
            Told::new(Frame::from_service_data(uuid, data), Some(payload), layouts)
        }
        None => {
            let uuid = uuid.as_ref().try_into().ok();
            let payload = uuid.map(|uuid| Payload::Service128 { uuid, data });
            Told::new(Ok(None), payload, layouts)
        }
    })
}

/// What an advertisement came to, or as much of it as BlueZ told at once.
#[derive(Debug, Default)]
pub(super) struct Advertisement {
    /// Each frame; one without a frame where no format is known.
    pub(super) heard: Vec<Heard>,
    /// Some payload was malformed. It is not in `heard`.
    pub(super) malformed: bool,
    /// Nothing is in `heard`, for want of an RSSI.
    pub(super) no_rssi: bool,
}

/// What one receiver hears.
pub(super) struct Translator {
    receiver: Id,
    devices: HashMap<Address, Device>,
}

struct Device {
    rssi_dbm: i8,
    heard_ms: u64,
}

impl Translator {
    pub(super) fn new(receiver: Id) -> Self {
        Self { receiver, devices: HashMap::new() }
    }

    /// Whether a payload of the device can do without an RSSI.
    pub(super) fn knows_rssi(&self, address: Address) -> bool {
        self.devices.contains_key(&address)
    }

    /// Takes a report; `None` where it has no payload.
    pub(super) fn handle(&mut self, report: Report, now: Now) -> Option<Advertisement> {
        let Report { address, rssi_dbm, payloads } = report;
        let rssi_dbm = self.remember(address, rssi_dbm, now.mono_ms);
        if payloads.is_empty() {
            return None;
        }
        let malformed = payloads.iter().any(Result::is_err);
        let Some(rssi_dbm) = rssi_dbm else {
            return Some(Advertisement { heard: Vec::new(), malformed, no_rssi: true });
        };
        let mut told: Vec<_> = payloads.into_iter().flatten().filter(Told::is_something).collect();
        if told.is_empty() && !malformed {
            told.push(Told::default());
        }
        let receiver = self.receiver;
        let heard = |Told { frame, beacon }| Heard {
            at: now,
            receiver,
            address: Some(address),
            rssi_dbm,
            frame,
            beacon,
        };
        Some(Advertisement { heard: told.into_iter().map(heard).collect(), malformed, no_rssi: false })
    }

    /// The device's RSSI: the one given, or else the last one.
    fn remember(&mut self, address: Address, rssi_dbm: Option<i8>, now_ms: u64) -> Option<i8> {
        let rssi_dbm = rssi_dbm.or_else(|| self.devices.get(&address).map(|device| device.rssi_dbm))?;
        if self.devices.len() >= MAX_DEVICES && !self.devices.contains_key(&address) {
            let unheard_longest = self.devices.iter().min_by_key(|(_, device)| device.heard_ms);
            if let Some(address) = unheard_longest.map(|(&address, _)| address) {
                self.devices.remove(&address);
            }
        }
        self.devices.insert(address, Device { rssi_dbm, heard_ms: now_ms });
        Some(rssi_dbm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use btleplug::api::bleuuid::{uuid_from_u16, uuid_from_u32};
    use vitrine_protocol::{
        event::Clock,
        frame::{APPLE_COMPANY, EDDYSTONE_UUID16, EddystoneUid, IBeacon},
        time::Timestamp,
    };

    const DEVICE: &str = "hci0/dev_C0_B1_E1_AB_00_01";

    fn at(ms: u64) -> Now {
        Now { mono_ms: ms, utc: Timestamp::from_ms(0), source: Clock::Synced }
    }

    fn translator() -> Translator {
        Translator::new(Id::new("door").unwrap())
    }

    fn device(index: usize) -> String {
        format!("hci0/dev_C0_00_00_00_{:02X}_{:02X}", index >> 8, index & 0xff)
    }

    fn rssi(id: &str, rssi: i16) -> Report {
        Report::of_rssi(id, rssi).unwrap()
    }

    fn manufacturer_data(id: &str, company: u16, data: &[u8]) -> Report {
        Report::of_manufacturer_data(id, &[(company, data.to_vec())].into(), &Layouts::default()).unwrap()
    }

    fn ibeacon() -> (IBeacon, Vec<u8>) {
        let frame = IBeacon { uuid: [0xe2; 16], major: 1, minor: 2, measured_power_dbm: -59 };
        (frame, frame.encode()[7..].to_vec())
    }

    fn uid() -> (EddystoneUid, Vec<u8>) {
        let frame = EddystoneUid { tx_power_dbm: -20, namespace: [1; 10], instance: [2; 6] };
        (frame, frame.encode()[11..].to_vec())
    }

    /// RSSI and frame of each.
    fn heard(advertisement: Option<Advertisement>) -> Vec<(i8, Option<Frame>)> {
        advertisement.unwrap().heard.iter().map(|heard| (heard.rssi_dbm, heard.frame)).collect()
    }

    #[test]
    fn a_payload_takes_the_last_rssi_of_its_device() {
        let (mut translator, (frame, data)) = (translator(), ibeacon());
        assert!(translator.handle(rssi(DEVICE, -50), at(0)).is_none());
        assert!(translator.handle(rssi(&device(1), -90), at(0)).is_none());
        for ms in [1, 60_000] {
            let advertisement = translator.handle(manufacturer_data(DEVICE, APPLE_COMPANY, &data), at(ms));
            assert_eq!(heard(advertisement), [(-50, Some(Frame::IBeacon(frame)))]);
        }
        translator.handle(rssi(DEVICE, -61), at(60_001));
        let advertisement =
            translator.handle(manufacturer_data(DEVICE, APPLE_COMPANY, &data), at(60_001)).unwrap();
        let [heard] = advertisement.heard[..] else { panic!("one frame") };
        assert_eq!((heard.rssi_dbm, heard.at, heard.receiver.as_str()), (-61, at(60_001), "door"));
        assert_eq!(heard.address, Address::parse("c0b1e1ab0001"));
    }

    #[test]
    fn a_payload_without_rssi_is_lost_and_says_so() {
        let mut translator = translator();
        for not_available in [127, 21, -128, 300] {
            translator.handle(rssi(DEVICE, not_available), at(0));
        }
        let advertisement =
            translator.handle(manufacturer_data(DEVICE, APPLE_COMPANY, &ibeacon().1), at(1)).unwrap();
        assert!(advertisement.no_rssi && advertisement.heard.is_empty() && !advertisement.malformed);
    }

    #[test]
    fn service_data_counts_by_its_16_bit_uuid() {
        let (mut translator, (frame, data)) = (translator(), uid());
        translator.handle(rssi(DEVICE, -70), at(0));
        let mut frame_of = |uuid| {
            let report =
                Report::of_service_data(DEVICE, &[(uuid, data.clone())].into(), &Layouts::default()).unwrap();
            heard(translator.handle(report, at(1)))
        };
        assert_eq!(frame_of(uuid_from_u16(EDDYSTONE_UUID16)), [(-70, Some(Frame::EddystoneUid(frame)))]);
        assert_eq!(frame_of(uuid_from_u16(0xfeab)), [(-70, None)]);
        assert_eq!(frame_of(uuid_from_u32(0x0001_feaa)), [(-70, None)]);
    }

    #[test]
    fn a_first_advertisement_is_heard_with_all_its_frames() {
        let (ibeacon, uid) = (ibeacon(), uid());
        let properties = PeripheralProperties {
            address: [0xc0, 0xb1, 0xe1, 0xab, 0, 1].into(),
            rssi: Some(-44),
            manufacturer_data: [(APPLE_COMPANY, ibeacon.1)].into(),
            service_data: [(uuid_from_u16(EDDYSTONE_UUID16), uid.1)].into(),
            ..PeripheralProperties::default()
        };
        let stale = PeripheralProperties { rssi: None, ..properties.clone() };
        assert!(Report::of_properties(stale, &Layouts::default()).is_none());
        let mut translator = translator();
        let advertisement =
            translator.handle(Report::of_properties(properties, &Layouts::default()).unwrap(), at(0));
        let frames = [Frame::IBeacon(ibeacon.0), Frame::EddystoneUid(uid.0)];
        assert_eq!(heard(advertisement), frames.map(|frame| (-44, Some(frame))));
        assert!(translator.knows_rssi(Address::parse("c0b1e1ab0001").unwrap()));
    }

    #[test]
    fn a_malformed_payload_is_not_heard_and_hides_no_other() {
        let mut translator = translator();
        translator.handle(rssi(DEVICE, -70), at(0));
        let cut = &ibeacon().1[..10];
        let advertisement = translator.handle(manufacturer_data(DEVICE, APPLE_COMPANY, cut), at(1)).unwrap();
        assert!(advertisement.malformed && advertisement.heard.is_empty());

        let told = |frame| Told::new(frame, None, &Layouts::default());
        let malformed = Frame::from_manufacturer_data(APPLE_COMPANY, cut);
        let payloads = vec![told(malformed), told(Ok(Some(Frame::EddystoneUid(uid().0))))];
        let report = Report { payloads, ..rssi(DEVICE, -71) };
        let advertisement = translator.handle(report, at(2)).unwrap();
        assert!(advertisement.malformed);
        assert_eq!(heard(Some(advertisement)), [(-71, Some(Frame::EddystoneUid(uid().0)))]);
    }

    #[test]
    fn an_unknown_payload_is_heard_once_without_a_frame() {
        let mut translator = translator();
        translator.handle(rssi(DEVICE, -70), at(0));
        let data = [(0xfffe, vec![1]), (APPLE_COMPANY, vec![0x10, 0x05])].into();
        let advertisement = translator
            .handle(Report::of_manufacturer_data(DEVICE, &data, &Layouts::default()).unwrap(), at(1))
            .unwrap();
        assert!(!advertisement.malformed);
        assert_eq!(heard(Some(advertisement)), [(-70, None)]);
    }

    #[test]
    fn what_a_layout_of_the_plan_reads_is_heard_with_its_beacon() {
        let plan = "version = 1\nplan = '1'\n
            [[layouts]]\nid = 'short'\nlayout = 's:0-1=feaa,m:2-2=10,i:3-3'\n
            [[layouts]]\nid = 'long'\nlayout = 's:0-15=12345678-9abc-def0-1234-56789abcdef0,i:16-17'\n
            [[beacons]]\nid = 'a'\ncarrier = 'cart'\nlayout = { id = 'short', identifiers = [1] }\n
            [[beacons]]\nid = 'b'\ncarrier = 'cart'\nlayout = { id = 'long', identifiers = [2] }\n";
        let plan = crate::plan::parse(plan).unwrap();
        let hear = |uuid, data: &[u8]| {
            let mut translator = translator();
            translator.handle(rssi(DEVICE, -70), at(0));
            let report = Report::of_service_data(DEVICE, &[(uuid, data.to_vec())].into(), &plan.layouts);
            let advertisement = translator.handle(report.unwrap(), at(1)).unwrap();
            let heard = advertisement.heard.first().map(|heard| (heard.frame, heard.beacon.is_some()));
            (advertisement.malformed, heard)
        };
        let long = "12345678-9abc-def0-1234-56789abcdef0".parse().unwrap();
        assert_eq!(hear(long, &[0, 2]), (false, Some((None, true))));
        assert_eq!(hear(long, &[0, 3]), (false, Some((None, false))));
        let cut_short = [0x10, 1];
        assert_eq!(hear(uuid_from_u16(EDDYSTONE_UUID16), &cut_short), (false, Some((None, true))));
        assert_eq!(hear(uuid_from_u16(EDDYSTONE_UUID16), &[0x10, 9]), (true, None));
    }

    #[test]
    fn the_device_unheard_for_longest_is_forgotten_first() {
        let mut translator = translator();
        for index in 0..MAX_DEVICES {
            translator.handle(rssi(&device(index), -70), at(index as u64));
        }
        // A payload is a sign of life too.
        translator.handle(manufacturer_data(&device(0), 0xfffe, &[1]), at(5000));
        for index in MAX_DEVICES..MAX_DEVICES + 2 {
            translator.handle(rssi(&device(index), -70), at(5001));
        }
        assert_eq!(translator.devices.len(), MAX_DEVICES);
        let known = |index| translator.knows_rssi(address(&device(index)).unwrap());
        assert_eq!(
            [0, 1, 2, 3, MAX_DEVICES, MAX_DEVICES + 1].map(known),
            [true, false, false, true, true, true]
        );
    }

    #[test]
    fn a_path_without_an_address_is_passed_over() {
        for id in ["", "hci0", "hci0/dev_", "hci0/dev_C0_B1_E1_AB_00", "hci0/dev_C0_B1_E1_AB_00_0G"] {
            assert!(Report::of_rssi(id, -50).is_none(), "{id:?}");
        }
    }
}
