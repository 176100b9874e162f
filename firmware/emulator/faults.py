"""Plants faults in the firmware, one at a time, and checks that the tests notice: a test that cannot fail proves
nothing.

Each fault is one edit of the sources, in a copy; the firmware is built from it, and the tests named beside it must
fail. Usage: faults.py [NAME...]
"""

import os
import pathlib
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
WORK = ROOT / "target/firmware-faults"

HANG_S = 300

# name, file, what is replaced, by what, the tests that must notice
FAULTS = [
    (
        "whitening of the wrong channel",
        "firmware/boards/nrf52/src/radio.rs",
        "set_datawhiteiv(channel.index())",
        "set_datawhiteiv(37)",
        "test_day.py",
    ),
    (
        "a CRC that starts from zero",
        "firmware/boards/nrf52/src/radio.rs",
        "const CRC_START: u32 = 0x55_5555",
        "const CRC_START: u32 = 0",
        "test_day.py",
    ),
    (
        "a radio crystal that is left running",
        "firmware/boards/nrf52/src/radio.rs",
        "CLOCK.tasks_hfclkstop().write_value(1);",
        "",
        "test_day.py::test_the_crystal_of_the_radio_runs_only_while_transmitting",
    ),
    (
        "the 32 kHz clock from the RC oscillator",
        "firmware/boards/nrf52/src/clock.rs",
        "set_src(Lfclksrc::Xtal)",
        "set_src(Lfclksrc::Rc)",
        "test_day.py::test_uptime_keeps_time_within_50_ppm",
    ),
    (
        "a biased advertising delay",
        "firmware/src/schedule.rs",
        "uniform(entropy, DELAY_MAX_MS + 1).into()",
        "u64::from((entropy.next_u32() & 15).min(DELAY_MAX_MS))",
        "test_day.py::test_advertising_delay_is_uniform_over_0_to_10_ms",
    ),
    (
        "a watchdog that is not started",
        "firmware/boards/nrf52/src/main.rs",
        "    watchdog::start();\n",
        "",
        "test_rotation.py::test_a_radio_that_hangs_is_reset_by_the_watchdog",
    ),
    (
        "an address that stays while the identifier rotates",
        "firmware/src/advertiser.rs",
        "self.address = random_address(entropy).unwrap_or(self.address);",
        "if now_ms < 1_000 { self.address = random_address(entropy).unwrap_or(self.address); }",
        "test_rotation.py::test_address_and_identifier_change_together",
    ),
    (
        "counters that start over after a battery swap",
        "firmware/src/beacon.rs",
        "Sequence::resume(log.and_then(|log| log.last()))",
        "Sequence::resume(None)",
        "test_rotation.py::test_no_counter_comes_twice_in_a_window",
    ),
    (
        "a configuration whose CRC is not looked at",
        "firmware/src/image.rs",
        "(Reader(rest).u32()? == digest.finalize())",
        "(Reader(rest).u32()? != !digest.finalize())",
        "test_store.py::test_a_torn_write_falls_back_to_the_other_copy",
    ),
]


def copy():
    """The workspace's part that the firmware needs."""
    source = WORK / "source"
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    for name in ("protocol", "firmware"):
        ignored = shutil.ignore_patterns("target", "out", "emulator", "fuzz")
        # Copied as new: cargo goes by the time of change, and the last run ended with another fault.
        shutil.copytree(ROOT / name, source / name, ignore=ignored, copy_function=shutil.copy)
    manifest = (ROOT / "Cargo.toml").read_text()
    lines = []
    for line in manifest.splitlines():
        if line.startswith("members = "):
            line = 'members = ["protocol", "firmware"]'
        elif line.startswith("default-members = "):
            continue
        lines.append(line)
    (source / "Cargo.toml").write_text("\n".join(lines) + "\n")
    return source


def build(source):
    done = subprocess.run(
        [ROOT / "tests/embedded.sh", "thumbv7em-none-eabi", "build", "-q", "--release", "--features", "nrf52832"],
        cwd=source / "firmware/boards/nrf52",
        env=os.environ | {"CARGO_TARGET_DIR": str(WORK / "target")},
        stderr=subprocess.PIPE,
        text=True,
    )
    if done.returncode != 0:
        sys.exit(f"the firmware does not build:\n{done.stderr}")
    return WORK / "target/thumbv7em-none-eabi/release/vitrine-nrf52"


def passes(elf, tests):
    environment = os.environ | {"VITRINE_ELF": str(elf), "VITRINE_CHIP": "nrf52832", "VITRINE_VIRTUAL_S": "3000"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests.split()]
    try:
        done = subprocess.run(command, cwd=HERE, env=environment, capture_output=True, text=True, timeout=HANG_S)
    except subprocess.TimeoutExpired:
        return False, f"no end after {HANG_S} s"
    if done.returncode not in (0, 1):
        sys.exit(f"the tests did not run:\n{done.stdout}{done.stderr}")
    return done.returncode == 0, done.stdout


def main():
    chosen = [fault for fault in FAULTS if not sys.argv[1:] or any(name in fault[0] for name in sys.argv[1:])]
    missed = []
    source = copy()
    everything = " ".join(sorted({tests for *_, tests in chosen}))
    well, said = passes(build(source), everything)
    if not well:
        sys.exit(f"the tests fail without any fault:\n{said}")
    for name, file, old, new, tests in chosen:
        started = time.monotonic()
        path = source / file
        text = path.read_text()
        if text.count(old) != 1:
            sys.exit(f"{file}: {old!r} is there {text.count(old)} times: bring this fault up to date")
        path.write_text(text.replace(old, new))
        noticed = not passes(build(source), tests)[0]
        path.write_text(text)
        print(f"{'noticed' if noticed else 'MISSED'}: {name} ({time.monotonic() - started:.0f} s)", flush=True)
        if not noticed:
            missed.append(name)
    if missed:
        sys.exit(f"{len(missed)} of {len(chosen)} faults were not noticed")


if __name__ == "__main__":
    main()
