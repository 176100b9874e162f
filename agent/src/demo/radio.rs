//! The radio of the simulated store: what the receivers hear of the beacons.
//!
//! A beacon is the real firmware core, woken up in virtual time. Of an event's three PDUs a receiver, which is tuned to
//! one channel at a time, hears at most one, and decodes it as a real capture does. RSSI is path loss, a slow offset of
//! each beacon (who stands in the way, how the cart is turned) and noise; weak packets are lost more often.

use super::{
    chance::Chance,
    layout::{BADGES, BAY, CARTS, Layout, UUID, mean_rssi_dbm},
    shoppers::{Move, OPENS},
};
use crate::{capture::Heard, clock::Now, plan::ZoneIndex, private};
use std::{cmp::Reverse, collections::BinaryHeap, convert::Infallible};
use vitrine_firmware::{
    Address, BatteryMonitor, BatteryReading, Beacon, Channel, Cipher, Config, Content, Interval, NoStore,
    Parts, Pdu, Radio, Settings, Slot, Start,
};
use vitrine_protocol::{
    Id,
    event::Clock,
    frame::{Frame, IBeacon},
    time::Timestamp,
};

const INTERVAL_MS: u32 = 2_000;
const TLM_INTERVAL_MS: u32 = 20_000;
/// The spread of single packets, and of a beacon's slow offset.
const NOISE_DB: f64 = 4.0;
const OFFSET_DB: f64 = 1.0;
/// How much of the offset is left at the next event: it fades within a minute.
const OFFSET_KEPT: f64 = 0.97;
/// Below this nothing is heard; a few dB above it, half.
const SENSITIVITY_DBM: f64 = -92.0;
/// Packets lost to collisions at any strength.
const COLLISIONS: f64 = 0.03;

/// Keeps what an advertising event sends, for the ether to carry.
#[derive(Debug, Default)]
struct Air(arrayvec::ArrayVec<Pdu, 3>);

impl Radio for Air {
    type Error = Infallible;

    fn transmit(&mut self, _: Channel, pdu: &Pdu, _power_dbm: i8) -> Result<(), Infallible> {
        self.0.push(*pdu);
        Ok(())
    }
}

/// A coin cell that runs down.
#[derive(Debug)]
struct CoinCell {
    millivolts: f64,
}

impl BatteryMonitor for CoinCell {
    fn sample(&mut self) -> BatteryReading {
        self.millivolts -= 0.002;
        BatteryReading { battery_mv: Some(self.millivolts as u16), temperature_c_256: Some(20 * 256) }
    }
}

#[derive(Debug)]
struct Transmitter {
    beacon: Beacon<Air, Chance, CoinCell>,
    zone: ZoneIndex,
    offset_db: f64,
}

/// All beacons, and the way from them to the receivers. Times inside count from [`OPENS`].
#[derive(Debug)]
pub(super) struct Ether {
    transmitters: Vec<Transmitter>,
    due: BinaryHeap<Reverse<(u64, usize)>>,
    moves: std::vec::IntoIter<Move>,
    receivers: Vec<Id>,
    /// By zone, then by receiver.
    mean_rssi_dbm: Vec<Vec<f64>>,
    chance: Chance,
}

impl Ether {
    pub(super) fn new(mut chance: Chance, layout: &Layout, moves: Vec<Move>) -> Self {
        let transmitters: Vec<_> = (0..CARTS + BADGES).map(|index| transmitter(&mut chance, index)).collect();
        let zones = 0..layout.zones.len() as ZoneIndex;
        let receivers = 0..layout.receivers.len();
        Self {
            due: (0..).zip(&transmitters).map(|(index, t)| Reverse((t.beacon.next_ms(), index))).collect(),
            transmitters,
            moves: moves.into_iter(),
            mean_rssi_dbm: zones
                .map(|zone| receivers.clone().map(|receiver| mean_rssi_dbm(zone, receiver)).collect())
                .collect(),
            receivers: layout.receivers.clone(),
            chance,
        }
    }

    /// Sends what is due up to and including `to`; what was heard is added to `heard`, in order of time.
    pub(super) fn advance(&mut self, to: Timestamp, heard: &mut Vec<Heard>) {
        while let Some(&Reverse((at_ms, index))) = self.due.peek() {
            let at = OPENS.plus_ms(at_ms as i64);
            if at > to {
                break;
            }
            while let Some(step) = self.moves.as_slice().first().filter(|step| step.at <= at) {
                self.transmitters[step.beacon].zone = step.zone;
                self.moves.next();
            }
            self.due.pop();
            self.transmitters[index].beacon.advertise(at_ms).expect("the ether takes whatever is sent");
            self.carry(index, Now { mono_ms: at_ms, utc: at, source: Clock::Synced }, heard);
            self.due.push(Reverse((self.transmitters[index].beacon.next_ms(), index)));
        }
    }

    /// Takes an event's PDUs from the beacon to each receiver that hears one.
    fn carry(&mut self, index: usize, at: Now, heard: &mut Vec<Heard>) {
        let Self { transmitters, chance, .. } = self;
        let transmitter = &mut transmitters[index];
        let pdus = std::mem::take(&mut transmitter.beacon.radio_mut().0);
        let fresh = (1.0 - OFFSET_KEPT * OFFSET_KEPT).sqrt() * OFFSET_DB;
        transmitter.offset_db = OFFSET_KEPT * transmitter.offset_db + fresh * chance.normal();
        let means = &self.mean_rssi_dbm[usize::from(transmitter.zone)];
        for (&receiver, mean_dbm) in self.receivers.iter().zip(means) {
            let pdu = &pdus[chance.index(pdus.len())];
            let rssi_dbm = mean_dbm + transmitter.offset_db + NOISE_DB * chance.normal();
            if chance.happens(heard_probability(rssi_dbm)) {
                heard.extend(receive(pdu, at, receiver, rssi_dbm.round() as i8));
            }
        }
    }
}

