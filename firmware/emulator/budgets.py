"""Prints what the firmware costs, and fails where that is more than it may: flash and memory of each board, current
and battery life by interval, advertisements lost in a crowded room.

Sizes are read off the ELF files that `firmware/build` made, as `llvm-size` counts them: text + data, and data + bss.
Current is computed, nothing was measured on a board:

    current = charge of an event / (interval + 5 ms, the mean advertising delay) + current asleep
    charge of an event = sum over the chip's parts of time running x current

How long a part runs comes from the release ELF in the emulator, what it draws meanwhile from the table below. Without
the converter the radio draws about twice as much (Product Specification 1.4, radio: 5.3 and 11.6 mA at 0 dBm).
"""

import math
import pathlib
import random
import sys

from elftools.elf.elffile import ELFFile
from unicorn import UC_HOOK_CODE

import image
from machine import CLOCK, NS, NVMC, RAM_BASE, RNG, SAADC, Machine

BOARDS = pathlib.Path(__file__).resolve().parents[1] / "boards"
KIB = 1024

# board, chip, the most KiB of flash, the most octets of static memory
BUDGETS = [
    ("nrf52", "nrf52810", 16, 2 * KIB),
    ("nrf52", "nrf52832", 16, 2 * KIB),
    ("nrf52", "nrf52832-dcdc", 16, 2 * KIB),
    ("nrf52", "nrf52833", 16, 2 * KIB),
    ("nrf52", "nrf52840", 16, 2 * KIB),
    ("nrf52-gatt", "nrf52832-gatt", 96, 16 * KIB),
    ("nrf52-gatt", "nrf52833-gatt", 96, 16 * KIB),
    ("nrf52-gatt", "nrf52840-gatt", 96, 16 * KIB),
    ("qemu", "microbit", 32, 2 * KIB),
    ("qemu", "mps2-an386", 32, 2 * KIB),
    ("template", "template", 32, 2 * KIB),
]
MEASURED = BOARDS / "nrf52/out/vitrine-nrf52832-dcdc.elf"
STACK_MAX = 8 * KIB
AT_ONE_SECOND_MAX_UA = 13

# What an nRF52832 draws at 3 V with its DC/DC converter, in mA.
TX_0_DBM_MA = 7.1  # the whole chip, IRADIO_TX0: Product Specification 1.1, "Power and clock management"
RAMP_UP_S = 40e-6  # fast ramp-up of the radio, counted as transmitting: Product Specification 1.4, "RADIO", tTXEN
CPU_MA = 3.7  # running from flash, cache on: 58 uA/MHz at 64 MHz, Product Brief
CRYSTAL_MA = 1.0  # 32 MHz crystal starting or waiting: an upper estimate, the specification states 0.25 when running
RNG_MA = 0.55  # Product Specification 1.4, "Current consumption", RNG active; rounded up
SAADC_MA = 0.7  # the same, SAADC active
SLEEP_MA = 0.0022  # all memory kept, woken by the RTC on the 32 kHz crystal
CYCLES_PER_INSTRUCTION = 2  # from cached flash it is nearer to 1.3
CPU_HZ = 64e6

DCDCEN, ICACHECNF = 0x578, 0x540  # registers of POWER and NVMC

CELLS = [("CR2032", 225), ("CR2477", 1000), ("2 x AA", 2600)]  # nominal mAh
SHELF_YEARS = 10  # what a cell keeps unused; no board was ever tested for longer
USABLE = 0.8  # what is left of that at pulses of 10 mA and in years of shelf life

PACKET_US = 376  # the longest legacy advertisement: 47 octets at 1 Mbit/s
PACKETS = 100_000  # simulated for each figure


def sizes(path):
    """Octets of flash and of static memory."""
    flash = memory = 0
    with open(path, "rb") as file:
        for section in ELFFile(file).iter_sections():
            flags, address, size = section["sh_flags"], section["sh_addr"], section["sh_size"]
            if flags & 2 and size:  # allocated
                writable_memory = address >= RAM_BASE
                memory += size if writable_memory else 0
                if section["sh_type"] != "SHT_NOBITS":
                    flash += size
    return flash, memory


def print_sizes():
    well = True
    print(f"{'':15}{'flash':>9}{'limit':>9}{'static memory':>16}{'limit':>9}")
    for board, name, flash_kib, memory_max in BUDGETS:
        flash, memory = sizes(BOARDS / board / "out" / f"vitrine-{name}.elf")
        fits = flash <= flash_kib * KIB and memory <= memory_max
        well &= fits
        print(f"{name:15}{flash:9}{flash_kib * KIB:9}{memory:16}{memory_max:9}{'' if fits else '  TOO MUCH'}")
    return well


SLOTS = {
    "iBeacon": lambda ms: ([image.fixed(bytes([29, 0xFF]) + bytes(28), ms)], b"\x00"),
    "secure frame": lambda ms: ([image.secure(ms)], image.device(bytes(16))),
}


def machine(slots, identity):
    new = Machine(MEASURED, "nrf52832")
    image.write(new.store, image.CONFIG_A, image.configuration(slots, 1, 0, identity))
    new.power_cut(0)
    return new


