"""A day in the life of a beacon that nobody has configured: iBeacon each second, telemetry every ten."""

import statistics

import pytest

import image
from advertising import decode, events
from conftest import CHIP, ELF, LONG_S
from machine import CLOCK, NS, NVMC, SAADC, Machine

# A deadline is a whole millisecond; the packet follows when the crystal has started (0.36 ms), and a little later where
# another slot's event was under way.
START_MS = 0.36


@pytest.fixture(scope="module")
def day():
    machine = Machine(ELF, CHIP)
    machine.battery_mv = lambda now_ns: 3000 - now_ns // (3600 * NS)  # a millivolt an hour
    machine.run(LONG_S)
    machine.heard = events(machine.packets[: len(machine.packets) // 3 * 3])
    machine.frames = decode([event.data for event in machine.heard])
    return machine


def of(day, name):
    return [(event, frame) for event, frame in zip(day.heard, day.frames, strict=True) if frame["format"] == name]


def test_runs_through_without_a_reset(day):
    assert day.resets == []


def test_every_event_is_received_and_decoded(day):
    assert {frame["format"] for frame in day.frames} == {"ibeacon", "eddystone-tlm"}
    assert len(of(day, "ibeacon")) == pytest.approx(LONG_S / 1.005, rel=0.002)
    assert len(of(day, "eddystone-tlm")) == pytest.approx(LONG_S / 10.005, rel=0.01)


def test_says_who_it_is_by_the_chips_own_identifiers(day):
    frames = {str(frame) for _, frame in of(day, "ibeacon")}
    assert len(frames) == 1
    frame = of(day, "ibeacon")[0][1]
    assert frame["uuid"] == "76697472-696e-6500-756e-636f6e666967"
    assert (frame["major"], frame["minor"]) == (day.device_id >> 16, day.device_id & 0xFFFF)
    assert frame["measured_power_dbm"] == -59
    assert {(event.address.hex(), event.random_address) for event in day.heard} == {("e65544332211", True)}
    assert {event.power_dbm for event in day.heard} == {0}


def gaps_ms(day):
    """From one iBeacon event to the next, where telemetry was not in the way of either."""
    telemetry = {round(event.at_ms / 10) for event, _ in of(day, "eddystone-tlm")}
    at_ms = [event.at_ms for event, _ in of(day, "ibeacon")]
    free = [not telemetry & {round(t / 10) - 1, round(t / 10), round(t / 10) + 1} for t in at_ms]
    return [b - a for a, b, x, y in zip(at_ms, at_ms[1:], free, free[1:]) if x and y]


def test_advertising_delay_is_uniform_over_0_to_10_ms(day):
    delays = [gap - 1000 for gap in gaps_ms(day)]
    assert all(abs(delay - round(delay)) < 0.1 for delay in delays), "not whole milliseconds"
    counts = [0] * 11
    for delay in delays:
        assert 0 <= round(delay) <= 10, delay
        counts[round(delay)] += 1
    expected = len(delays) / 11
    chi_square = sum((count - expected) ** 2 / expected for count in counts)
    assert chi_square < 29.6, f"{counts}: p < 0.001 with 10 degrees of freedom"


def test_delays_do_not_depend_on_the_one_before(day):
    delays = [round(gap - 1000) for gap in gaps_ms(day)]
    correlation = statistics.correlation(delays, delays[1:] + delays[:1])
    assert abs(correlation) < 4 / len(delays) ** 0.5


def test_the_rhythm_drifts_less_than_50_ppm(day):
    """Deadlines are whole milliseconds from power-up: so the last packet lies as far from one as the first."""
    at_ms = [event.at_ms for event, _ in of(day, "ibeacon")]
    phases = [(t - at_ms[0] + 0.5) % 1 - 0.5 for t in at_ms]
    drift_ms = statistics.median(phases[-100:]) - statistics.median(phases[:100])
    assert abs(drift_ms) < 0.1
    assert abs(statistics.fmean(gaps_ms(day)) - 1005) < 4 * 3.17 / len(at_ms) ** 0.5


def test_uptime_keeps_time_within_50_ppm(day):
    first, last = (of(day, "eddystone-tlm")[index] for index in (0, -1))
    reported_s = last[1]["uptime_s"] - first[1]["uptime_s"]
    true_s = (last[0].at_ns - first[0].at_ns) / NS
    assert abs(reported_s - true_s) <= 50e-6 * true_s + 0.1


def test_telemetry_counts_the_packets_before_it(day):
    for index, (event, frame) in enumerate(zip(day.heard, day.frames, strict=True)):
        if frame["format"] == "eddystone-tlm":
            assert frame["advertisements"] == 3 * index


def test_telemetry_reports_the_battery_and_the_temperature_as_they_were_within_the_last_minutes(day):
    for event, frame in of(day, "eddystone-tlm")[1:]:
        now_mv = day.battery_mv(event.at_ns)
        assert now_mv - 1 <= frame["battery_mv"] <= now_mv + 1
        assert frame["temperature_c"] == 21.0


def test_the_battery_is_measured_once_a_minute_and_right_after_a_transmission(day):
    samples = day.peripherals[SAADC].samples_ns
    assert len(samples) == pytest.approx(LONG_S / 60.5, rel=0.02)
    ends_ns = iter(sorted(event.at_ns for event in day.heard))
    last_ns = 0
    following = next(ends_ns, None)
    for sample_ns in samples:
        while following is not None and following < sample_ns:
            last_ns, following = following, next(ends_ns, None)
        assert sample_ns - last_ns < 2_500_000


def test_the_crystal_of_the_radio_runs_only_while_transmitting(day):
    clock = day.peripherals[CLOCK]
    assert clock.hf_starts == len(day.heard)
    assert clock.hf_on_ns() / len(day.heard) < 1_800_000


def test_the_cache_of_the_flash_is_on_where_there_is_one(day):
    assert day.peripherals[NVMC].registers.get(0x540, 0) & 1 == (CHIP != "nrf52810")


def test_the_watchdog_is_fed_every_ten_seconds_at_least(day):
    gaps = [b - a for a, b in zip(day.feeds_ns, day.feeds_ns[1:])]
    assert max(gaps) <= 11 * NS


def test_the_clock_is_logged_and_flash_is_spared(day):
    entries = image.log(day.store)
    written = LONG_S // 256 + 1
    # A page holds 256, and is erased when it is begun; the first one was erased already.
    assert len(day.erasures) == (written - 1) // 256
    assert len(entries) == written - 256 * max(len(day.erasures) - 1, 0)
    assert [b[0] - a[0] for a, b in zip(entries, entries[1:])] == [pytest.approx(256, abs=1)] * (len(entries) - 1)
    assert len(day.erasures) <= 1
