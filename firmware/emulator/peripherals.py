"""Register models of radio, generator, sensors and cipher, after the nRF52832 Product Specification 1.4; and the chip that
all models make up.
"""

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from air import Packet, transmitted
from machine import (
    CLOCK,
    ECB,
    GPIO_BASE,
    GPIOTE,
    NVMC,
    RADIO,
    RAM_BASE,
    RNG,
    RTC0,
    SAADC,
    TEMP,
    THERMOMETER_TRIM,
    WDT,
)
from peripheral import Peripheral, Violation
from system import ClockPower, Gpio, Gpiote, Nvmc, Rtc, Watchdog


class Radio(Peripheral):
    irq = 1
    TX_RAMP_NS = {0: 140_000, 1: 40_000}
    TX_DISABLE_NS = 4_000

    def __init__(self, machine, clock):
        super().__init__(machine)
        self.clock = clock
        self.state = "disabled"
        self.stuck = False  # a fault of the part: it never finishes
        self.tasks = {0x00: self.enable, 0x08: self.start, 0x10: self.disable}

    def enable(self):
        if self.state != "disabled":
            raise Violation(f"RADIO: TXEN in state {self.state}")
        if not self.clock.hf_crystal:
            raise Violation("RADIO: TXEN while the 32 MHz crystal does not run")
        self.state = "ramp-up"
        if self.stuck:
            return
        ramp_ns = self.TX_RAMP_NS[self.registers.get(0x650, 0) & 1]
        self.machine.at(ramp_ns, self.ready)

    def ready(self):
        self.state = "idle"
        self.fire(0x100)
        if self.registers.get(0x200, 0) & 1:
            self.start()

    def start(self):
        if self.state != "idle":
            raise Violation(f"RADIO: START in state {self.state}")
        self.state = "tx"
        pointer = self.registers.get(0x504, 0)
        if not RAM_BASE <= pointer < RAM_BASE + self.machine.chip.ram:
            raise Violation(f"RADIO: PACKETPTR {pointer:#x} is not in RAM")
        memory = bytes(self.machine.uc.mem_read(pointer, 258))
        power_dbm = (self.registers.get(0x50C, 0) ^ 0x80) - 0x80
        if power_dbm not in self.machine.chip.powers_dbm:
            raise Violation(f"RADIO: {power_dbm} dBm is no power of the {self.machine.chip.name}")
        octets = transmitted(self.registers, memory)
        mhz = 2400 + (self.registers.get(0x508, 0) & 0x7F)
        self.machine.packets.append(Packet(self.machine.now_ns, mhz, power_dbm, octets))
        self.machine.at(len(octets) * 8_000, self.end)  # 1 Mbit/s

    def end(self):
        if not self.clock.hf_crystal:
            raise Violation("RADIO: the 32 MHz crystal stopped during a packet")
        self.state = "idle"
        self.fire(0x10C)
        if self.registers.get(0x200, 0) >> 1 & 1:
            self.disable()

    def disable(self):
        self.state = "disabling"
        self.machine.at(self.TX_DISABLE_NS, self.disabled)

    def disabled(self):
        self.state = "disabled"
        self.fire(0x110)


class Rng(Peripheral):
    irq = 13

    def __init__(self, machine):
        super().__init__(machine)
        self.pending = None
        self.source = lambda: machine.random.randrange(256)
        self.on_total_ns = 0
        self.on_since_ns = None
        self.tasks = {0x00: self.start, 0x04: self.stop}

    def start(self):
        self.on_since_ns = self.machine.now_ns
        self.draw()

    def draw(self):
        corrected = self.registers.get(0x504, 0) & 1

        def ready():
            self.registers[0x508] = self.source()
            self.fire(0x100)
            self.draw()

        self.pending = self.machine.at(120_000 if corrected else 30_000, ready)

    def stop(self):
        self.machine.cancel(self.pending)
        if self.on_since_ns is not None:
            self.on_total_ns += self.machine.now_ns - self.on_since_ns
        self.on_since_ns = None


class Temp(Peripheral):
    irq = 12

    def __init__(self, machine):
        super().__init__(machine)
        self.tasks = {0x00: self.start, 0x04: lambda: None}

    def start(self):
        trim = [self.registers.get(offset) for offset in (*range(0x520, 0x538, 4), *range(0x540, 0x558, 4))]
        trim += [self.registers.get(offset) for offset in range(0x560, 0x574, 4)]
        if trim != THERMOMETER_TRIM:
            raise Violation("TEMP: used without the factory's trim (anomaly 66)")

        def ready():
            self.registers[0x508] = self.machine.temperature_quarters(self.machine.now_ns) & 0xFFFF_FFFF
            self.fire(0x100)

        self.machine.at(36_000, ready)


class Saadc(Peripheral):
    irq = 7

    def __init__(self, machine):
        super().__init__(machine)
        self.samples_ns = []
        self.tasks = {0x00: self.start, 0x04: self.sample, 0x08: self.stop}

    def check(self):
        if self.registers.get(0x500, 0) & 1 == 0:
            raise Violation("SAADC: used while disabled")
        if self.registers.get(0x510, 0) != 9:
            raise Violation("SAADC: the input is not VDD")

    def start(self):
        self.check()
        self.machine.at(1_000, lambda: self.fire(0x100))

    def sample(self):
        self.check()
        config = self.registers.get(0x518, 0)
        gain = {0: 1 / 6, 1: 1 / 5, 2: 1 / 4, 3: 1 / 3, 4: 1 / 2, 5: 1, 6: 2, 7: 4}[config >> 8 & 7]
        reference_v = 0.6 if config >> 12 & 1 == 0 else 0.75
        bits = {0: 8, 1: 10, 2: 12, 3: 14}[self.registers.get(0x5F0, 0) & 7]
        volts = self.machine.battery_mv(self.machine.now_ns) / 1000
        counts = min(int(volts * gain / reference_v * (1 << bits)), (1 << bits) - 1)
        self.samples_ns.append(self.machine.now_ns)

        def done():
            self.machine.uc.mem_write(self.registers[0x62C], counts.to_bytes(2, "little"))
            self.fire(0x104)

        self.machine.at(12_000, done)

    def stop(self):
        self.machine.at(1_000, lambda: self.fire(0x114))


class Ecb(Peripheral):
    irq = 14

    def __init__(self, machine):
        super().__init__(machine)
        self.blocks = 0
        self.tasks = {0x00: self.start}

    def start(self):
        pointer = self.registers.get(0x504, 0)
        data = bytes(self.machine.uc.mem_read(pointer, 32))
        encryptor = Cipher(algorithms.AES(data[:16]), modes.ECB()).encryptor()
        self.blocks += 1

        def done():
            self.machine.uc.mem_write(pointer + 32, encryptor.update(data[16:]))
            self.fire(0x100)

        self.machine.at(7_200, done)


def build(machine, reset_reason):
    clock = ClockPower(machine, reset_reason)
    gpiote = Gpiote(machine)
    return {
        CLOCK: clock,
        RADIO: Radio(machine, clock),
        GPIOTE: gpiote,
        SAADC: Saadc(machine),
        RTC0: Rtc(machine, clock),
        TEMP: Temp(machine),
        RNG: Rng(machine),
        ECB: Ecb(machine),
        WDT: Watchdog(machine),
        NVMC: Nvmc(machine),
        GPIO_BASE: Gpio(machine, gpiote),
    }
