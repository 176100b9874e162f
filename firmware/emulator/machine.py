"""An nRF52 in virtual time: Unicorn runs the processor, `peripherals` models what it talks to.

The release ELF runs as it is. Time stands still while the processor computes, but for a fixed cost of each access to a
peripheral, and jumps when it sleeps (WFE) to the next thing that a peripheral does. A sleep from which nothing can
wake the processor is an error, `Deadlock`: on a chip it would end in the watchdog.

What is modelled: interrupts that become pending and end a WFE (SEVONPEND), events, shortcuts, the flash controller,
resets with and without power. What is not: exceptions, DMA's bus contention, the processor's speed.
"""

import heapq
import random
import struct

from elftools.elf.elffile import ELFFile
from unicorn import UC_ARCH_ARM, UC_HOOK_MEM_INVALID, UC_MODE_MCLASS, UC_MODE_THUMB, Uc, UcError
from unicorn.arm_const import UC_ARM_REG_MSP, UC_ARM_REG_PC, UC_ARM_REG_SP, UC_CPU_ARM_CORTEX_M4

NS = 10**9
ACCESS_NS = 125  # two cycles of 64 MHz on the bus, and the instructions around them

WFE = b"\x20\xbf"

THERMOMETER_TRIM = [0x300 + number for number in range(17)]  # FICR.TEMP: A0 to A5, B0 to B5, T0 to T4

FLASH_PAGE = 4096
STORE_PAGES = 4
RAM_BASE = 0x2000_0000
FICR_BASE = 0x1000_0000
PERIPHERALS_BASE = 0x4000_0000
CLOCK, RADIO, GPIOTE, SAADC, RTC0, TEMP, RNG, ECB, WDT, NVMC = (
    PERIPHERALS_BASE + number * 0x1000 for number in (0, 1, 6, 7, 11, 12, 13, 14, 16, 30)
)
GPIO_BASE = 0x5000_0000
SCS_BASE = 0xE000_E000


class Deadlock(Exception):
    """The processor sleeps, and nothing can wake it."""


class Crash(Exception):
    """The processor did what faults."""


class Reset(Exception):
    """The chip resets; `power` is lost too where it was a power cut."""

    def __init__(self, reason, power=False):
        super().__init__(reason)
        self.reason = reason
        self.power = power


class Chip:
    """Sizes, and what each chip's radio can do."""

    def __init__(self, name, flash_kib, ram_kib, powers_dbm):
        self.name = name
        self.flash = flash_kib * 1024
        self.ram = ram_kib * 1024
        self.powers_dbm = powers_dbm
        self.store_base = self.flash - STORE_PAGES * FLASH_PAGE


CHIPS = {
    chip.name: chip
    for chip in (
        Chip("nrf52810", 192, 24, (-40, -20, -16, -12, -8, -4, 0, 3, 4)),
        Chip("nrf52832", 512, 64, (-40, -20, -16, -12, -8, -4, 0, 3, 4)),
        Chip("nrf52833", 512, 128, (-40, -20, -16, -12, -8, -4, 0, 2, 3, 4, 5, 6, 7, 8)),
        Chip("nrf52840", 1024, 256, (-40, -20, -16, -12, -8, -4, 0, 2, 3, 4, 5, 6, 7, 8)),
    )
}


