"""What all register models share.

Nordic's peripherals have one scheme: tasks below 0x100, events from 0x100, shortcuts at 0x200, interrupts enabled at
0x304. A model raises `Violation` where the firmware does what the specification forbids or leaves undefined.
"""


class Violation(Exception):
    """The firmware used a peripheral as its specification does not allow."""


class Peripheral:
    """Registers, events and the interrupt line. `tasks` maps offsets to methods."""

    irq = None

    def __init__(self, machine):
        self.machine = machine
        self.registers = {}
        self.events = {}
        self.enabled = 0
        self.tasks = {}

    def read(self, offset):
        if 0x100 <= offset < 0x200:
            return self.events.get(offset, 0)
        if offset in (0x300, 0x304, 0x308):
            return self.enabled
        return self.registers.get(offset, 0)

    def write(self, offset, value):
        if offset < 0x100:
            if value & 1:
                task = self.tasks.get(offset)
                if task is None:
                    raise Violation(f"{type(self).__name__}: no task at {offset:#x}")
                task()
        elif offset < 0x200:
            self.events[offset] = value & 1
        elif offset == 0x300:
            self.enabled = value
        elif offset == 0x304:
            self.enabled |= value
        elif offset == 0x308:
            self.enabled &= ~value
        else:
            self.registers[offset] = value
        self.refresh()

    def fire(self, offset):
        """The event happens."""
        self.events[offset] = 1
        self.refresh()

    def refresh(self):
        for offset, value in self.events.items():
            if value and self.enabled >> ((offset - 0x100) // 4) & 1:
                self.machine.line(self.irq, True)
