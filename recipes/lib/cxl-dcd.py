#!/usr/bin/python3
"""Speaks to a CXL memory device with dynamic capacity from a program, where no kernel driver answers its offers.

    cxl-dcd config      its regions of dynamic capacity
    cxl-dcd extents     what this host has accepted and not given back
    cxl-dcd events      the Dynamic Capacity event log, which is left as it is
    cxl-dcd accept      accepts every offer in that log
    cxl-dcd refuse      answers every offer in that log with "nothing"
    cxl-dcd give-back   releases what the log asks for

The device must have no driver: two masters of one mailbox destroy each other's commands. Registers and commands are
those of the CXL specification 3.1: 8.1.9 register locator, 8.2.8 device registers, 8.2.9.2 events, 8.2.9.9.9 dynamic
capacity.
"""

import glob
import mmap
import os
import struct
import sys
import time

MEMORY_DEVICE = "0x050210"  # PCI class code: memory controller, CXL, as 8.1.12 wants it.
MAILBOX = 2  # Capability of the primary mailbox.
DYNAMIC_CAPACITY_LOG = 4
GET_EVENTS, CLEAR_EVENTS = 0x0100, 0x0101
GET_CONFIG, GET_EXTENTS, ADD_RESPONSE, RELEASE = 0x4800, 0x4801, 0x4802, 0x4803
ADD, ASKED_BACK = 0, 1  # Types of events.
NAMES = {ADD: "offered", ASKED_BACK: "asked back", 2: "taken away"}


class Trouble(Exception):
    """Something that the user should read."""


def find_device():
    """The one CXL memory device, as its directory in sysfs."""
    found = []
    for path in glob.glob("/sys/bus/pci/devices/*"):
        with open(path + "/class", encoding="ascii") as file:
            if file.read().strip() == MEMORY_DEVICE:
                found.append(path)
    if len(found) != 1:
        raise Trouble(f"{len(found)} CXL memory devices; this program serves one")
    if os.path.exists(found[0] + "/driver"):
        name = os.path.basename(found[0])
        raise Trouble(f"{name} has a driver: echo {name} >/sys/bus/pci/drivers/cxl_pci/unbind")
    return found[0]


def find_registers(device):
    """BAR and offset of the device registers: entries of the register locator, a vendor-specific PCIe capability."""
    with open(device + "/config", "rb") as file:
        config = file.read()
    at = 0x100
    while at:
        header, vendor, kind = struct.unpack_from("<IIH", config, at)
        if header & 0xFFFF == 0x23 and vendor & 0xFFFF == 0x1E98 and kind == 8:
            for entry in range(at + 0xC, at + (vendor >> 20), 8):
                low, high = struct.unpack_from("<II", config, entry)
                if low >> 8 & 0xFF == 3:
                    return low & 7, high << 32 | low & 0xFFFF0000
        at = header >> 20
    raise Trouble("no register locator names device registers")


