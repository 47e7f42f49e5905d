"""What user space may expect of a VM, in plain rules: no page tables, no levels, no caches.

The memory of the process is a dictionary of bytes, the memory of the guest a list of slots that
is searched from the first to the last.  Every operation answers with the errno that it is
refused with, or None, and does what it is to do.

Rules of one kind are left open, because they depend on how the host happened to map memory:
whether a page that was only read is reported dirty, and whether pages can be made huge.
"""

from dataclasses import dataclass, field

PAGE = 4096
MIB2 = 512 * PAGE
GIB = 512 * MIB2
LOG, READONLY = 1, 2
MANUAL, INITIALLY_SET = 1, 2

ADDRESS_SPACES = 2
USER_SLOTS = 32764
FIRST_FORBIDDEN_HVA = (1 << 47) - PAGE
MAXPHYADDR = 40
EVERYTHING = 1 << 64

#: bytes of a page of each kind of memory
UNITS = {"anon4k": PAGE, "thp": PAGE, "shm": PAGE, "huge2m": MIB2, "huge1g": GIB}


@dataclass
class Area:
    """Memory that the process mapped; *rights* has the units that are still mapped."""

    kind: str
    hva: int
    nbytes: int
    rights: dict = field(default_factory=dict)

    def __post_init__(self):
        self.unit = UNITS[self.kind]
        first = self.hva // self.unit
        self.rights = dict.fromkeys(range(first, first + self.nbytes // self.unit), "rw")


@dataclass
class Slot:
    """Guest memory; *written* and *seen* are what the dirty log must and may report, pages."""

    number: int
    flags: int
    gpa: int
    nbytes: int
    hva: int
    written: set = field(default_factory=set)
    seen: set = field(default_factory=set)

    def logged(self):
        return bool(self.flags & LOG)


class Refused(Exception):
    """An errno."""


def refuse(condition, errno="EINVAL"):
    if condition:
        raise Refused(errno)


class PlainModel:
    def __init__(self, kernel):
        self.kernel = kernel
        self.areas = {}
        self.bytes = {}
        self.slots = {}
        self.vcpus = 0
        self.manual = 0
        # with dirty rings: (slot number, page) that must be, and may be, in one of them
        self.ring = False
        self.ring_written = set()
        self.ring_seen = set()

    # --- the process -------------------------------------------------------------------------

    def area_of(self, hva):
        for area in self.areas.values():
            if area.hva <= hva < area.hva + area.nbytes:
                return area
        return None

    def right(self, hva):
        """Return ``rw``, ``r``, ``none``, or None where nothing is mapped."""
        area = self.area_of(hva)
        return area.rights.get(hva // area.unit) if area else None

    def pieces(self, hva, nbytes):
        """Return the range as (area, unit number, begin, end), in units of their areas."""
        end = hva + -(-nbytes // PAGE) * PAGE
        found = []
        while hva < end:
            area = self.area_of(hva)
            unit = area.unit if area else PAGE
            until = min(end, (hva // unit + 1) * unit)
            found.append((area, hva // unit, hva, until))
            hva = until
        return found

    def load(self, hva, nbytes):
        return sum(self.bytes.get(hva + i, 0) << 8 * i for i in range(nbytes))

    def store(self, hva, value, nbytes):
        for i in range(nbytes):
            self.bytes[hva + i] = value >> 8 * i & 0xFF

    def forget(self, begin, end):
        for hva in [hva for hva in self.bytes if begin <= hva < end]:
            del self.bytes[hva]

    def host_read(self, hva, nbytes):
        for i in range(nbytes):
            refuse(self.right(hva + i) not in {"r", "rw"}, "HostFault")
        return self.load(hva, nbytes)

    def host_write(self, hva, value, nbytes):
        for i in range(nbytes):
            refuse(self.right(hva + i) != "rw", "HostFault")
            self.store(hva + i, value >> 8 * i, 1)

    def populate(self, hva, nbytes):
        for area, unit, _, _ in self.pieces(hva, nbytes):
            refuse(area is None or area.rights.get(unit) != "rw", "HostFault")

    def munmap(self, hva, nbytes):
        refuse(hva % PAGE or nbytes <= 0)
        pieces = [p for p in self.pieces(hva, nbytes) if p[0] and p[1] in p[0].rights]
        refuse(any(end - begin != area.unit for area, _, begin, end in pieces))
        for area, unit, begin, end in pieces:
            del area.rights[unit]
            self.forget(begin, end)

    def mprotect(self, hva, nbytes, access):
        refuse(hva % PAGE)
        for area, unit, begin, end in self.pieces(hva, nbytes):
            refuse(area is None or unit not in area.rights, "ENOMEM")
            if area.rights[unit] != access:
                refuse(end - begin != area.unit)
                area.rights[unit] = access

    def madvise(self, hva, nbytes, advice):
        refuse(hva % PAGE or nbytes < 0)
        hole = False
        for area, unit, begin, end in self.pieces(hva, nbytes):
            if area is None or unit not in area.rights:
                refuse(advice.startswith("populate"), "ENOMEM")
                hole = True
            else:
                self.advise(advice, area, area.rights[unit], begin, end)
        refuse(hole, "ENOMEM")

    def advise(self, advice, area, right, begin, end):
        """Act upon an advice about one unit or a part of it."""
        if advice == "dontneed":
            refuse(begin % area.unit)
            if end - begin == area.unit and area.kind != "shm":
                self.forget(begin, end)
        elif advice == "remove":
            refuse(area.kind != "shm")
            refuse(right != "rw", "EACCES")
            self.forget(begin, end)
        elif advice == "free":
            refuse(area.kind not in {"anon4k", "thp"})
        elif advice == "populate-read":
            refuse(right == "none")
        elif advice == "populate-write":
            refuse(right != "rw")

    # --- slots -------------------------------------------------------------------------------

    def set_region(self, number, flags, gpa, nbytes, hva):
        as_id, slot_id = number >> 16, number & 0xFFFF
        refuse(flags & ~(LOG | READONLY) or slot_id >= USER_SLOTS or as_id >= ADDRESS_SPACES)
        refuse(nbytes % PAGE or gpa % PAGE or hva % PAGE)
        refuse(hva + nbytes > FIRST_FORBIDDEN_HVA or gpa + nbytes >= EVERYTHING)
        refuse(nbytes // PAGE >= 1 << 31)
        old = self.slots.get(number)
        if nbytes == 0:
            refuse(old is None)
            del self.slots[number]
            return
        new = Slot(number, flags, gpa, nbytes, hva)
        if old is not None:
            refuse(hva != old.hva or nbytes != old.nbytes or (flags ^ old.flags) & READONLY)
        if old is None or old.gpa != gpa:
            refuse(any(self.overlaps(new, other) for other in self.slots.values()), "EEXIST")
            refuse(gpa + nbytes > 1 << MAXPHYADDR)
        if old is not None and old.logged() and new.logged():
            new.written, new.seen = old.written, old.seen
        elif new.logged() and self.manual & INITIALLY_SET:
            new.written = set(range(nbytes // PAGE))
            new.seen = set(new.written)
        self.slots[number] = new

    def overlaps(self, new, other):
        same_space = new.number >> 16 == other.number >> 16
        apart = other.gpa + other.nbytes <= new.gpa or new.gpa + new.nbytes <= other.gpa
        return same_space and new.number != other.number and not apart

    def slot_at(self, gpa):
        """Return the slot that the guest sees there: outside of system management mode."""
        for slot in self.slots.values():
            if slot.number >> 16 == 0 and slot.gpa <= gpa < slot.gpa + slot.nbytes:
                return slot
        return None

    # --- the guest ---------------------------------------------------------------------------

    def access(self, kind, gpa, nbytes=8, value=0):
        """Return the exits, as (reason, gpa, bytes, is_write), and the value read or None."""
        slot = self.slot_at(gpa)
        read, write = ("MMIO", gpa, nbytes, False), ("MMIO", gpa, nbytes, True)
        if slot is None:
            exits = {"read": [read], "write": [write], "rmw": [read, write]}
            return exits.get(kind, [("INTERNAL_ERROR", 0, 0, False)]), None
        hva = slot.hva + gpa - slot.gpa
        right = self.right(hva)
        page = (gpa - slot.gpa) // PAGE
        self.note_access(slot, page)
        if kind == "write" and slot.flags & READONLY:
            return [write], None
        refuse(right in {None, "none"}, "EFAULT")
        if kind in {"read", "exec"}:
            return [], self.load(hva, nbytes)
        if slot.flags & READONLY:
            return [write], None
        refuse(right != "rw", "EFAULT")
        self.note_access(slot, page, written=True)
        if kind == "rmw":
            value = self.load(hva, nbytes) + 1
        self.store(hva, value, nbytes)
        return [], None

    def note_access(self, slot, page, *, written=False):
        if slot.logged():
            (slot.written if written else slot.seen).add(page)
            (self.ring_written if written else self.ring_seen).add((slot.number, page))

    def pre_fault(self, gpa, nbytes):
        """Return how many bytes are left."""
        refuse(self.kernel == "6.1" or gpa % PAGE or nbytes % PAGE)
        refuse(nbytes <= 0 or gpa + nbytes >= EVERYTHING)
        for here in range(gpa, gpa + nbytes, PAGE):
            slot = self.slot_at(here)
            errno = "ENOENT"
            if slot is not None:
                errno = "EFAULT"
                self.note_access(slot, (here - slot.gpa) // PAGE)
                if self.right(slot.hva + here - slot.gpa) in {"r", "rw"}:
                    continue
            refuse(here == gpa, errno)
            return gpa + nbytes - here
        return 0

    # --- the dirty log -----------------------------------------------------------------------

    def logged_slot(self, number):
        refuse(self.ring, "ENXIO")
        refuse(number >> 16 >= ADDRESS_SPACES or number & 0xFFFF >= USER_SLOTS)
        slot = self.slots.get(number)
        refuse(slot is None or not slot.logged(), "ENOENT")
        return slot

    def get_log(self, number):
        """Return the pages that must and those that may be reported."""
        slot = self.logged_slot(number)
        must, may = set(slot.written), set(slot.seen)
        if not self.manual:
            slot.written, slot.seen = set(), set()
        return must, may

    def clear_log(self, number, first, npages, pages):
        """Clear *pages*, counted from the start of the slot."""
        refuse(self.ring, "ENXIO")
        refuse(number >> 16 >= ADDRESS_SPACES or number & 0xFFFF >= USER_SLOTS)
        refuse(first % 64)
        slot = self.logged_slot(number)
        size = slot.nbytes // PAGE
        refuse(first > size or npages > size - first)
        refuse(npages < size - first and npages % 64)
        slot.written -= set(pages)
        slot.seen -= set(pages)

    def ring_is_filling(self, limit):
        return self.ring and len(self.ring_seen) >= limit

    def enable_manual_protect(self, value):
        refuse(value not in {0, MANUAL, MANUAL | INITIALLY_SET})
        self.manual = value
