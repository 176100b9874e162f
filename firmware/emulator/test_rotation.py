"""A day of a rotating beacon: secure frames, Eddystone-EID and encrypted telemetry, over a battery swap and a crash.

Identifiers and seals are checked with `cryptography`, from the derivations' documentation: none of the project's code
has a part in it.
"""

import struct

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from cryptography.hazmat.primitives.cmac import CMAC

import image
from advertising import events
from conftest import CHIP, ELF, LONG_S
from machine import NS, RADIO, Machine

KEY = bytes(range(0x10, 0x20))
TIME_S = 1_764_000_000
WINDOW_S = 1024
CRYSTAL_NS = 250_000_000  # the beacon's clock starts when the 32 kHz crystal has


def aes(key, block):
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(block)


def derived(label):
    """NIST SP 800-108r1, counter mode, CMAC-AES-128."""
    mac = CMAC(algorithms.AES(KEY))
    mac.update(b"\x01" + label + b"\x00\x00\x80")
    return mac.finalize()


IDENTITY, SEALING = derived(b"vitrine identity"), derived(b"vitrine seal")


def identifier(window):
    """google/eddystone, eddystone-eid/eid-computation.md, with K = 10."""
    time_s = window * WINDOW_S
    temporary = aes(IDENTITY, bytes(11) + b"\xff" + bytes(2) + struct.pack(">H", time_s >> 16))
    return aes(temporary, bytes(11) + b"\x0a" + struct.pack(">I", time_s))[:8]


def opened(window, data):
    """The telemetry in a secure frame's advertising data; raises where the seal does not fit."""
    frame = data[7:]
    nonce = b"\x01" + struct.pack(">I", window * WINDOW_S) + frame[9:12] + bytes(5)
    return AESCCM(SEALING, tag_length=4).decrypt(nonce, frame[12:], frame[:12])


class Heard:
    """An event, with what could be read of it. The window is found, not assumed."""

    def __init__(self, event, windows):
        self.event = event
        data = event.data
        if data[:7] == bytes.fromhex("0201061bffffff"):
            assert data[7] == 1
            self.kind, self.identifier, self.counter = "secure", data[8:16], int.from_bytes(data[16:19], "big")
            self.window = windows[self.identifier]
            self.telemetry = opened(self.window, data)
        elif data[9:13] == bytes.fromhex("aafe30ee"):
            self.kind, self.identifier = "eid", data[13:21]
            self.window = windows[self.identifier]
        else:
            assert data[9:13] == bytes.fromhex("aafe2001"), data.hex()
            self.kind, self.window = "etlm", None


