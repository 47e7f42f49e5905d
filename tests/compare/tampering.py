"""Ways to change what a run has written, for comparing verdicts on it.

Each takes the folder of a copy and changes it in place, always in the same way.
"""

import gzip
import json
import re


def _results(folder, change):
    path = folder / "result.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines = change(lines) or lines
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def _trace(folder, change):
    path = folder / "trace.txt"
    lines = path.read_text().splitlines()
    path.write_text("".join(f"{line}\n" for line in change(lines)))


def _inside(lines):
    """Return the indices of event lines inside operations."""
    found, inside = [], False
    for i, line in enumerate(lines):
        if "tracing_mark_write: OP" in line:
            inside = True
        elif "tracing_mark_write:" in line:
            inside = False
        elif inside:
            found.append(i)
    return found


def nothing(folder):
    """Change nothing."""


def no_results(folder):
    (folder / "result.jsonl").unlink()


def no_trace(folder):
    (folder / "trace.txt").unlink(missing_ok=True)


def nothing_at_all(folder):
    no_results(folder)
    no_trace(folder)


def compressed_trace(folder):
    text = (folder / "trace.txt").read_bytes()
    (folder / "trace.txt.gz").write_bytes(gzip.compress(text))
    (folder / "trace.txt").unlink()


def operation_missing(folder):
    _results(folder, lambda lines: lines[:2] + lines[3:])


def operation_renamed(folder):
    def change(lines):
        lines[2]["op"] += "  # another"

    _results(folder, change)


def operations_renumbered(folder):
    def change(lines):
        for line in lines:
            if "n" in line:
                line["n"] += 1

    _results(folder, change)


def return_code(folder):
    def change(lines):
        lines[-2]["rc"] = -1

    _results(folder, change)


def errno(folder):
    def change(lines):
        for line in lines:
            line.pop("errno", None)
        lines[0]["errno"] = "EPERM"

    _results(folder, change)


def exits(folder):
    def change(lines):
        for line in lines:
            if line.get("exits"):
                line["exits"].append({"exit": "MMIO", "gpa": "0x0", "len": 8, "write": 0})
                return

    _results(folder, change)


def port_io_left_out(folder):
    def change(lines):
        for line in lines:
            if "exits" in line:
                line["exits"] = [one for one in line["exits"] if one.get("exit") != "IO"]

    _results(folder, change)


def dirty_bits(folder):
    def change(lines):
        for line in lines:
            if line.get("dirty"):
                line["dirty"][0][1] += 1

    _results(folder, change)


def values(folder):
    def change(lines):
        for line in lines:
            for name in ("value", "left", "pte_gpa", "ring"):
                if name in line:
                    line[name] = "0x1234"

    _results(folder, change)


def value_left_out(folder):
    def change(lines):
        for line in lines:
            line.pop("value", None)

    _results(folder, change)


def rmaps(folder):
    def change(lines):
        for line in lines:
            if line.get("rmaps"):
                line["rmaps"] = line["rmaps"].replace("\t0", "\t1", 1)

    _results(folder, change)


def rmaps_spaces(folder):
    def change(lines):
        for line in lines:
            if "rmaps" in line:
                line["rmaps"] = "\n" + line["rmaps"] + "\n\n"

    _results(folder, change)


def unread_fields(folder):
    def change(lines):
        for line in lines:
            line.update({"us": 1, "hva": "0x1", "ndirty": -1, "note": "x", "out": "x"})

    _results(folder, change)


def statistic(folder):
    def change(lines):
        for line in lines:
            for name, pair in line.get("stats", {}).items():
                if name == "vm.pages_4k" and isinstance(pair, list):
                    pair[1] += 1

    _results(folder, change)


def statistic_shifted(folder):
    def change(lines):
        for line in lines:
            for pair in line.get("stats", {}).values():
                if isinstance(pair, list):
                    pair[:] = [pair[0] + 100, pair[1] + 100]

    _results(folder, change)


def statistics_left_out(folder):
    def change(lines):
        for line in lines:
            line["stats"] = {}

    _results(folder, change)


def unread_statistics(folder):
    def change(lines):
        for line in lines:
            extra = {"v0.req_event": [0, 9], "vm.max_mmu_page_hash_collisions": [0, 1]}
            line.setdefault("stats", {}).update(
                extra | {"v0.tlb_flush": [0, 3], "xvm.pages_4k": [0, 1]}
            )

    _results(folder, change)