def print_stack():
    well = True
    for name, settings in SLOTS.items():
        new = machine(*settings(1_000))
        before = new.ram
        new.run(100)
        after = bytes(new.uc.mem_read(RAM_BASE, new.chip.ram))
        # Memory began as noise: the lowest octet above the statics that changed is as far as the stack went.
        static = sizes(MEASURED)[1]
        deepest = next(at for at in range(static, new.chip.ram) if before[at] != after[at])
        used = new.chip.ram - deepest
        well &= used <= STACK_MAX
        print(f"stack of nrf52832 sending {name}: {used} of {STACK_MAX} octets")
    return well


def charge_uc(name):
    """Charge of an event in uC, by part, averaged over a few hundred."""
    new = machine(*SLOTS[name](1_000))
    instructions = [0]

    def count(uc, address, size, _):
        instructions[0] += 1

    new.uc.hook_add(UC_HOOK_CODE, count)  # before anything runs: what is translated already is not counted
    new.run(5)
    instructions[0] = 0
    clock, rng, saadc = (new.peripherals[base] for base in (CLOCK, RNG, SAADC))
    assert clock.registers[DCDCEN] == 1 and new.peripherals[NVMC].registers[ICACHECNF] & 1, "not as the table says"
    before = (clock.hf_on_ns(), rng.on_total_ns, len(saadc.samples_ns), len(new.packets))
    new.run(200)
    events = (len(new.packets) - before[3]) / 3
    tx_s = sum(len(packet.octets) * 8e-6 + RAMP_UP_S for packet in new.packets[before[3] :])
    crystal_s = (clock.hf_on_ns() - before[0]) / NS
    parts = {
        "radio": tx_s * TX_0_DBM_MA,
        "crystal": max(crystal_s - tx_s, 0) * CRYSTAL_MA,
        "processor": instructions[0] * CYCLES_PER_INSTRUCTION / CPU_HZ * CPU_MA,
        "random numbers": (rng.on_total_ns - before[1]) / NS * RNG_MA,
        "battery": (len(saadc.samples_ns) - before[2]) * 50e-6 * SAADC_MA,
    }
    return {part: 1e3 * charge / events for part, charge in parts.items()}


def print_current():
    well = True
    for name in SLOTS:
        parts = charge_uc(name)
        total = sum(parts.values())
        listed = ", ".join(f"{part} {charge:.2f}" for part, charge in parts.items())
        print(f"\nnRF52832, {name}, 0 dBm, 3 V, DC/DC: {total:.2f} uC an event ({listed})")
        print(f"{'interval':>10}{'current':>12}" + "".join(f"{cell:>14}" for cell, _ in CELLS))
        for interval_ms in (100, 250, 500, 1_000, 2_000, 5_000, 10_000):
            current_ua = total / (interval_ms + 5) * 1e3 + SLEEP_MA * 1e3
            years = [mah * USABLE * 1e3 / current_ua / 24 / 365.25 for _, mah in CELLS]
            lasting = (f"{year:.1f} years" if year < SHELF_YEARS else f"over {SHELF_YEARS}" for year in years)
            row = f"{interval_ms:7} ms{current_ua:9.1f} uA" + "".join(f"{years:>14}" for years in lasting)
            if interval_ms == 1_000 and current_ua > AT_ONE_SECOND_MAX_UA:
                well, row = False, f"{row}  TOO MUCH: {AT_ONE_SECOND_MAX_UA} uA"
            print(row)
    return well


def lost(beacons, interval_ms):
    """The share of the longest packets on one channel that overlap another: a receiver there loses both."""
    chance = random.Random(1)
    events = PACKETS // beacons
    starts = []
    for _ in range(beacons):
        at_us = chance.uniform(0, interval_ms * 1e3)
        for _ in range(events):
            starts.append(at_us)
            at_us += (interval_ms + chance.randrange(11)) * 1e3
    starts.sort()
    hit = 0
    for before, start, after in zip([-1e9, *starts], starts, [*starts[1:], 1e18]):
        hit += start - before < PACKET_US or after - start < PACKET_US
    return hit / len(starts)


def lost_at_random(beacons, interval_ms):
    """The same where packets come at random (pure ALOHA)."""
    return 1 - math.exp(-2 * (beacons - 1) * PACKET_US / (interval_ms + 5) / 1e3)


def print_collisions():
    intervals = (100, 250, 500, 1_000, 2_000, 5_000, 10_000)
    print("\nAdvertisements lost to others' on a channel where every beacon is heard equally well:")
    print(f"{'beacons':>8}" + "".join(f"{interval:>9} ms" for interval in intervals))
    well = True
    for beacons in (50, 200, 1_000):
        shares = [lost(beacons, interval) for interval in intervals]
        expected = [lost_at_random(beacons, interval) for interval in intervals]
        print(f"{beacons:8}" + "".join(f"{100 * share:10.2f} %" for share in shares))
        well &= all(abs(share - other) < 0.02 for share, other in zip(shares, expected))
    if not well:
        print("that is more than 2 % away from packets at random: advDelay does not spread them")
    return well


def main():
    checks = [print_sizes(), print_stack(), print_current(), print_collisions()]
    if not all(checks):
        sys.exit("over budget")


if __name__ == "__main__":
    main()