@pytest.fixture(scope="module")
def day():
    """A third of the time each: until a battery is swapped, until the radio hangs, until the end."""
    slots = [image.secure(2_000), image.eid(5_000), image.etlm(60_000)]
    machine = Machine(ELF, CHIP)
    image.write(machine.store, image.CONFIG_A, image.configuration(slots, 1, TIME_S, image.device(KEY)))
    machine.power_cut(0)
    machine.resets.clear()
    machine.started_ns = machine.now_ns + CRYSTAL_NS

    machine.run(LONG_S / 3)
    machine.parts = [whole(machine.packets)]
    machine.packets.clear()
    machine.power_cut(90)
    machine.run(LONG_S / 3)
    machine.peripherals[RADIO].stuck = True
    machine.run(60)
    machine.parts.append(whole(machine.packets))
    machine.packets.clear()
    machine.run(LONG_S / 3)
    machine.parts.append(whole(machine.packets))

    last = (TIME_S + LONG_S + 2 * WINDOW_S) // WINDOW_S
    windows = {identifier(window): window for window in range(TIME_S // WINDOW_S, last + 1)}
    machine.heard = [[Heard(event, windows) for event in part] for part in machine.parts]
    machine.all = [heard for part in machine.heard for heard in part]
    return machine


def whole(packets):
    """Events; the last one may have been cut short."""
    return events(packets[: len(packets) // 3 * 3])


def test_all_kinds_are_sent_at_their_rates(day):
    for kind, interval_s in (("secure", 2.005), ("eid", 5.005), ("etlm", 60.005)):
        count = sum(heard.kind == kind for heard in day.all)
        assert count == pytest.approx(LONG_S / interval_s, rel=0.01, abs=12)


def test_identifiers_are_those_of_an_independent_aes_at_the_beacons_time(day):
    """Time is known to the second until the battery is swapped; then it is late by the swap and one entry of the log at
    most, and after the radio hung by the half minute that the watchdog needs.
    """
    for heard in day.heard[0]:
        if heard.window is not None:
            assert heard.window == (TIME_S + (heard.event.at_ns - day.started_ns) // NS) // WINDOW_S
    bitten_ns = day.resets[1][0]
    for part in day.heard[1:]:
        for heard in part:
            if heard.window is not None:
                true_s = TIME_S + (heard.event.at_ns - day.started_ns) / NS
                late_s = 90 + 256 + 2 + (31 if heard.event.at_ns > bitten_ns else 0)
                assert (true_s - late_s) // WINDOW_S <= heard.window <= true_s // WINDOW_S


def test_address_and_identifier_change_together(day):
    rotating = [heard for heard in day.all if heard.window is not None]
    pairs = {(heard.window, heard.event.address) for heard in rotating}
    windows = {window for window, _ in pairs}
    # A start draws an address of its own: two windows may have two.
    assert len(windows) <= len(pairs) <= len(windows) + 2
    assert len({address for _, address in pairs}) == len(pairs), "no address comes again"
    assert all(heard.event.random_address and heard.event.address[0] >> 6 == 0 for heard in day.all)
    assert LONG_S // WINDOW_S <= len(windows) <= LONG_S // WINDOW_S + 2


def test_encrypted_telemetry_uses_the_address_of_its_window(day):
    for part in day.heard:
        for before, heard, after in zip(part, part[1:], part[2:]):
            if heard.kind == "etlm" and before.event.address == after.event.address:
                assert heard.event.address == before.event.address


def test_the_rhythm_starts_anew_in_each_window(day):
    """The first event of a window is not where the last rhythm would have it."""
    offsets = []
    secure = [heard for heard in day.heard[0] if heard.kind == "secure"]
    for before, after in zip(secure, secure[1:]):
        if before.window != after.window:
            offsets.append((after.event.at_ms - before.event.at_ms) % 2000)
    assert len(offsets) < 5 or max(offsets) - min(offsets) > 500, offsets


def test_no_counter_comes_twice_in_a_window(day):
    secure = [heard for heard in day.all if heard.kind == "secure"]
    assert len({(heard.window, heard.counter) for heard in secure}) == len(secure)
    counters = [heard.counter for heard in secure]
    assert counters == sorted(counters)


def test_sealed_telemetry_tells_the_battery_and_that_the_clock_was_restored(day):
    unmeasured = 0
    for number, part in enumerate(day.heard):
        for heard in part:
            if heard.kind == "secure":
                battery, temperature, state, trigger, count = struct.unpack(">HhBBH", heard.telemetry)
                unmeasured += battery == 0
                assert battery == 0 or (abs(battery - 3000) <= 1 and temperature == 21 * 256)
                assert state == (0x20 if number > 0 else 0)
                assert (trigger, count) == (0, 0)
    assert unmeasured <= 1 + len(day.resets), "only what is sent before the first measurement of a start"


def test_a_radio_that_hangs_is_reset_by_the_watchdog(day):
    reasons = [reason for _, reason in day.resets]
    assert reasons == [0, 0b10], "a swap, and one bite of the watchdog"
    assert day.heard[2], "and it is heard again"
    # The clock lost less than a step's length over the reset.
    first = next(heard for heard in day.heard[2] if heard.window is not None)
    assert first.window >= max(heard.window for heard in day.heard[1] if heard.window is not None)


def test_the_beacons_time_never_goes_back(day):
    windows = [heard.window for heard in day.all if heard.window is not None]
    assert windows == sorted(windows)
    entries = image.log(day.store)
    assert all(a[0] < b[0] for a, b in zip(entries, entries[1:]))