def absolute_statistics(folder):
    def change(lines):
        for line in lines:
            if line.get("op") == "stats":
                line["stats"] = {"vm.pages_4k": [0, 5]}

    _results(folder, change)


def event_missing(folder):
    def change(lines):
        gone = _inside(lines)[3]
        return lines[:gone] + lines[gone + 1 :]

    _trace(folder, change)


def last_event_missing(folder):
    def change(lines):
        gone = _inside(lines)[-1]
        return lines[:gone] + lines[gone + 1 :]

    _trace(folder, change)


def event_twice(folder):
    def change(lines):
        again = _inside(lines)[-1]
        return [*lines[:again], lines[again], *lines[again:]]

    _trace(folder, change)


def events_swapped(folder):
    def change(lines):
        for i in _inside(lines)[:-1]:
            a, b = lines[i], lines[i + 1]
            same = a.split("-")[0].strip() == b.split("-")[0].strip()
            if same and a.split(": ")[1:] != b.split(": ")[1:] and "mark_write" not in b:
                lines[i], lines[i + 1] = b, a
                return lines
        return lines

    _trace(folder, change)


def task_renamed(folder):
    def change(lines):
        return [line.replace("vcpu0-", "vcpu7-", 1) for line in lines]

    _trace(folder, change)


def worker_renamed(folder):
    def change(lines):
        return [line.replace("kvm-nx-lpage-re-", "kvm-nx-recovery-", 1) for line in lines]

    _trace(folder, change)


def tasks_in_blocks(folder):
    """Put the events of each task of an operation together: order across tasks is free."""

    def change(lines):
        out, block = [], []
        for line in lines:
            if "tracing_mark_write:" in line:
                out += sorted(block, key=lambda text: text.split("-")[0])
                out.append(line)
                block = []
            else:
                block.append(line)
        return out + block

    _trace(folder, change)


def times_pids_callers(folder):
    def change(lines):
        for line in lines:
            moved = re.sub(r"-\d+ +\[\d+\] \S+ +[\d.]+:", "-9 [003] dN.2. 0.1:", line, count=1)
            yield re.sub(
                r"(synchronize_srcu_expedited <-\w+)|<-\w+", lambda m: m[1] or "<-other", moved
            )

    _trace(folder, change)


def frames(folder):
    def other_frame(match):
        value = int(match[3], 16)
        return f"{match[1]} {match[2] or ''}{value ^ (0x7F000 if value & 0x800 else 0):x}"

    def change(lines):
        pattern = re.compile(r"(spte|new|old) (0x)?([0-9a-f]{6,})\b")
        return [pattern.sub(other_frame, line) for line in lines]

    _trace(folder, change)


def flag_bits(folder):
    def change(lines):
        for line in lines:
            yield re.sub(r"new_spte (\w+)e67\b", r"new_spte \1e65", line)

    _trace(folder, change)


def mmio_generation(folder):
    def change(lines):
        for line in lines:
            yield re.sub(
                r"new_spte (8\d{12}[0-9a-f]+)", lambda m: f"new_spte {int(m[1], 16) + 8:x}", line
            )

    _trace(folder, change)


def rip(folder):
    def change(lines):
        return [re.sub(r"rip 0x[0-9a-f]+", "rip 0x1", line) for line in lines]

    _trace(folder, change)


def address(folder):
    def change(lines):
        return [re.sub(r"address 0x0000", "address 0x0001", line) for line in lines]

    _trace(folder, change)


def frozen_entries(folder):
    """Add lines that a recording may have or not."""

    def change(lines):
        for line in lines:
            yield line
            if "kvm_mmu_prepare_zap_page" in line:
                head = line.split("kvm_mmu_prepare")[0]
                change = "as id 0 gfn 1 level 1 old_spte 8000000000000000 new_spte 80000000000005a0"
                yield f"{head}kvm_tdp_mmu_spte_changed: {change}"

    _trace(folder, change)


def other_events(folder):
    def change(lines):
        for line in lines:
            yield line
            if "tracing_mark_write: OP" in line:
                head = line.split("tracing_mark")[0]
                yield f"{head}kvm_entry: vcpu 0, rip 0xd0000000"
                yield f"{head}synchronize_srcu_expedited <-kvm_page_track_unregister_notifier"
                yield f"{head}flush_range: (kvm_flush_remote_tlbs_range+0x4) gfn=0x400 nr=0x200"

    _trace(folder, change)