class Machine:
    def __init__(self, elf, chip="nrf52832", seed=1, device_id=0x00C0FFEE, peripherals=None):
        from peripherals import build

        self.chip = CHIPS[chip]
        self.random = random.Random(seed)
        self.device_id = device_id
        self.store = bytearray(b"\xff" * (STORE_PAGES * FLASH_PAGE))
        self.now_ns = 0
        self.resets = []  # (time, RESETREAS; 0 for a power cut)
        # What is recorded over resets.
        self.packets = []
        self.feeds_ns = []
        self.erasures = []
        self.inputs = {}  # (port, pin) -> level
        self.battery_mv = lambda now_ns: 3000
        self.temperature_quarters = lambda now_ns: 84
        self.segments = []
        with open(elf, "rb") as file:
            for segment in ELFFile(file).iter_segments():
                if segment["p_type"] == "PT_LOAD" and segment["p_filesz"]:
                    self.segments.append((segment["p_paddr"], segment.data()))
        self.build = peripherals or build
        self.ram_noise()
        self._boot(reset_reason=0)

    # Life cycle

    def ram_noise(self):
        self.ram = self.random.randbytes(self.chip.ram)

    def _boot(self, reset_reason):
        self.uc = uc = Uc(UC_ARCH_ARM, UC_MODE_THUMB | UC_MODE_MCLASS)
        uc.ctl_set_cpu_model(UC_CPU_ARM_CORTEX_M4)
        uc.mem_map(0, self.chip.store_base, 5)  # read, execute: a write to code faults
        image = bytearray(b"\xff" * self.chip.store_base)
        for address, data in self.segments:
            image[address : address + len(data)] = data
        uc.mem_write(0, bytes(image))
        uc.mmio_map(self.chip.store_base, len(self.store), self._store_read, None, self._store_write, None)
        uc.mem_map(RAM_BASE, self.chip.ram, 3)
        uc.mem_write(RAM_BASE, self.ram)
        uc.mem_map(FICR_BASE, 0x2000, 1)
        uc.mem_write(FICR_BASE, self._factory())
        self.queue = []
        self.sequence = 0
        self.event_register = False
        self.asleep = False
        self.pending = set()
        self.scr = 0
        self.peripherals = self.build(self, reset_reason)
        uc.mmio_map(PERIPHERALS_BASE, 0x4_0000, self._read, PERIPHERALS_BASE, self._write, PERIPHERALS_BASE)
        uc.mmio_map(GPIO_BASE, 0x1000, self._read, GPIO_BASE, self._write, GPIO_BASE)
        uc.mmio_map(SCS_BASE, 0x1000, self._scs_read, None, self._scs_write, None)
        uc.hook_add(UC_HOOK_MEM_INVALID, self._invalid)
        self.fault = None
        stack, self.pc = struct.unpack("<II", bytes(uc.mem_read(0, 8)))
        uc.reg_write(UC_ARM_REG_SP, stack)
        uc.reg_write(UC_ARM_REG_MSP, stack)

    def _factory(self):
        page = bytearray(b"\xff" * 0x2000)
        struct.pack_into("<II", page, 0x10, FLASH_PAGE, self.chip.flash // FLASH_PAGE)
        struct.pack_into("<II", page, 0x60, self.device_id, 0x5EED)
        struct.pack_into("<III", page, 0xA0, 1, 0x4433_2211, 0x6655)
        struct.pack_into("<17I", page, 0x404, *THERMOMETER_TRIM)
        return bytes(page)

    def reset(self, reason):
        """A reset that leaves power on: `reason` is RESETREAS."""
        self.ram = bytes(self.uc.mem_read(RAM_BASE, self.chip.ram))
        self.resets.append((self.now_ns, reason))
        self._boot(reason)

    def power_cut(self, seconds):
        """The battery is taken out; memory becomes noise."""
        self.now_ns += int(seconds * NS)
        self.resets.append((self.now_ns, 0))
        self.ram_noise()
        self._boot(0)

    def press(self, pin, level):
        """Has `pin` of port 0 driven to `level`; `None` leaves it to its pull resistor."""
        self.inputs[pin] = level
        self.peripherals[GPIO_BASE].update()

    # Time

    def at(self, delay_ns, action):
        """Has `action` happen after `delay_ns`. Returns a token for `cancel`."""
        self.sequence += 1
        entry = [self.now_ns + int(delay_ns), self.sequence, action]
        heapq.heappush(self.queue, entry)
        return entry

    @staticmethod
    def cancel(entry):
        if entry is not None:
            entry[2] = None

    def run(self, seconds):
        """Runs for `seconds`, over resets."""
        self.run_until(self.now_ns + int(seconds * NS))

    def run_until(self, end_ns):
        """Runs to `end_ns`, over resets."""
        while self.now_ns < end_ns:
            try:
                self._run(end_ns)
            except Reset as reset:
                if reset.power:
                    self.power_cut(0)
                else:
                    self.reset(reset.reason)

    def _run(self, end_ns):
        while self.now_ns < end_ns:
            if not self.asleep:
                self._compute()
            self._sleep(end_ns)

    def _compute(self):
        """Runs the processor until it sleeps. Unicorn reports a WFE as an instruction that it does not know."""
        try:
            self.uc.emu_start(self.pc | 1, 0xFFFF_FFFE)
        except UcError as error:
            self.pc = self.uc.reg_read(UC_ARM_REG_PC)
            if self.fault is None and bytes(self.uc.mem_read(self.pc - 2, 2)) != WFE:
                raise Crash(f"{error} at {self.pc:#x}") from error
        else:
            self.pc = self.uc.reg_read(UC_ARM_REG_PC)
        if self.fault is not None:
            fault, self.fault = self.fault, None
            raise fault
        self.asleep = True

    def _sleep(self, end_ns):
        self._happen(self.now_ns)
        while not self.event_register:
            if not self.queue:
                raise Deadlock(f"asleep for ever at {self.pc:#x}, {self.now_ns / NS:.6f} s")
            if self.queue[0][0] >= end_ns:
                self.now_ns = end_ns
                return
            self._happen(self.queue[0][0])
        self.event_register = False
        self.asleep = False

    def _happen(self, until_ns):
        """What is due up to `until_ns`."""
        while self.queue and self.queue[0][0] <= until_ns:
            at_ns, _, action = heapq.heappop(self.queue)
            if action is not None:
                self.now_ns = max(self.now_ns, at_ns)
                action()

    # Interrupts

    def line(self, irq, high):
        """The level of a peripheral's interrupt line. Pending for the first time is an event that ends a WFE."""
        if high and irq not in self.pending:
            self.pending.add(irq)
            if self.scr & (1 << 4):
                self.event_register = True

    # Buses

    def _fail(self, error):
        """An exception must not unwind through the emulator: it is kept and raised outside."""
        if self.fault is None:
            self.fault = error
        self.uc.emu_stop()

    def _accessed(self, address, size):
        """The peripheral at `address`. The access takes time, and what is due meanwhile happens."""
        self.now_ns += ACCESS_NS
        if self.queue and self.queue[0][0] <= self.now_ns:
            self._happen(self.now_ns)
        peripheral = self.peripherals.get(address & ~0xFFF)
        if peripheral is None or size != 4:
            raise Crash(f"access to {size} octets at {address:#x}: no such peripheral is modelled")
        return peripheral

    def _read(self, uc, offset, size, base):
        try:
            peripheral = self._accessed(base + offset, size)
            return peripheral.read(base + offset & 0xFFF) & 0xFFFF_FFFF
        except Exception as error:
            self._fail(error)
            return 0

    def _write(self, uc, offset, size, value, base):
        try:
            peripheral = self._accessed(base + offset, size)
            peripheral.write(base + offset & 0xFFF, value)
        except Exception as error:
            self._fail(error)

    def _scs_read(self, uc, offset, size, _):
        return self.scr if offset == 0xD10 else 0

    def _scs_write(self, uc, offset, size, value, _):
        if offset == 0xD10:
            self.scr = value
        elif offset == 0xD0C:
            self._fail(Reset(1 << 2))  # SYSRESETREQ
        elif 0x280 <= offset < 0x2C0:
            first = (offset - 0x280) * 8
            for irq in [irq for irq in self.pending if first <= irq < first + 32 and value >> (irq - first) & 1]:
                self.pending.discard(irq)
                # Pending again at once where the peripheral's line is still high.
                for peripheral in self.peripherals.values():
                    if peripheral.irq == irq:
                        peripheral.refresh()

    def _store_read(self, uc, offset, size, _):
        return int.from_bytes(self.store[offset : offset + size], "little")

    def _store_write(self, uc, offset, size, value, _):
        try:
            self.peripherals[NVMC].program(offset, size, value)
        except Exception as error:
            self._fail(error)

    def _invalid(self, uc, access, address, size, value, _):
        self.fault = Crash(f"access to {address:#x} from {uc.reg_read(UC_ARM_REG_PC):#x}")
        return False
