"""Both ends of the air: what the radio's registers make of a packet, and a receiver that knows the Bluetooth
specification alone.

`transmitted` follows the nRF52832 Product Specification 1.4, chapter 23: it knows nothing of Bluetooth and sends
whatever the registers say. `receive` follows the Bluetooth Core Specification 5.4, Vol 6, Part B: it knows nothing of
the chip. A wrong value in any register leaves the receiver with nothing, as it would a phone.
"""

from typing import NamedTuple

ADVERTISING_CHANNELS = {2402: 37, 2426: 38, 2480: 39}
ACCESS_ADDRESS = bytes.fromhex("d6be898e")  # 0x8e89bed6, as on air
REVERSED = bytes(int(f"{octet:08b}"[::-1], 2) for octet in range(256))


class Packet(NamedTuple):
    """A packet on air; `octets` include preamble and access address, each octet's least significant bit first."""

    at_ns: int
    mhz: int
    power_dbm: int
    octets: bytes


class NotReceived(Exception):
    """A Bluetooth receiver hears nothing, or not this."""


def lfsr_octets(seed):
    """127 octets of the whitening sequence x^7 + x^4 + 1, from the register value `seed` (position 0 first)."""
    register = [seed >> (6 - position) & 1 for position in range(7)]
    octets = []
    for _ in range(127):
        octet = 0
        for bit in range(8):
            out = register[6]
            octet |= out << bit
            register = [out, *register[:6]]
            register[4] ^= out
        octets.append(octet)
    return bytes(octets)


WHITENING = {iv: lfsr_octets(iv) for iv in range(128)}
_CRC_TABLES = {}


def crc24(polynomial, start, data):
    """A CRC of 24 bits over octets that go least significant bit first; the most significant bit is sent first."""
    table = _CRC_TABLES.get(polynomial)
    if table is None:
        table = []
        for octet in range(256):
            crc = octet << 16
            for _ in range(8):
                crc = (crc << 1) ^ (polynomial if crc & 0x80_0000 else 0)
            table.append(crc & 0xFF_FFFF)
        _CRC_TABLES[polynomial] = table
    crc = start
    for octet in data:
        crc = (crc << 8 & 0xFF_FFFF) ^ table[(crc >> 16) ^ REVERSED[octet]]
    return crc


def crc_octets(crc):
    return bytes(REVERSED[crc >> shift & 0xFF] for shift in (16, 8, 0))


def xor(data, key):
    length = len(data)
    return (int.from_bytes(data, "little") ^ int.from_bytes(key[:length], "little")).to_bytes(length, "little")


def transmitted(registers, memory):
    """The octets on air for a packet at `memory`, as the registers (by offset) say."""
    mode = registers.get(0x510, 0)
    if mode & 0xF != 3:
        return b""  # not BLE at 1 Mbit/s: nothing that such a receiver could hear
    pcnf0, pcnf1 = registers.get(0x514, 0), registers.get(0x518, 0)
    length_bits, s0_octets, s1_bits = pcnf0 & 0xF, pcnf0 >> 8 & 1, pcnf0 >> 16 & 0xF
    if length_bits != 8 or s1_bits != 0 or pcnf1 >> 24 & 1:
        raise NotImplementedError("only whole octets, little endian, are modelled")
    maximum, static, base = pcnf1 & 0xFF, pcnf1 >> 8 & 0xFF, pcnf1 >> 16 & 7
    length = min(memory[s0_octets] + static, maximum)
    payload = memory[: s0_octets + 1 + length]

    logical = registers.get(0x52C, 0) & 7
    if logical == 0:
        base_address, prefix = registers.get(0x51C, 0), registers.get(0x524, 0) & 0xFF
    else:
        prefixes = registers.get(0x524, 0) | registers.get(0x528, 0) << 32
        base_address, prefix = registers.get(0x520, 0), prefixes >> 8 * logical & 0xFF
    address = base_address.to_bytes(4, "little")[4 - base :] + bytes([prefix])
    preamble = bytes([0xAA if address[0] & 1 == 0 else 0x55])

    config = registers.get(0x534, 0)
    crc_length, skip_address = config & 3, config >> 8 & 1
    crc = b""
    if crc_length == 3:
        covered = payload if skip_address else address + payload
        crc = crc_octets(crc24(registers.get(0x538, 0) & 0xFF_FFFF, registers.get(0x53C, 0) & 0xFF_FFFF, covered))
    body = payload + crc
    if pcnf1 >> 25 & 1:
        body = xor(body, WHITENING[registers.get(0x554, 0x40) & 0x3F | 0x40])
    return preamble + address + body


def receive(packet):
    """The PDU that a Bluetooth receiver on the advertising channels hears, and its channel."""
    channel = ADVERTISING_CHANNELS.get(packet.mhz)
    if channel is None:
        raise NotReceived(f"{packet.mhz} MHz is no advertising channel")
    if packet.octets[:5] != b"\xaa" + ACCESS_ADDRESS:
        raise NotReceived(f"preamble and access address are {packet.octets[:5].hex()}")
    body = xor(packet.octets[5:], WHITENING[channel | 0x40])
    pdu, crc = body[:-3], body[-3:]
    if len(pdu) < 2 or len(pdu) != 2 + pdu[1]:
        raise NotReceived("the length does not fit: wrong whitening?")
    if crc != crc_octets(crc24(0x00_065B, 0x55_5555, pdu)):
        raise NotReceived("the CRC does not fit")
    return channel, pdu
