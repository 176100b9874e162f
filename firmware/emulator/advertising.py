"""What was on air, as a receiver has it: packets joined to advertising events, and events decoded.

Payloads are decoded by the project's own `vitrine decode`, so that the firmware's encoders and the gateway's decoders
are held against each other; addresses and timing are read here.
"""

import json
import os
import pathlib
import subprocess
from typing import NamedTuple

from air import receive

ROOT = pathlib.Path(__file__).resolve().parents[2]
EVENT_SPAN_NS = 2_000_000


class Event(NamedTuple):
    """An advertising event; its time is that of its first packet."""

    at_ns: int
    power_dbm: int
    address: bytes  # most significant octet first
    random_address: bool
    data: bytes

    @property
    def at_ms(self):
        return self.at_ns / 1e6


def events(packets):
    """Checks that packets come as events on channels 37, 38, 39 with one PDU, and joins them."""
    assert len(packets) % 3 == 0, "the last event is not whole"
    found = []
    for first in range(0, len(packets), 3):
        trio = packets[first : first + 3]
        heard = [receive(packet) for packet in trio]
        assert [channel for channel, _ in heard] == [37, 38, 39], "channels out of order"
        assert len({pdu for _, pdu in heard}) == 1, "an event is one PDU on three channels"
        assert len({packet.power_dbm for packet in trio}) == 1
        assert trio[2].at_ns - trio[0].at_ns < EVENT_SPAN_NS, "the packets of an event are too far apart"
        pdu = heard[0][1]
        assert pdu[0] & 0x0F == 2, "not ADV_NONCONN_IND"
        assert 8 <= len(pdu) <= 39
        found.append(Event(trio[0].at_ns, trio[0].power_dbm, pdu[7:1:-1], bool(pdu[0] & 0x40), pdu[8:]))
    return found


def vitrine():
    """The agent's binary."""
    chosen = os.environ.get("VITRINE_BIN")
    candidates = [chosen] if chosen else [ROOT / "target" / profile / "vitrine" for profile in ("debug", "release")]
    for path in candidates:
        if pathlib.Path(path).exists():
            return str(path)
    raise FileNotFoundError("no vitrine to decode with: cargo build -p vitrine-agent")


def decode(payloads):
    """The one frame in each payload. Equal payloads are decoded once."""
    distinct = sorted(set(payloads))
    given = "".join(payload.hex() + "\n" for payload in distinct)
    done = subprocess.run([vitrine(), "decode", "-"], input=given, capture_output=True, text=True, check=True)
    frames = {}
    for payload, line in zip(distinct, done.stdout.splitlines(), strict=True):
        decoded = json.loads(line)
        assert decoded["error"] is None, (payload.hex(), decoded)
        assert len(decoded["frames"]) == 1, (payload.hex(), decoded)
        frames[payload] = decoded["frames"][0]
    return [frames[payload] for payload in payloads]
