"""Register models of what every program on the chip uses, after the nRF52832 Product Specification 1.4: clocks, timer,
watchdog, flash controller, pins.
"""

from machine import FLASH_PAGE, NS, Reset
from peripheral import Peripheral, Violation

LF_HZ = 32_768


class ClockPower(Peripheral):
    irq = 0
    HF_STARTUP_NS = 360_000
    LF_STARTUP_NS = 250_000_000

    def __init__(self, machine, reset_reason):
        super().__init__(machine)
        self.registers[0x400] = reset_reason
        self.hf_crystal = False
        self.hf_pending = None
        self.hf_since_ns = None
        self.hf_total_ns = 0
        self.hf_starts = 0
        self.lf_running = False
        self.tasks = {0x00: self.start_hf, 0x04: self.stop_hf, 0x08: self.start_lf}

    def write(self, offset, value):
        if offset == 0x400:
            self.registers[0x400] = self.registers.get(0x400, 0) & ~value
        else:
            super().write(offset, value)

    def start_hf(self):
        self.hf_starts += 1
        if self.hf_since_ns is None:
            self.hf_since_ns = self.machine.now_ns

        def started():
            self.hf_crystal = True
            self.fire(0x100)

        self.hf_pending = self.machine.at(self.HF_STARTUP_NS, started)

    def stop_hf(self):
        self.machine.cancel(self.hf_pending)
        if self.hf_since_ns is not None:
            self.hf_total_ns += self.machine.now_ns - self.hf_since_ns
        self.hf_since_ns = None
        self.hf_crystal = False

    def start_lf(self):
        def started():
            self.lf_running = True
            self.fire(0x104)

        self.machine.at(self.LF_STARTUP_NS, started)

    def hf_on_ns(self):
        """For how long the 32 MHz crystal has had current, all in all."""
        running_ns = 0 if self.hf_since_ns is None else self.machine.now_ns - self.hf_since_ns
        return self.hf_total_ns + running_ns

    def lf_ppm(self):
        """How fast the 32 kHz clock runs: the crystal right, the RC oscillator at its tolerance when calibrated."""
        return 0 if self.registers.get(0x518, 0) & 3 == 1 else 500


