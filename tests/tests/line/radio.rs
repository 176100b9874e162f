//! From advertisements to counts, with nothing in between that tells one cart from another.

use std::{fmt::Write, io::Read, thread, time::Duration};
use vitrine_protocol::frame::{APPLE_COMPANY, EDDYSTONE_UUID16, EddystoneUid, IBeacon};
use vitrine_tests::{
    agent::{Agent, STORE_TOML, edit, files},
    bluez::{FakeBluez, Payload},
    mosquitto::Mosquitto,
    subscriber::Subscriber,
    wait::wait_for,
};

/// Carts of each kind of beacon: together more than the smallest count that is released.
const IBEACONS: u8 = 6;
const EDDYSTONES: u8 = 4;
const ADDRESSES: u8 = 2;
const CARTS: u64 = (IBEACONS + EDDYSTONES + ADDRESSES) as u64;

const UUID: [u8; 16] = 0x5a1d_77e0_93c4_4b2f_8e61_0d3b_c7a9_f254_u128.to_be_bytes();
const MAJOR: u16 = 48_611;
const NAMESPACE: [u8; 10] = [0x9b, 0x3e, 0xc1, 0x07, 0x5d, 0xa8, 0x62, 0xf4, 0x1c, 0xe9];

#[test]
fn carts_become_counts_and_nothing_tells_which() {
    let bluez = FakeBluez::start();
    let broker = Mosquitto::start("");
    let platform = Subscriber::start(&broker);
    let store = plan(&tables());
    // The plan itself tells of all of them: the search finds what is there.
    assert!(beacons().iter().all(|beacon| beacon.trace_in(store.as_bytes()).is_some()));
    let mut agent = Agent::new(broker.port, &store).with_radio(bluez.bus_address(), "front");
    agent.start();
    bluez.wait_for_scan();

    // In the entrance, as weak as the signal is. A stranger's phone and a staff badge are there as well.
    for round in 0..60 {
        let rssi_dbm = -76 - round % 2;
        for beacon in beacons() {
            bluez.advertise(&beacon.address_text(), rssi_dbm, beacon.payload());
        }
        bluez.advertise(
            "4C:11:22:33:44:55",
            rssi_dbm,
            Payload::Manufacturer(APPLE_COMPANY, vec![0x10, 5, 1]),
        );
        thread::sleep(Duration::from_millis(50));
    }
    let open = files(&agent.state_dir());
    assert!(agent.terminate().success());

    let feed = wait_for("the window's release", 30, || {
        let feed = platform.feed();
        feed.of_type("coverage").iter().any(|event| event["carriers"] == CARTS).then_some(feed)
    });
    let carriers = feed.of_type("carriers");
    assert_eq!(carriers.len(), 1, "{carriers:?}");
    assert_eq!((&carriers[0]["zone"], &carriers[0]["visits"]), (&"entrance".into(), &CARTS.into()));
    let traces = feed.of_type("trace");
    assert_eq!(traces.len(), 1, "{traces:?}");
    assert_eq!((&traces[0]["path"], &traces[0]["n"]), (&vec!["entrance"].into(), &CARTS.into()));

    let mut texts =
        vec![("on the wire".to_owned(), platform.raw()), ("logged".to_owned(), agent.log().into())];
    let closed = files(&agent.state_dir());
    texts
        .extend([open, closed].concat().into_iter().map(|(path, bytes)| (path.display().to_string(), bytes)));
    // The ballast is the same octet over and over, and long.
    texts.retain(|(_, bytes)| bytes.iter().any(|octet| *octet != bytes[0]));
    let unpacked: Vec<_> = texts.iter().map(|(place, bytes)| (place.clone(), unpacked(bytes))).collect();
    let carriers = unpacked.iter().any(|(_, bytes)| find(bytes, b"\"visits\":12,").is_some());
    assert!(carriers, "the spool's blocks are not looked into");
    for (place, bytes) in texts.iter().chain(&unpacked) {
        for beacon in beacons() {
            assert_eq!(beacon.trace_in(bytes), None, "{place}");
        }
    }
}

/// The plan's tables of the beacons.
fn tables() -> String {
    beacons().iter().enumerate().fold(String::new(), |mut text, (index, beacon)| {
        let kind = if matches!(beacon.kind, Kind::Badge) { "staff" } else { "cart" };
        let transmits = match beacon.kind {
            Kind::IBeacon | Kind::Badge => {
                format!(
                    "ibeacon = {{ uuid = \"{}\", major = {MAJOR}, minor = {} }}",
                    hex(&UUID),
                    beacon.minor()
                )
            }
            Kind::Eddystone => {
                let (namespace, instance) = (hex(&NAMESPACE), hex(&beacon.instance()));
                format!("eddystone_uid = {{ namespace = \"{namespace}\", instance = \"{instance}\" }}")
            }
            Kind::Address => format!("address = \"{}\"", beacon.address_text()),
        };
        write!(text, "[[beacons]]\nid = \"test-{index}\"\ncarrier = \"{kind}\"\n{transmits}\n").unwrap();
        text
    })
}