class Device:
    """The mailbox of a device, mapped. Registers are read and written in words of their own width."""

    def __init__(self):
        path = find_device()
        bar, offset = find_registers(path)
        with open(path + "/enable", "w", encoding="ascii") as file:
            file.write("1")
        with open(f"{path}/resource{bar}", "r+b") as file:
            memory = mmap.mmap(file.fileno(), 0)
        whole = memoryview(memory)[offset:]
        self.words, self.longs = whole.cast("I"), whole.cast("Q")
        self.mailbox = self.find_capability(MAILBOX)

    def find_capability(self, wanted):
        for index in range(1, (self.longs[0] >> 32 & 0xFFFF) + 1):
            if self.words[index * 4] & 0xFFFF == wanted:
                return self.words[index * 4 + 1]
        raise Trouble(f"no capability {wanted} among the device registers")

    def command(self, opcode, payload=b""):
        """One command (8.2.8.4): payload, command, doorbell; then status and answer."""
        word, long = self.mailbox // 4, self.mailbox // 8
        if len(payload) > 1 << (self.words[word] & 0x1F):
            raise Trouble("the mailbox is too small for this command")
        self.wait_for_doorbell(word)
        padded = payload + bytes(-len(payload) % 4)
        for index, value in enumerate(struct.unpack(f"<{len(padded) // 4}I", padded)):
            self.words[word + 8 + index] = value
        self.longs[long + 1] = opcode | len(payload) << 16
        self.words[word + 1] = 1
        self.wait_for_doorbell(word)
        code = self.longs[long + 2] >> 32 & 0xFFFF
        if code:
            raise Trouble(f"the device refuses command {opcode:04x}h with return code {code:#x}")
        size = self.longs[long + 1] >> 16 & 0x1FFFFF
        answer = struct.pack(f"<{-(-size // 4)}I", *self.words[word + 8 : word + 8 + -(-size // 4)])
        return answer[:size]

    def wait_for_doorbell(self, word):
        until = time.monotonic() + 2
        while self.words[word + 1] & 1:
            if time.monotonic() > until:
                raise Trouble("the device does not answer")


def extent(start, size):
    return f"{start:#x} {size >> 20} MiB"


def config(device):
    answer = device.command(GET_CONFIG, bytes([8, 0]))
    for index in range(answer[1]):
        base, _, size, block, _, _ = struct.unpack_from("<QQQQIB3x", answer, 8 + 40 * index)
        print(f"region {index}: {extent(base, size)}, blocks of {block >> 20} MiB")


def extents(device):
    first = 0
    while True:
        answer = device.command(GET_EXTENTS, struct.pack("<II", 32, first))
        returned, total = struct.unpack_from("<II", answer)
        if first == 0:
            print(f"{total} extents")
        for index in range(min(returned, total - first)):
            start, size, tag = struct.unpack_from("<QQ16s", answer, 16 + 40 * index)
            print(extent(start, size), tag.rstrip(b"\0").decode("ascii", "replace"))
        first += returned
        if returned == 0 or first >= total:
            return


def records(device):
    """The records of the log: handle, type, whether more of the same group follow, start, size."""
    answer = device.command(GET_EVENTS, bytes([DYNAMIC_CAPACITY_LOG]))
    for index in range(struct.unpack_from("<H", answer, 20)[0]):
        record = answer[32 + 128 * index :][:128]
        (handle,) = struct.unpack_from("<H", record, 20)
        start, size = struct.unpack_from("<QQ", record, 56)
        yield handle, record[48], bool(record[53] & 1), start, size


def events(device):
    for _, kind, _, start, size in records(device):
        print(NAMES.get(kind, f"event {kind}"), extent(start, size))


def answer(device, wanted, opcode, word, with_extents=True):
    """Answers each group of records of one type with one command and clears them from the log."""
    group, handles = [], []
    while batch := [record for record in records(device) if record[1] == wanted]:
        for handle, _, more, start, size in batch:
            handles.append(handle)
            group.append((start, size))
            device.command(CLEAR_EVENTS, struct.pack("<BBB3xH", DYNAMIC_CAPACITY_LOG, 0, 1, handle))
            if more:
                continue
            listed = group if with_extents else []
            entries = b"".join(struct.pack("<QQ8x", *entry) for entry in listed)
            device.command(opcode, struct.pack("<IB3x", len(listed), 0) + entries)
            for entry in group:
                print(word, extent(*entry))
            group = []
    if not handles:
        raise Trouble(f"the log has nothing that was {NAMES[wanted]}")


COMMANDS = {
    "config": config,
    "extents": extents,
    "events": events,
    "accept": lambda device: answer(device, ADD, ADD_RESPONSE, "accepted"),
    "refuse": lambda device: answer(device, ADD, ADD_RESPONSE, "refused", with_extents=False),
    "give-back": lambda device: answer(device, ASKED_BACK, RELEASE, "gave back"),
}


def main():
    if len(sys.argv) != 2 or sys.argv[1] not in COMMANDS:
        sys.exit(f"usage: cxl-dcd {'|'.join(COMMANDS)}")
    try:
        COMMANDS[sys.argv[1]](Device())
    except Trouble as trouble:
        sys.exit(f"cxl-dcd: {trouble}")


if __name__ == "__main__":
    main()
