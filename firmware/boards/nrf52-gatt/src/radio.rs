//! Advertising events through the controller's commands.
//!
//! The controller knows intervals and not events: it is told to advertise every ten seconds, sends the first event at
//! once, and is told to stop when that is over.

use bt_hci::{
    cmd::le::{LeSetAdvData, LeSetAdvEnable, LeSetAdvParams, LeSetRandomAddr},
    param::{AddrKind, AdvChannelMap, AdvFilterPolicy, AdvKind, BdAddr, Duration},
};
use embassy_time::Timer;
use nrf_sdc::{
    SoftdeviceController,
    vendor::{ZephyrWriteTxPower, ZephyrWriteTxPowerParams},
};
use trouble_host::{BleHostError, Stack, prelude::DefaultPacketPool};
use vitrine_firmware::{Address, Pdu, asynch::AsyncRadio};

/// The longest interval of the commands used, in units of 0.625 ms: 10.24 s.
const INTERVAL: Duration<625> = Duration::from_u16(0x4000);
/// advDelay (10 ms at most), three channels (under 2 ms), and what goes before.
const EVENT_MS: u64 = 20;

/// The host's advertiser.
pub(crate) struct Events<'a, 'b>(pub(crate) &'a Stack<'b, SoftdeviceController<'static>, DefaultPacketPool>);

impl AsyncRadio for Events<'_, '_> {
    type Error = BleHostError<nrf_sdc::Error>;

    async fn advertise(&mut self, pdu: &Pdu, power_dbm: i8) -> Result<(), Self::Error> {
        let host = self.0;
        let (kind, address) = of(pdu.address());
        if kind == AddrKind::RANDOM {
            host.command(LeSetRandomAddr::new(address)).await?;
        }
        host.command(LeSetAdvParams::new(
            INTERVAL,
            INTERVAL,
            AdvKind::AdvNonconnInd,
            kind,
            AddrKind::PUBLIC,
            BdAddr::default(),
            AdvChannelMap::ALL,
            AdvFilterPolicy::default(),
        ))
        .await?;
        let power = ZephyrWriteTxPowerParams { handle_type: 0, handle: 0, tx_power_level: power_dbm };
        host.command(ZephyrWriteTxPower::new(power)).await?;
        let data = pdu.advertising_data();
        let mut padded = [0; 31];
        for (place, octet) in padded.iter_mut().zip(data) {
            *place = *octet;
        }
        host.command(LeSetAdvData::new(data.len() as u8, padded)).await?;
        host.command(LeSetAdvEnable::new(true)).await?;
        Timer::after_millis(EVENT_MS).await;
        host.command(LeSetAdvEnable::new(false)).await
    }
}

/// The address as the controller has it, least significant octet first.
pub(crate) fn of(address: Address) -> (AddrKind, BdAddr) {
    let mut octets = address.octets();
    octets.reverse();
    let kind = if address.is_random() { AddrKind::RANDOM } else { AddrKind::PUBLIC };
    (kind, BdAddr::new(octets))
}