/// The reference plan with `tables` of beacons, far from its closing time, where a second is a visit.
pub(crate) fn plan(tables: &str) -> String {
    let hour = vitrine_agent::clock::Clock::system().now().utc.as_ms() / 3_600_000 % 24;
    let closes = format!("closes = \"{:02}:30\"", (hour + 12) % 24);
    edit(
        STORE_TOML,
        &[
            ("time_zone = \"Europe/Paris\"", "time_zone = \"UTC\""),
            ("closes = \"20:00\"", &closes),
            ("least_s = 30 ", "least_s = 1 "),
            ("[[shelves]]\nid = \"shelf-1\"", &format!("{tables}[[shelves]]\nid = \"shelf-1\"")),
        ],
    )
}

#[derive(Clone, Copy)]
enum Kind {
    IBeacon,
    Eddystone,
    Address,
    Badge,
}

#[derive(Clone, Copy)]
struct Beacon {
    kind: Kind,
    index: u8,
}

fn beacons() -> Vec<Beacon> {
    let some = |kind, count| (0..count).map(move |index| Beacon { kind, index });
    let carts = some(Kind::IBeacon, IBEACONS).chain(some(Kind::Eddystone, EDDYSTONES));
    carts.chain(some(Kind::Address, ADDRESSES)).chain(some(Kind::Badge, 1)).collect()
}

impl Beacon {
    fn address(self) -> [u8; 6] {
        [0xd3, 0x8f, 0x2b, 0x6e, 0x90 + self.kind as u8, 0xa1 + self.index]
    }

    fn address_text(self) -> String {
        self.address().map(|octet| format!("{octet:02X}")).join(":")
    }

    fn minor(self) -> u16 {
        50_021 + 977 * u16::from(self.index) + 13 * self.kind as u16
    }

    fn instance(self) -> [u8; 6] {
        [0x77, 0xc5, 0x1e, 0xb0, 0x64, 0x30 + self.index]
    }

    fn payload(self) -> Payload {
        match self.kind {
            Kind::IBeacon | Kind::Badge => {
                let minor = self.minor();
                let frame = IBeacon { uuid: UUID, major: MAJOR, minor, measured_power_dbm: -59 };
                Payload::Manufacturer(APPLE_COMPANY, frame.encode()[7..].to_vec())
            }
            Kind::Eddystone => {
                let frame =
                    EddystoneUid { tx_power_dbm: -20, namespace: NAMESPACE, instance: self.instance() };
                Payload::Service(EDDYSTONE_UUID16, frame.encode()[11..].to_vec())
            }
            Kind::Address => Payload::Manufacturer(0x0499, vec![1, 2, 3]),
        }
    }

    /// What in `bytes` tells of this beacon.
    fn trace_in(self, bytes: &[u8]) -> Option<String> {
        let mut numbers: Vec<Vec<u8>> = vec![self.address().into(), UUID.into(), NAMESPACE.into()];
        numbers.push(self.instance().into());
        numbers.extend(numbers.clone().into_iter().map(|number| number.into_iter().rev().collect()));
        let lower = bytes.to_ascii_lowercase();
        let raw = numbers.iter().find(|number| find(bytes, number).is_some()).map(|number| hex(number));
        let texts = numbers.iter().flat_map(|number| {
            ["", ":", "-", "_"]
                .map(|between| number.iter().map(|o| format!("{o:02x}")).collect::<Vec<_>>().join(between))
        });
        let uuid = hex(&UUID);
        let hyphenated = [&uuid[..8], &uuid[8..12], &uuid[12..16], &uuid[16..20], &uuid[20..]].join("-");
        let mut texts = texts.chain([hyphenated]);
        // A minor is short: as a word of its own, not as a part of another number.
        let minors = [self.minor().to_string(), MAJOR.to_string()];
        let mut words = lower.split(|byte| !byte.is_ascii_alphanumeric());
        raw.or_else(|| texts.find(|text| find(&lower, text.as_bytes()).is_some()))
            .or_else(|| words.find_map(|word| minors.iter().find(|minor| minor.as_bytes() == word).cloned()))
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

/// What is in the zstd frames that are in `bytes`: the spool's blocks are such.
fn unpacked(bytes: &[u8]) -> Vec<u8> {
    const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
    let mut plain = Vec::new();
    for at in (0..bytes.len()).filter(|&at| bytes[at..].starts_with(&MAGIC)) {
        // What only looks like a frame is not read, or not to its end.
        let frame = zstd::stream::read::Decoder::with_buffer(&bytes[at..]).unwrap().single_frame();
        frame.take(1 << 20).read_to_end(&mut plain).ok();
    }
    plain
}