fn transmitter(chance: &mut Chance, index: usize) -> Transmitter {
    let (major, minor) = if index < CARTS { (1, index + 1) } else { (2, index - CARTS + 1) };
    let octets = [0xc0, 0x1d, major as u8, chance.index(256) as u8, chance.index(256) as u8, minor as u8];
    let address = Address::random_static(octets).expect("these octets are neither all zero nor all one");
    let me = IBeacon { uuid: UUID, major, minor: minor as u16, measured_power_dbm: -59 };
    let every = |ms, content| {
        Slot::every(Interval::from_ms(ms).expect("the interval is one that a beacon can have"), 0, content)
    };
    let mut settings = Settings::default();
    settings.slots.push(every(INTERVAL_MS, Content::fixed(&me.encode())));
    settings.slots.push(every(TLM_INTERVAL_MS, Content::Tlm));
    let config = Config::check(settings).expect("the settings are ones that a beacon can have");
    let battery = CoinCell { millivolts: chance.between(2_600.0, 3_050.0) };
    let power_up_ms = u64::from(chance.whole(0, INTERVAL_MS));
    let parts = Parts {
        radio: Air::default(),
        entropy: chance.fork(),
        battery,
        store: NoStore,
        cipher: Cipher::SOFTWARE,
    };
    Transmitter {
        beacon: Beacon::new(config, address, parts, Start::unlogged(power_up_ms), power_up_ms),
        zone: BAY,
        offset_db: OFFSET_DB * chance.normal(),
    }
}

fn heard_probability(rssi_dbm: f64) -> f64 {
    if rssi_dbm < SENSITIVITY_DBM {
        return 0.0;
    }
    (1.0 - COLLISIONS) / (1.0 + (-(rssi_dbm - (SENSITIVITY_DBM + 3.0)) / 1.5).exp())
}

/// What a capture makes of a PDU: the advertiser's address, and the frames in the advertising data.
fn receive(pdu: &Pdu, at: Now, receiver: Id, rssi_dbm: i8) -> impl Iterator<Item = Heard> {
    let mut octets = [0; 6];
    if let Some(advertiser) = pdu.bytes().get(2..8) {
        octets.copy_from_slice(advertiser);
        octets.reverse(); // on air the least significant octet goes first
    }
    let address = Some(private::Address::new(octets));
    let frames = Frame::decode(pdu.advertising_data()).filter_map(Result::ok);
    frames.map(move |frame| Heard { at, receiver, address, rssi_dbm, frame: Some(frame), beacon: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{demo::shoppers, plan};

    #[test]
    fn packets_are_lost_the_more_the_weaker_they_are() {
        let at = [-92.1, -90.0, -86.0, -60.0].map(heard_probability);
        assert!(at[0] == 0.0 && at[1] < 0.4 && (0.7..0.95).contains(&at[2]) && at[3] > 0.96, "{at:?}");
    }

    /// The receiver that was loudest over 10 s, and its bands, against the truth.
    #[test]
    fn the_bands_tell_zones_apart() {
        const WINDOW_MS: i64 = 10_000;
        let layout = Layout::default();
        let plan = plan::parse(&layout.plan_text()).unwrap();
        let mut chance = Chance::new(7);
        let moves = shoppers::day(&mut chance, 640).moves;
        let mut truth = moves.clone().into_iter().peekable();
        let mut ether = Ether::new(chance, &layout, moves);
        let mut heard = Vec::new();
        ether.advance(OPENS.plus_ms(4 * 3_600_000), &mut heard);

        let mut carts = vec![(BAY, OPENS, Vec::<Heard>::new()); CARTS];
        let (mut right, mut all) = (0, 0u32);
        for sample in heard {
            while let Some(step) = truth.next_if(|step| step.at <= sample.at.utc) {
                if let Some(cart) = carts.get_mut(step.beacon) {
                    *cart = (step.zone, step.at, Vec::new());
                }
            }
            let Some(Frame::IBeacon(IBeacon { major: 1, minor, .. })) = sample.frame else { continue };
            let (zone, since, recent) = &mut carts[usize::from(minor) - 1];
            recent.retain(|old| sample.at.utc.as_ms() - old.at.utc.as_ms() < WINDOW_MS);
            recent.push(sample);
            if *zone == BAY || sample.at.utc.as_ms() - since.as_ms() < WINDOW_MS {
                continue;
            }
            let level = |receiver: &Id| {
                let levels = recent.iter().filter(|heard| heard.receiver == *receiver);
                let levels: Vec<f64> = levels.map(|heard| heard.rssi_dbm.into()).collect();
                levels.iter().sum::<f64>() / levels.len() as f64 // NaN where none was heard
            };
            let levels = layout.receivers.iter().map(|id| (id, level(id))).filter(|(_, dbm)| !dbm.is_nan());
            let (loudest, dbm) = levels.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
            let bands = &plan.receivers[loudest].bands;
            let guess = bands.iter().find(|band| dbm >= f64::from(band.min_rssi_dbm)).unwrap();
            all += 1;
            right += u32::from(guess.zone == *zone);
        }
        let share = f64::from(right) / f64::from(all);
        assert!(all > 30_000 && share > 0.9, "{share} of {all}");
    }
}
