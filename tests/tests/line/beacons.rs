//! From firmware to platform: beacons that run the firmware's core, heard by the agent through the air and BlueZ, and
//! counted by a subscriber of the broker. What they do comes out of the octets that are flashed.

use crate::radio::plan;
use std::{convert::Infallible, fmt::Write, thread, time::Duration};
use vitrine_agent::clock::Clock;
use vitrine_firmware::{
    Address, BatteryMonitor, BatteryReading, Beacon, Channel, Cipher, Config, Content, Entropy, Identity,
    Interval, NoStore, Parts, Pdu, Radio, Settings, Slot, Start, image::Image,
};
use vitrine_protocol::{
    advertisement::{MANUFACTURER_DATA, SERVICE_DATA_16, Structure, structures},
    frame::{EddystoneUid, IBeacon},
    identity::DeviceKey,
};
use vitrine_tests::{
    agent::Agent,
    bluez::{FakeBluez, Payload},
    mosquitto::Mosquitto,
    subscriber::Subscriber,
    wait::wait_for,
};

/// More than the smallest count that is released.
const CARTS: u8 = 12;
/// Beacons of somebody else's, that rotate.
const STRANGERS: u8 = 3;
const UUID: [u8; 16] = *b"carts of a store";
const NAMESPACE: [u8; 10] = *b"of a store";
const ON_AIR_MS: u64 = 4_000;

#[test]
fn carts_with_the_firmware_are_counted_by_the_platform() {
    let bluez = FakeBluez::start();
    let broker = Mosquitto::start("");
    let platform = Subscriber::start(&broker);
    let mut agent = Agent::new(broker.port, &plan(&tables())).with_radio(bluez.bus_address(), "front");
    agent.start();
    bluez.wait_for_scan();

    let mut beacons: Vec<_> = (0..CARTS).map(cart).chain((0..STRANGERS).map(stranger)).collect();
    let clock = Clock::system();
    while clock.now().mono_ms < ON_AIR_MS {
        thread::sleep(Duration::from_millis(1));
        for (index, beacon) in beacons.iter_mut().enumerate() {
            beacon.advertise(clock.now().mono_ms).unwrap();
            // A receiver listens to one channel at a time: of each three PDUs it hears one.
            for (channel, pdu) in beacon.radio_mut().0.drain(..) {
                if channel == Channel::ALL[index % 3] {
                    bluez.advertise(&address_text(&pdu), -76 - (index % 4) as i16, payload(&pdu));
                }
            }
        }
    }
    for beacon in &beacons {
        let counters = beacon.counters();
        assert!(counters.pdus_sent > 3 * ON_AIR_MS as u32 / 400, "{counters:?}");
    }
    assert!(agent.terminate().success());

    let feed = wait_for("the window's release", 30, || {
        let feed = platform.feed();
        (!feed.of_type("coverage").is_empty()).then_some(feed)
    });
    assert_eq!(feed.of_type("coverage")[0]["carriers"], CARTS, "carts, and no stranger");
    let carriers = feed.of_type("carriers");
    assert_eq!(carriers.len(), 1, "{carriers:?}");
    assert_eq!((&carriers[0]["zone"], &carriers[0]["visits"]), (&"entrance".into(), &CARTS.into()));
}

type TestBeacon = Beacon<Air, Seeded, Cell>;

/// Half of them are iBeacons, half send Eddystone-UID; all tell of their battery.
fn cart(index: u8) -> TestBeacon {
    let me = if index.is_multiple_of(2) {
        Content::fixed(
            &IBeacon { uuid: UUID, major: 1, minor: index.into(), measured_power_dbm: -59 }.encode(),
        )
    } else {
        Content::fixed(
            &EddystoneUid { tx_power_dbm: -20, namespace: NAMESPACE, instance: [index; 6] }.encode(),
        )
    };
    let mut settings = Settings::default();
    settings.slots.push(every(200, me));
    settings.slots.push(every(1_000, Content::Tlm));
    beacon(index, settings, [0xc0, 1, 2, 3, 4, index])
}

fn stranger(index: u8) -> TestBeacon {
    let identity = Some(Identity::Device(DeviceKey::new([index; 16])));
    let mut settings = Settings { identity, ..Settings::default() };
    settings.slots.push(every(200, Content::Eid { tx_power_dbm: -18 }));
    beacon(100 + index, settings, [0xc0, 9, 9, 9, 9, index])
}

fn every(ms: u32, content: Content) -> Slot {
    Slot::every(Interval::from_ms(ms).unwrap(), 0, content)
}

/// Configured by what would be flashed.
fn beacon(seed: u8, settings: Settings, address: [u8; 6]) -> TestBeacon {
    let flashed =
        Image { config: Config::check(settings).unwrap(), serial: 1, time_s: 1_764_000_000 }.encode();
    let Image { config, .. } = Image::decode::<Infallible>(&flashed).unwrap().expect("the image is whole");
    let parts = Parts {
        radio: Air::default(),
        entropy: Seeded(fastrand::Rng::with_seed(seed.into())),
        battery: Cell,
        store: NoStore,
        cipher: Cipher::SOFTWARE,
    };
    Beacon::new(config, Address::random_static(address).unwrap(), parts, Start::unlogged(0), 0)
}

/// What is on air.
#[derive(Default)]
struct Air(Vec<(Channel, Pdu)>);

impl Radio for Air {
    type Error = Infallible;

    fn transmit(&mut self, channel: Channel, pdu: &Pdu, _power_dbm: i8) -> Result<(), Infallible> {
        self.0.push((channel, *pdu));
        Ok(())
    }
}

struct Seeded(fastrand::Rng);

impl Entropy for Seeded {
    fn next_u32(&mut self) -> u32 {
        self.0.u32(..)
    }
}

struct Cell;

impl BatteryMonitor for Cell {
    fn sample(&mut self) -> BatteryReading {
        BatteryReading { battery_mv: Some(2_900), temperature_c_256: Some(21 * 256) }
    }
}

/// The plan's tables of the carts.
fn tables() -> String {
    (0..CARTS).fold(String::new(), |mut text, index| {
        let transmits = if index.is_multiple_of(2) {
            format!("ibeacon = {{ uuid = \"{}\", major = 1, minor = {index} }}", hex(&UUID))
        } else {
            let (namespace, instance) = (hex(&NAMESPACE), hex(&[index; 6]));
            format!("eddystone_uid = {{ namespace = \"{namespace}\", instance = \"{instance}\" }}")
        };
        write!(text, "[[beacons]]\nid = \"flashed-{index}\"\ncarrier = \"cart\"\n{transmits}\n").unwrap();
        text
    })
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// What BlueZ makes of a PDU: the advertiser's address.
fn address_text(pdu: &Pdu) -> String {
    pdu.address().octets().map(|octet| format!("{octet:02X}")).join(":")
}

/// What BlueZ makes of a PDU: the structure that is not its own business.
fn payload(pdu: &Pdu) -> Payload {
    structures(pdu.advertising_data())
        .find_map(|structure| {
            let Structure { ad_type, data, .. } = structure.unwrap();
            let (&id, rest) = data.split_first_chunk()?;
            let id = u16::from_le_bytes(id);
            match ad_type {
                MANUFACTURER_DATA => Some(Payload::Manufacturer(id, rest.into())),
                SERVICE_DATA_16 => Some(Payload::Service(id, rest.into())),
                _ => None,
            }
        })
        .expect("a frame is in manufacturer or service data")
}