def small_changes_left_out(folder):
    def change(lines):
        return [line for line in lines if "spte_changed" not in line or " level 1 " not in line]

    _trace(folder, change)


def slot_pointers(folder):
    def change(lines):
        return [re.sub(r"=0xffff[0-9a-f]+", "=0x1000", line) for line in lines]

    _trace(folder, change)


def slot_change(folder):
    def change(lines):
        return [line.replace("change=0x0", "change=0x2") for line in lines]

    _trace(folder, change)


def marks_moved(folder):
    """End an operation one event early."""

    def change(lines):
        end = next(
            i
            for i, line in enumerate(lines)
            if "mark_write: END" in line and "mark_write" not in lines[i - 1]
        )
        lines[end - 1], lines[end] = lines[end], lines[end - 1]
        return lines

    _trace(folder, change)


ON_RESULTS = (
    no_results, nothing_at_all, operation_missing, operation_renamed, operations_renumbered,
    return_code, errno, exits, port_io_left_out, dirty_bits, values, value_left_out, rmaps,
    rmaps_spaces, unread_fields, statistic, statistic_shifted, statistics_left_out,
    unread_statistics, absolute_statistics,
)  # fmt: skip
ON_TRACES = (
    no_trace, compressed_trace, event_missing, last_event_missing, event_twice, events_swapped,
    task_renamed, worker_renamed, tasks_in_blocks, times_pids_callers, frames, flag_bits,
    mmio_generation, rip, address, frozen_entries, other_events, small_changes_left_out,
    slot_pointers, slot_change, marks_moved,
)  # fmt: skip

#: recording -> what is done to a copy of it
CASES = {
    ("6.12", "a01_4k_touch_delete"): (nothing, *ON_RESULTS, *ON_TRACES),
    ("6.12", "b07_dirty_one_of_two"): (nothing, *ON_RESULTS, *ON_TRACES),
    ("6.1", "c01_nx_force_split_recover"): (nothing, *ON_RESULTS, *ON_TRACES),
    ("6.12", "f04_fork_cow"): (events_swapped, tasks_in_blocks, task_renamed, marks_moved),
    ("6.12", "c05_nx_ratio"): (statistic, statistics_left_out, return_code, worker_renamed),
    ("6.12", "x10_ksm"): (statistics_left_out, event_twice, no_trace),
    ("6.12", "x01_collapse_nx_force"): (statistic, return_code, flag_bits),
    ("6.12", "j02_two_vcpus_parallel"): (
        nothing, no_trace, statistics_left_out, operation_missing, dirty_bits, no_results,
    ),
    ("6.12", "j05_flush_running_vcpu"): (nothing, events_swapped, exits, statistic),
    ("6.12", "b04_1g_dirty_eagerN"): (nothing, small_changes_left_out, flag_bits, event_missing),
    ("6.12", "e05_2000_slots"): (nothing, statistics_left_out, operation_missing, return_code),
    ("6.12", "i08_nested_lazy_rmaps"): (nothing, rmaps, rmaps_spaces, frames, flag_bits),
    ("6.12", "i03_shadow_pte_writes"): (values, frames, times_pids_callers),
    ("6.12", "x06_params"): (values, value_left_out, errno),
    ("6.1", "b10_dirty_ring"): (values, value_left_out, statistic),
    ("6.12", "z01_constants"): (return_code, unread_fields, no_trace),
}  # fmt: skip

#: recordings of 6.12 that are also compared with those of 6.1, as if these were runs
ACROSS = (
    "a01_4k_touch_delete", "a06_delete_noquirk", "a08_prefault_ioctl", "b01_thp_dirty_eagerN",
    "b04_1g_dirty_eagerN", "c01_nx_force_split_recover", "d01_validation", "e01_move",
    "g01_readonly", "h02_initially_set_eagerY", "i01_shadow_4k", "i08_nested_lazy_rmaps",
    "j01_two_vcpus_alternate", "j03_two_vcpus_nx_race", "r12_random_huge2m_eagerY_noquirk1",
    "x01_collapse_nx_force", "x13_read_after_split_eagerN", "z01_constants",
)  # fmt: skip
