#!/usr/bin/env python3
"""Compares our decoder with bleparser and TheengsDecoder on the same advertisements, in one run.

    tests/bench/decode.py

The advertisements are the open vectors in the repository. Each round runs all decoders, one after the other; the
times are CPU time, so that other work on the machine weighs less, and the median over the rounds is printed. The two
Python packages are installed in target/bench-decode.

bleparser and TheengsDecoder are called from Python, as their users call them, with their input prepared beforehand.
Ours runs in a process of its own, which reads every value of every frame; its start counts as ours.
"""

import glob
import json
import logging
import os
import resource
import statistics
import subprocess
import sys
import time
import venv

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VENV = os.path.join(ROOT, "target", "bench-decode")
PACKAGES = ["bleparser==3.7.3", "TheengsDecoder==2.5.0"]
VECTORS = ["protocol/tests/data/*vectors.jsonl", "tests/data/*vectors.jsonl"]

ROUNDS = 9
# How often a round goes through all advertisements, so that each decoder works for some tenths of a second.
OURS, BLEPARSER, THEENGS = 20_000, 200, 2


def main():
    into_venv()
    advertisements = read_vectors()
    decoders = {
        "vitrine-protocol": ours(advertisements),
        "bleparser": bleparser(advertisements),
        "TheengsDecoder": theengs(advertisements),
    }
    per_s = {name: [] for name in decoders}
    known = {}
    for _ in range(ROUNDS):
        for name, decode in decoders.items():
            repetitions, seconds, known[name] = decode()
            per_s[name].append(repetitions * len(advertisements) / seconds)

    print(f"{len(advertisements)} advertisements, {ROUNDS} rounds, one core\n")
    print("| decoder | knows | advertisements/s | ours is faster by |")
    print("|---|---|---|---|")
    for name, rates in per_s.items():
        ratio = statistics.median(a / b for a, b in zip(per_s["vitrine-protocol"], rates))
        print(f"| {name} | {known[name]} | {figure(statistics.median(rates))} | {figure(ratio)} |")


def into_venv():
    """Runs this file with the packages that it compares with."""
    python = os.path.join(VENV, "bin", "python3")
    if os.path.realpath(sys.prefix) == os.path.realpath(VENV):
        return
    if not os.path.exists(python):
        venv.create(VENV, with_pip=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    os.execv(python, [python, os.path.abspath(__file__), *sys.argv[1:]])


def read_vectors():
    """Whole advertisements. Of what is only service or manufacturer data, one is made, with flags."""
    advertisements = []
    for pattern in VECTORS:
        for path in sorted(glob.glob(os.path.join(ROOT, pattern))):
            for line in open(path, encoding="utf-8"):
                advertisement = whole(json.loads(line))
                # What no legacy advertisement has room for, bleparser refuses before decoding.
                if advertisement and len(advertisement) <= 31:
                    advertisements.append(advertisement)
    if not advertisements:
        sys.exit(f"no vectors in {' or '.join(VECTORS)}")
    return advertisements


def whole(vector):
    """None for what is only a part, as an encoded URL."""

    def octets(key):
        return bytes.fromhex(vector[key].replace("X", "0"))

    if "adv_hex" in vector:
        return octets("adv_hex")
    if "svc_hex" in vector:
        uuid = int(vector["svc_uuid"], 16).to_bytes(2, "little")
        return structure(0x01, b"\x06") + structure(0x16, uuid + octets("svc_hex"))
    if "mfr_hex" in vector:
        company = vector["mfr_company"].to_bytes(2, "little") if "mfr_company" in vector else b""
        return structure(0x01, b"\x06") + structure(0xFF, company + octets("mfr_hex"))
    return None


def structure(ad_type, data):
    return bytes([len(data) + 1, ad_type]) + data


def structures(advertisement):
    """Type and data of each, up to the first that is cut short."""
    while len(advertisement) > 1 and 0 < advertisement[0] < len(advertisement):
        length = advertisement[0]
        yield advertisement[1], advertisement[2 : length + 1]
        advertisement = advertisement[length + 1 :]


def ours(advertisements):
    build = subprocess.run(
        ["cargo", "bench", "-p", "vitrine-protocol", "--bench", "compare", "--no-run", "--message-format=json"],
        check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )
    built = [json.loads(line).get("executable") for line in build.stdout.splitlines()]
    executable = [path for path in built if path][-1]
    lines = "".join(advertisement.hex() + "\n" for advertisement in advertisements)

    def run():
        before = child_seconds()
        done = subprocess.run([executable, str(OURS)], check=True, input=lines, stdout=subprocess.PIPE, text=True)
        return OURS, child_seconds() - before, int(done.stdout)

    return run


def child_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def bleparser(advertisements):
    from bleparser import BleParser

    logging.disable(logging.CRITICAL)
    parser = BleParser(discovery=True, filter_duplicates=False)
    address, rssi = bytes(range(6)), b"\xc4"
    packets = []
    for advertisement in advertisements:
        report = b"\x02\x01\x00\x00" + address + bytes([len(advertisement)]) + advertisement + rssi
        packets.append(b"\x04\x3e" + bytes([len(report)]) + report)

    def decode(packet):
        try:
            return parser.parse_raw_data(packet)[0] is not None
        except Exception:  # On some payloads it raises, of several classes.
            return False

    return in_python(BLEPARSER, packets, decode)


def theengs(advertisements):
    from TheengsDecoder import decodeBLE

    packets = []
    for advertisement in advertisements:
        packet = {"id": "00:01:02:03:04:05", "rssi": -60}
        for ad_type, data in structures(advertisement):
            if ad_type in (0x08, 0x09):
                packet["name"] = data.decode("utf-8", "replace")
            elif ad_type == 0x16:
                packet["servicedatauuid"] = data[1::-1].hex()
                packet["servicedata"] = data[2:].hex()
            elif ad_type == 0xFF:
                packet["manufacturerdata"] = data.hex()
        packets.append(json.dumps(packet))
    return in_python(THEENGS, packets, lambda packet: decodeBLE(packet) is not None)


def in_python(repetitions, packets, decode):
    def run():
        start = time.process_time()
        for _ in range(repetitions):
            known = sum(map(decode, packets))
        return repetitions, time.process_time() - start, known

    return run


def figure(number):
    """With three digits, and a multiplier if it is large."""
    for limit, unit in ((1e6, " M"), (1e3, " k")):
        if number >= limit:
            return f"{number / limit:.3g}{unit}"
    return f"{number:.3g}"


if __name__ == "__main__":
    main()
