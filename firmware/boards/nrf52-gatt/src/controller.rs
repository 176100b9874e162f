//! Nordic's controller: set up once, run for ever.

use embassy_executor::Spawner;
use embassy_nrf::{bind_interrupts, mode::Blocking, rng};
use nrf_mpsl::{MultiprotocolServiceLayer, raw};
use nrf_sdc::SoftdeviceController;
use static_cell::StaticCell;
use vitrine_firmware::Entropy;
use vitrine_protocol::identity::{Aes128, SoftwareAes};

/// What the controller says it needs for one advertising set of legacy PDUs; it refuses less.
const MEMORY: usize = 2_048;

bind_interrupts!(struct Interrupts {
    EGU0_SWI0 => nrf_mpsl::LowPrioInterruptHandler;
    CLOCK_POWER => nrf_mpsl::ClockInterruptHandler;
    RADIO => nrf_mpsl::HighPrioInterruptHandler;
    TIMER0 => nrf_mpsl::HighPrioInterruptHandler;
    RTC0 => nrf_mpsl::HighPrioInterruptHandler;
});

/// Random numbers out of AES in counter mode, under a key of thermal noise: the generator itself is the controller's.
pub(crate) struct Drbg {
    cipher: SoftwareAes,
    counter: u128,
}

impl Entropy for Drbg {
    fn next_u32(&mut self) -> u32 {
        self.counter = self.counter.wrapping_add(1);
        let mut block = self.counter.to_le_bytes();
        Aes128::encrypt(&self.cipher, &mut block);
        let [a, b, c, d, ..] = block;
        u32::from_le_bytes([a, b, c, d])
    }
}

#[embassy_executor::task]
async fn run(layer: &'static MultiprotocolServiceLayer<'static>) -> ! {
    layer.run().await
}

/// Starts the controller on the 32 kHz crystal.
pub(crate) fn start(spawner: &Spawner) -> (SoftdeviceController<'static>, Drbg) {
    static LAYER: StaticCell<MultiprotocolServiceLayer<'static>> = StaticCell::new();
    static GENERATOR: StaticCell<rng::Rng<'static, Blocking>> = StaticCell::new();
    static CONTROLLER: StaticCell<nrf_sdc::Mem<MEMORY>> = StaticCell::new();

    let p = embassy_nrf::init(Default::default());
    let crystal = raw::mpsl_clock_lfclk_cfg_t {
        source: raw::MPSL_CLOCK_LF_SRC_XTAL as u8,
        rc_ctiv: 0,
        rc_temp_ctiv: 0,
        accuracy_ppm: 20,
        skip_wait_lfclk_started: false,
    };
    let layer = nrf_mpsl::Peripherals::new(p.RTC0, p.TIMER0, p.TEMP, p.PPI_CH19, p.PPI_CH30, p.PPI_CH31);
    let layer = MultiprotocolServiceLayer::new(layer, Interrupts, crystal).expect("the layer is set up once");
    let layer = LAYER.init(layer);
    spawner.spawn(run(layer).expect("one task"));

    let generator: &mut rng::Rng<'static, Blocking> = GENERATOR.init(rng::Rng::new_blocking(p.RNG));
    let mut key = [0; 16];
    generator.blocking_fill_bytes(&mut key);
    let entropy = Drbg { cipher: Aes128::new(&key), counter: 0 };

    let peripherals = nrf_sdc::Peripherals::new(
        p.PPI_CH17, p.PPI_CH18, p.PPI_CH20, p.PPI_CH21, p.PPI_CH22, p.PPI_CH23, p.PPI_CH24, p.PPI_CH25,
        p.PPI_CH26, p.PPI_CH27, p.PPI_CH28, p.PPI_CH29,
    );
    let controller = nrf_sdc::Builder::new()
        .expect("the controller is set up once")
        .support_adv()
        .build(peripherals, generator, layer, CONTROLLER.init(nrf_sdc::Mem::new()))
        .expect("the controller's memory is as large as it asks");
    (controller, entropy)
}
