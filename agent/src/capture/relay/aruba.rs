//! HPE Aruba access points: IoT telemetry, in protocol buffers (WebSocket) or JSON (HTTPS).
//!
//! Format: `aruba-iot-nb.proto` of AOS 8 (*Aruba IoT Server Interface Guide*). "BLE data" carries whole advertisements, and
//! is what to ask for. "BLE telemetry" carries, once an interval, what the access point decoded: iBeacon and Eddystone-UID
//! are known by that, and every other sender by its address alone. An access point is named by its Ethernet address.

mod json;
mod proto;

use super::{Heard, Items, Message, Relayed, Unreadable, rssi_dbm};
use crate::{capture::source::Content, private::Address};
use vitrine_protocol::frame::Frame;

pub(super) fn read(message: &Message<'_>, items: &mut Items<'_>) -> Result<(), Unreadable> {
    // No message in protocol buffers begins like this: it would be field 15, of a type that is not used.
    if message.payload.first() == Some(&b'{') {
        json::read(message.payload, items)
    } else {
        proto::read(message.payload, items)
    }
}

/// One sender of a telemetry report.
#[derive(Default)]
struct Reported {
    address: Option<Address>,
    last_seen_s: Option<f64>,
    rssi: Rssi,
    beacons: Vec<Frame>,
}

/// RSSI over the interval, as the transport profile has it reported.
#[derive(Default)]
struct Rssi {
    /// One of "last", "average", "smooth", "max".
    one: Option<f64>,
    /// "bulk": each reading, with its time in seconds.
    history: Vec<(f64, f64)>,
}

impl Reported {
    /// One sighting for each reading and beacon. A sender that was not heard in the interval has no reading.
    fn put(&self, relay: Option<&str>, items: &mut Items<'_>) {
        let Some(address) = self.address else { return items.bad() };
        let mut put = |rssi: Option<f64>, time_s: Option<f64>| {
            let beacons = self.beacons.iter().map(|&beacon| Content::Frame(beacon));
            let nothing = self.beacons.is_empty().then_some(Content::Nothing);
            for content in beacons.chain(nothing) {
                if items.cut() {
                    continue;
                }
                items.good(Relayed {
                    relay,
                    address: Some(address),
                    rssi_dbm: rssi.and_then(rssi_dbm),
                    content,
                    heard: time_s.map_or(Heard::Unknown, Heard::at_s),
                });
            }
        };
        if self.rssi.history.is_empty() {
            put(self.rssi.one, self.last_seen_s);
        }
        self.rssi.history.iter().for_each(|&(time_s, rssi)| put(Some(rssi), Some(time_s)));
    }
}