class Rtc(Peripheral):
    irq = 11

    def __init__(self, machine, clock):
        super().__init__(machine)
        self.clock = clock
        self.started_ns = None
        self.pending = None
        self.tasks = {0x00: self.start}

    def start(self):
        if not self.clock.lf_running:
            raise Violation("RTC started without a 32 kHz clock")
        if self.registers.get(0x508, 0) != 0:
            raise Violation("RTC: only prescaler 0 is modelled")
        self.started_ns = self.machine.now_ns

    def ticks(self):
        if self.started_ns is None:
            return 0
        return (self.machine.now_ns - self.started_ns) * LF_HZ * (1_000_000 + self.clock.lf_ppm()) // (NS * 1_000_000)

    def read(self, offset):
        if offset == 0x504:
            return self.ticks() & 0xFF_FFFF
        return super().read(offset)

    def write(self, offset, value):
        super().write(offset, value)
        if offset == 0x540:
            self.machine.cancel(self.pending)
            ticks = self.ticks()
            ahead = (value - ticks) & 0xFF_FFFF
            if ahead < 2:
                ahead += 1 << 24  # too near: the specification promises nothing, so the match is missed
            rate = LF_HZ * (1_000_000 + self.clock.lf_ppm())
            at_ns = self.started_ns + -(-(ticks + ahead) * NS * 1_000_000 // rate)
            self.pending = self.machine.at(at_ns - self.machine.now_ns, lambda: self.fire(0x140))

    def refresh(self):
        # COMPARE[0] is bit 16 of INTEN: 0x140 is not where the scheme would have it for others.
        if self.events.get(0x140) and self.enabled >> 16 & 1:
            self.machine.line(self.irq, True)


class Watchdog(Peripheral):
    irq = 16

    def __init__(self, machine):
        super().__init__(machine)
        self.pending = None
        self.tasks = {0x00: self.start}

    def start(self):
        self.arm()

    def arm(self):
        self.machine.cancel(self.pending)
        timeout_ns = (self.registers.get(0x504, 0xFFFF_FFFF) + 1) * NS // LF_HZ
        self.pending = self.machine.at(timeout_ns, self.bite)

    def bite(self):
        raise Reset(1 << 1)

    def write(self, offset, value):
        if 0x600 <= offset < 0x620:
            if value == 0x6E52_4635 and self.pending is not None and self.registers.get(0x508, 1) & 1:
                self.machine.feeds_ns.append(self.machine.now_ns)
                self.arm()
        else:
            super().write(offset, value)


class Nvmc(Peripheral):
    """Flash. A write to it takes 67.5 µs a word, the erasure of a page 85 ms; the processor stands still."""

    def __init__(self, machine):
        super().__init__(machine)
        self.words = 0
        self.cut_after_words = None  # power fails after that many words

    def read(self, offset):
        return 1 if offset == 0x400 else super().read(offset)

    def write(self, offset, value):
        if offset == 0x508:
            if self.registers.get(0x504, 0) != 2:
                raise Violation("NVMC: erasure without EEN")
            start = value - self.machine.chip.store_base
            if start % FLASH_PAGE or not 0 <= start < len(self.machine.store):
                raise Violation(f"NVMC: erasure of {value:#x}, which is not the store's")
            self.machine.now_ns += 85_000_000
            self.machine.store[start : start + FLASH_PAGE] = b"\xff" * FLASH_PAGE
            self.machine.erasures.append((self.machine.now_ns, start // FLASH_PAGE))
        else:
            super().write(offset, value)

    def program(self, offset, size, value):
        if self.registers.get(0x504, 0) != 1:
            raise Violation("NVMC: write without WEN")
        if size != 4 or offset % 4:
            raise Violation("NVMC: only whole words are written")
        if self.machine.store[offset : offset + 4] != b"\xff" * 4:
            raise Violation(f"NVMC: word {offset:#x} is written twice between erasures")
        if self.cut_after_words is not None:
            if self.cut_after_words == 0:
                raise Reset(0, power=True)
            self.cut_after_words -= 1
        self.machine.now_ns += 67_500
        self.machine.store[offset : offset + 4] = value.to_bytes(4, "little")
        self.words += 1


class Gpio(Peripheral):
    """Port 0, with the DETECT signal that GPIOTE turns into its PORT event."""

    def __init__(self, machine, gpiote):
        super().__init__(machine)
        self.gpiote = gpiote
        self.detect = False

    def level(self, pin):
        given = self.machine.inputs.get(pin)
        if given is not None:
            return given
        pull = self.registers.get(0x700 + 4 * pin, 2) >> 2 & 3
        return 1 if pull == 3 else 0

    def read(self, offset):
        if offset == 0x510:
            connected = [p for p in range(32) if self.registers.get(0x700 + 4 * p, 2) >> 1 & 1 == 0]
            return sum(self.level(pin) << pin for pin in connected)
        if 0x700 <= offset < 0x780:
            return self.registers.get(offset, 2)
        return super().read(offset)

    def write(self, offset, value):
        self.registers[offset] = value
        self.update()

    def update(self):
        """Looks at the pins again; DETECT going high is a PORT event."""
        detect = False
        for offset, value in self.registers.items():
            if 0x700 <= offset < 0x780:
                wanted = {2: 1, 3: 0}.get(value >> 16 & 3)
                detect |= wanted is not None and self.level((offset - 0x700) // 4) == wanted
        if detect and not self.detect:
            self.gpiote.fire(0x17C)
        self.detect = detect


class Gpiote(Peripheral):
    irq = 6

    def refresh(self):
        if self.events.get(0x17C) and self.enabled >> 31 & 1:
            self.machine.line(self.irq, True)
