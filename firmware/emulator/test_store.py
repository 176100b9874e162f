"""What lies in flash: configurations, whole and torn, and time over resets."""

import pytest

import image
from advertising import decode, events
from machine import NS, NVMC

UID = bytes.fromhex("0201060303aafe1716aafe00ee") + b"namespace!" + b"number" + bytes(2)
OTHER = bytes.fromhex("0201061aff4c000215") + bytes(16) + bytes.fromhex("00010002c5")


def formats(machine, seconds=10):
    before = len(machine.packets)
    machine.run(seconds)
    fresh = machine.packets[before:]
    return {frame["format"] for frame in decode([event.data for event in events(fresh[: len(fresh) // 3 * 3])])}


def configuration(data, serial):
    return image.configuration([image.fixed(data, 200)], serial)


def test_a_configuration_is_used_from_either_page(machine):
    assert formats(machine(configuration(UID, 1), image.CONFIG_A)) == {"eddystone-uid"}
    assert formats(machine(configuration(UID, 1), image.CONFIG_B)) == {"eddystone-uid"}


def test_the_newer_copy_counts(machine):
    for older, newer in ((image.CONFIG_A, image.CONFIG_B), (image.CONFIG_B, image.CONFIG_A)):
        beacon = machine()
        image.write(beacon.store, older, configuration(OTHER, 7))
        image.write(beacon.store, newer, configuration(UID, 8))
        beacon.power_cut(0)
        assert formats(beacon) == {"eddystone-uid"}


@pytest.mark.parametrize("cut", range(4, len(configuration(UID, 9)), 12))
def test_a_torn_write_falls_back_to_the_other_copy(machine, cut):
    beacon = machine()
    image.write(beacon.store, image.CONFIG_A, configuration(OTHER, 8))
    image.write(beacon.store, image.CONFIG_B, configuration(UID, 9)[:cut])
    beacon.power_cut(0)
    assert formats(beacon, 3) == {"ibeacon"}


def test_what_cannot_be_used_leaves_an_unconfigured_beacon(machine):
    mixed = image.configuration([image.fixed(UID, 200), image.secure(200)], identity=image.device(bytes(16)))
    assert formats(machine(mixed), 30) == {"ibeacon", "eddystone-tlm"}


def test_every_fixed_payload_goes_on_air_as_configured(machine):
    url = bytes.fromhex("0201060303aafe0e16aafe10ee0376697472696e6507")
    altbeacon = bytes.fromhex("0201061bff1801beac") + bytes(range(20)) + bytes.fromhex("c500")
    beacon = machine(image.configuration([image.fixed(data, 100) for data in (UID, OTHER, url, altbeacon)]))
    beacon.run(20)
    heard = events(beacon.packets[: len(beacon.packets) // 3 * 3])
    assert {event.data for event in heard} == {UID, OTHER, url, altbeacon}
    assert {frame["format"] for frame in decode([event.data for event in heard])} == {
        "eddystone-uid",
        "ibeacon",
        "eddystone-url",
        "altbeacon",
    }


@pytest.mark.parametrize("asked,sent", [(-128, -40), (-39, -40), (-30, -40), (-5, -4), (1, 0), (127, None)])
def test_power_is_the_nearest_that_the_chip_has(machine, asked, sent):
    beacon = machine(image.configuration([image.fixed(UID, 100, power_dbm=asked)]))
    beacon.run(3)
    assert {packet.power_dbm for packet in beacon.packets} == {max(beacon.chip.powers_dbm) if sent is None else sent}


def test_quiet_hours_are_kept_until_the_clock_is_uncertain(machine):
    """Quiet from 00:01 to 00:03, from a configuration made at midnight."""
    settings = image.configuration([image.fixed(UID, 500)], time_s=1_764_028_800, quiet=(1, 3))
    beacon = machine(settings)
    started_ns = beacon.now_ns
    beacon.run(240)
    at_s = [(event.at_ns - started_ns) / NS for event in events(beacon.packets)]
    assert not [at for at in at_s if 61 < at < 180]
    assert sum(at < 61 for at in at_s) > 100 and sum(at > 180 for at in at_s) > 70
    assert max(b - a for a, b in zip(beacon.feeds_ns, beacon.feeds_ns[1:])) <= 11 * NS, "the watchdog is fed at night"
    beacon.packets.clear()
    beacon.power_cut(5)
    restarted_ns = beacon.now_ns
    beacon.run(240)
    assert len(events(beacon.packets)) > 460, "heard rather than silent at the wrong hour"
    assert restarted_ns > started_ns


@pytest.mark.parametrize("words", range(3))
def test_a_log_entry_that_is_cut_short_costs_one_entry(machine, words):
    beacon = machine(image.configuration([image.fixed(UID, 10_000)], time_s=1_000_000))
    beacon.run(1_000)
    entries = image.log(beacon.store)
    assert len(entries) == 4
    beacon.peripherals[NVMC].cut_after_words = words
    beacon.run(2_000)
    assert [reason for _, reason in beacon.resets] == [0]
    after = image.log(beacon.store)
    assert after[:4] == entries
    # Time goes on a second after the last whole entry; the first event's entry follows.
    assert entries[3][0] + 1 <= after[4][0] <= entries[3][0] + 13


@pytest.mark.parametrize("page", [image.TIME_A, image.TIME_B])
def test_a_log_that_is_destroyed_ends_secure_frames(machine, page):
    """Which counters were used is not known: none must be used again."""
    beacon = machine(image.configuration([image.secure(500), image.eid(500)], 1, 1_764_000_000, image.device(bytes(16))))
    beacon.run(20)
    sent = {event.data[:7] for event in events(beacon.packets[: len(beacon.packets) // 3 * 3])}
    secure = bytes.fromhex("0201061bffffff")
    assert secure in sent and len(sent) == 2
    image.write(beacon.store, image.TIME_A, b"")
    image.write(beacon.store, page, bytes(4096))
    beacon.power_cut(5)
    beacon.packets.clear()
    beacon.run(20)
    sent = {event.data[:7] for event in events(beacon.packets[: len(beacon.packets) // 3 * 3])}
    assert len(sent) == 1 and secure not in sent
