"""Inputs, and a battery that runs down."""

import pytest

import image
from advertising import events
from machine import NS
from test_store import UID

BUTTON_PINS = {"nrf52810": 13, "nrf52832": 13, "nrf52833": 11, "nrf52840": 11}
MOTION_PIN = 3
HOLDS = (20, 5, 0, 0)


def at_s(machine, since_ns=0):
    return [(event.at_ns - since_ns) / NS for event in events(machine.packets[: len(machine.packets) // 3 * 3])]


def test_a_button_is_answered_within_a_few_milliseconds(machine):
    panic = image.fixed(UID, 0, fast_ms=100, on=image.BUTTON)
    beacon = machine(image.configuration([panic], holds=HOLDS))
    beacon.run(20)
    assert beacon.packets == [], "a slot without an interval waits"
    pin = BUTTON_PINS[beacon.chip.name]
    for _ in range(3):
        beacon.packets.clear()
        pressed_ns = beacon.now_ns
        beacon.press(pin, 0)
        beacon.run(0.3)
        beacon.press(pin, None)
        beacon.run(30)
        times = at_s(beacon, pressed_ns)
        assert times[0] < 0.012, "10 ms of advDelay at most, and the crystal's start"
        assert len(times) == pytest.approx(5 / 0.105, abs=3)
        assert times[-1] < 5.2


def test_motion_speeds_up_for_as_long_as_it_lasts(machine):
    slot = image.fixed(UID, 5_000, fast_ms=200, on=image.MOTION)
    beacon = machine(image.configuration([slot], holds=HOLDS))
    beacon.run(60)
    assert len(at_s(beacon)) == pytest.approx(12, abs=2)
    beacon.packets.clear()
    moved_ns = beacon.now_ns
    for _ in range(5):  # the accelerometer's line goes up again every 6 s
        beacon.press(MOTION_PIN, 1)
        beacon.run(0.05)
        beacon.press(MOTION_PIN, 0)
        beacon.run(5.95)
    beacon.run(70)
    times = at_s(beacon, moved_ns)
    fast = [time for time in times if time < 24 + 20]
    assert len(fast) == pytest.approx(44 / 0.205, rel=0.03)
    assert len([time for time in times if time > 46]) == pytest.approx(54 / 5, abs=2)


def test_an_input_that_is_active_at_power_up_is_told_once_and_wakes_no_more(machine):
    slot = image.fixed(UID, 0, fast_ms=100, on=image.MOTION)
    beacon = machine(image.configuration([slot], holds=(2, 0, 0, 0)))
    beacon.inputs[MOTION_PIN] = 1
    beacon.run(60)
    assert len(at_s(beacon)) == pytest.approx(2 / 0.105, abs=3)


def test_an_input_that_nothing_concerns_changes_nothing(machine):
    beacon = machine(image.configuration([image.fixed(UID, 1_000)]))
    for _ in range(20):
        beacon.press(MOTION_PIN, 1)
        beacon.run(0.5)
        beacon.press(MOTION_PIN, 0)
        beacon.run(0.5)
    assert len(at_s(beacon)) == pytest.approx(20, abs=1)


def test_a_low_battery_stretches_the_interval_and_a_new_one_ends_it(machine):
    beacon = machine(image.configuration([image.fixed(UID, 1_000)], low=(2_400, 4)))

    def rate(mv):
        beacon.battery_mv = lambda now_ns: mv
        beacon.run(130)
        beacon.packets.clear()
        beacon.run(100)
        return len(at_s(beacon))

    assert rate(2_600) == pytest.approx(100, abs=2)
    assert rate(2_300) == pytest.approx(25, abs=2)
    assert rate(2_500) == pytest.approx(25, abs=2), "rested, not new"
    assert rate(2_600) == pytest.approx(100, abs=2)
