"""Where the firmware under test is, and for how long it runs.

VITRINE_ELF: the release ELF (default: the one that `firmware/build` makes). VITRINE_CHIP: its chip (nrf52832).
VITRINE_VIRTUAL_S: seconds of virtual time in the long tests (a day).
"""

import os
import pathlib

import pytest

from machine import Machine

HERE = pathlib.Path(__file__).resolve().parent
CHIP = os.environ.get("VITRINE_CHIP", "nrf52832")
ELF = os.environ.get("VITRINE_ELF", str(HERE.parent / "boards/nrf52/out" / f"vitrine-{CHIP}.elf"))
LONG_S = int(os.environ.get("VITRINE_VIRTUAL_S", "86400"))


@pytest.fixture
def machine():
    """Makes machines."""

    def make(image=None, page=0, **arguments):
        import image as images

        new = Machine(ELF, CHIP, **arguments)
        if image is not None:
            images.write(new.store, page, image)
            new.power_cut(0)
            new.resets.clear()
        return new

    return make


@pytest.fixture(scope="session")
def long_s():
    return LONG_S
