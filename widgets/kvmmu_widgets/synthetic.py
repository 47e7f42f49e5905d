"""A message of any size, for measuring the painter without an engine."""

from typing import Any

CARD_W, CARD_H, GAP = 172, 78, 24


def synthetic_message(nodes: int = 200, steps: int = 60) -> dict[str, Any]:
    """Build a message with *nodes* cards and *steps* steps after step 0.

    :param nodes: how many page tables there are in the last step, at least 2
    :param steps: how many steps follow step 0, at least 1
    """
    columns = 20
    boxes = {"t0": [GAP, GAP, CARD_W, CARD_H]}
    edges: dict[str, Any] = {}
    for n in range(1, nodes):
        row, column = divmod(n - 1, columns)
        x, y = GAP + column * (CARD_W + GAP), 2 * GAP + (row + 1) * (CARD_H + GAP)
        boxes[f"t{n}"] = [x, y, CARD_W, CARD_H]
        mid, top = x + CARD_W / 2, y
        edges[f"t0:{n - 1}>t{n}"] = {
            "d": f"M{GAP + 40},{GAP + CARD_H}C{GAP + 40},{top - 30} {mid},{top - 60} {mid},{top - 8}",
            "tip": [mid, top - 8, mid, top],
            "label": f"[{n - 1}]",
            "at": [mid + 6, top - 14],
        }
    contents: list[dict[str, Any]] = []
    steps_out = [_step(0, 0, nodes, steps, contents)]
    steps_out += [
        _step(i, (i - 1) * nodes // steps, nodes, steps, contents)
        for i in range(1, steps + 1)
    ]
    return {
        "v": 1,
        "title": f"{nodes} tables in {steps} steps",
        "layouts": [
            {
                "w": 2 * GAP + columns * (CARD_W + GAP),
                "h": 4 * GAP + (2 + nodes // columns) * (CARD_H + GAP),
                "nodes": boxes,
                "edges": edges,
                "groups": {},
            }
        ],
        "contents": contents,
        "ops": [
            {
                "n": k,
                "text": f"read {0x200000 * k:#x}",
                "first": 1 + k * 10,
                "last": min(steps, k * 10 + 10),
            }
            for k in range((steps + 9) // 10)
        ],
        "sources": [
            {
                "module": "kvmmu_edu/x86/tdp_mmu.py",
                "function": "tdp_mmu_map",
                "start": 120,
                "lines": [
                    "async def tdp_mmu_map(vcpu, fault):",
                    "    for it in walk:",
                    "        link(it, sp)",
                ],
                "kernel": {
                    "function": "kvm_tdp_mmu_map",
                    "file": "arch/x86/kvm/mmu/tdp_mmu.c",
                    "version": "v6.12",
                    "url": "https://elixir.bootlin.com/linux/v6.12/source/arch/x86/kvm/mmu/tdp_mmu.c",
                },
            }
        ],
        "counters": ["vm.pages_4k", "vm.pages_2m", "v0.pf_taken"],
        "legend": [
            {"cls": "changed", "text": "changed in this step"},
            {"cls": "leaf4k", "text": "4K page, writable"},
            {"cls": "wrprot", "text": "write-protected"},
            {"cls": "empty", "text": "nothing mapped"},
        ],
        "steps": steps_out,
    }


def _step(
    i: int, first: int, nodes: int, steps: int, contents: list[dict[str, Any]]
) -> dict[str, Any]:
    last = i * nodes // steps if i else 1
    fresh = range(first, max(last, 1)) if i else range(1)
    patch = {}
    for n in fresh:
        patch[f"t{n}"] = len(contents)
        contents.append(_content(n, new=i > 0))
    for n in range(max(0, first - 3), first):
        patch[f"t{n}"] = len(contents)
        contents.append(_content(n, new=False))
    return {
        "layout": 0,
        "nodes": patch,
        "edges": {f"t0:{n - 1}>t{n}": "linked" for n in fresh if n},
        "marks": [f"t{n}" for n in fresh] if i else [],
        "text": f"Step {i}: {len(patch)} tables changed."
        if i
        else "Nothing has happened yet.",
        "op": (i - 1) // 10 if i else None,
        "task": f"vcpu{i % 2}",
        "counters": {"0": [i, i + 1]} if i else {},
        "source": 0,
        "line": 120 + i % 3,
        "checks": {"leaves equal pages": True},
    }


def _content(n: int, *, new: bool) -> dict[str, Any]:
    return {
        "cls": "table root" if n == 0 else "table new" if new else "table",
        "title": "root L4" if n == 0 else "table L1",
        "sub": f"gfn {n * 512:#x}",
        "badge": "new" if new else "",
        "cells": [
            {
                "t": "[0 … 3] 4 × 4K",
                "s": "RWX D A",
                "cls": "leaf4k" if n % 3 else "wrprot",
                "box": [8, 36, 96, 34],
                "more": [f"[{k}] pfn {n * 512 + k:#x}" for k in range(4)],
            },
            {
                "t": "508 empty",
                "s": "",
                "cls": "empty",
                "box": [110, 36, 54, 34],
                "more": [],
            },
        ],
    }
