"""What lies in the store's pages, written and read from the formats' documentation alone.

`configuration` makes an image as `firmware/src/image.rs` describes it, `log` reads the clock's log of
`firmware/src/time.rs`. Neither uses the firmware's code.
"""

import struct

CONFIG_A, CONFIG_B, TIME_A, TIME_B = range(4)
PAGE = 4096
MOTION, BUTTON, CONTACT, PRESENCE = 1, 2, 4, 8


def crc32c(data):
    crc = 0xFFFF_FFFF
    for octet in data:
        crc ^= octet
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F6_3B78 if crc & 1 else 0)
    return crc ^ 0xFFFF_FFFF


assert crc32c(b"123456789") == 0xE306_9283  # the catalogue's check value


def slot(kind, interval_ms=0, power_dbm=0, fast_ms=0, on=0, rest=b""):
    return struct.pack("<BbIIB", kind, power_dbm, interval_ms, fast_ms, on) + rest


def fixed(data, interval_ms, **others):
    return slot(1, interval_ms, rest=bytes([len(data)]) + data, **others)


def tlm(interval_ms, **others):
    return slot(2, interval_ms, **others)


def eid(interval_ms, tx_power_dbm=-18, **others):
    return slot(3, interval_ms, rest=struct.pack("<b", tx_power_dbm), **others)


def etlm(interval_ms, **others):
    return slot(4, interval_ms, **others)


def secure(interval_ms, company=0xFFFF, **others):
    return slot(5, interval_ms, rest=struct.pack("<H", company), **others)


def device(key):
    return b"\x01" + key


def eddystone(key, exponent):
    return b"\x02" + key + bytes([exponent])


def configuration(slots, serial=1, time_s=0, identity=b"\x00", quiet=(0xFFFF, 0xFFFF), low=(0, 0), holds=(0, 0, 0, 0)):
    """An image: `holds` in the order motion, button, contact, presence."""
    body = struct.pack("<HHHB4H", *quiet, *low, *holds) + identity + bytes([len(slots)]) + b"".join(slots)
    head = b"Vtrb" + struct.pack("<BBHII", 1, 0, len(body), serial, time_s)
    return head + body + struct.pack("<I", crc32c(head + body))


def write(store, page, image):
    store[page * PAGE : (page + 1) * PAGE] = image.ljust(PAGE, b"\xff")


def log(store):
    """The entries of the clock's log, oldest first: (time in s, ceiling of the counter)."""
    entries = []
    for page in (TIME_A, TIME_B):
        for offset in range(page * PAGE, (page + 1) * PAGE, 16):
            entry = bytes(store[offset : offset + 16])
            time_s, ceiling, _, crc = struct.unpack("<IIII", entry)
            if crc == crc32c(entry[:12]):
                entries.append((time_s, ceiling))
    return sorted(entries)
