"""What a hardware team does: settings as a text file, `configure`, flash, listen."""

import subprocess

import pytest

from advertising import ROOT, decode, events
from conftest import CHIP

SETTINGS = ROOT / "firmware/examples/beacon.toml"


def configure(settings):
    """The octets of the HEX file that `configure` makes, by address."""
    command = ["cargo", "run", "--quiet", "-p", "vitrine-firmware", "--example", "configure", "--", settings]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        raise ValueError(done.stderr)
    octets, upper = {}, 0
    for line in done.stdout.splitlines():
        assert line[0] == ":"
        record = bytes.fromhex(line[1:])
        assert sum(record) & 0xFF == 0, "a record's sum"
        length, address, kind, data = record[0], int.from_bytes(record[1:3], "big"), record[3], record[4:-1]
        assert length == len(data)
        if kind == 4:
            upper = int.from_bytes(data, "big") << 16
        elif kind == 0:
            octets.update({upper + address + at: octet for at, octet in enumerate(data)})
    return octets


@pytest.fixture
def settings(tmp_path):
    """Makes settings: the example for this chip, with `old` replaced by `new`."""

    def make(old=None, new=None):
        text = SETTINGS.read_text().replace('"nrf52832"', f'"{CHIP}"', 1)
        if old is not None:
            assert text.count(old) == 1
            text = text.replace(old, new)
        path = tmp_path / "beacon.toml"
        path.write_text(text)
        return path

    return make


def flash(machine, octets):
    for address, octet in octets.items():
        machine.store[address - machine.chip.store_base] = octet
    machine.power_cut(0)
    machine.resets.clear()


def test_the_example_is_sent_as_it_says(machine, settings):
    beacon = machine()
    flash(beacon, configure(settings()))
    beacon.run(90)
    heard = events(beacon.packets[: len(beacon.packets) // 3 * 3])
    frames = [str(frame) for frame in decode([event.data for event in heard]) if frame["format"] == "ibeacon"]
    assert len(frames) == pytest.approx(90, abs=2)
    assert len(set(frames)) == 1 and "2f234454-cf6d-4a0f-adf2-f4911ba9ffa6" in frames[0]
    assert len(heard) - len(frames) == pytest.approx(3, abs=1), "telemetry every 30 s"


def test_what_cannot_be_sent_is_refused_with_the_reason(settings):
    with pytest.raises(ValueError, match="fixed content beside rotating content"):
        configure(settings("send.eddystone-tlm = {}", "send.secure = { company = 0xffff }"))
    with pytest.raises(ValueError, match="in steps of 5 ms"):
        configure(settings("interval_ms = 30000", "interval_ms = 30001"))
