"""Only the gate writes page-table entries."""

import pytest

from tests.laws.source import WIDGETS, ast, modules, report

#: who writes them: the gates of both MMUs, and the arena, which clears a
#: table before anybody can reach it
WRITERS = {
    "kvmmu_edu/x86/spte_gate.py",
    "kvmmu_edu/x86/shadow_gate.py",
    "kvmmu_edu/x86/arena.py",
}


def is_entries(array, path):
    """Return whether *array* is ``spt``, or ``words``, the same memory flat."""
    name = getattr(array, "attr", getattr(array, "id", ""))
    if name != "words":
        return name == "spt"
    # others have words of their own; what reaches theirs through the arena, or in x86, is meant
    return "arena" in ast.unparse(array) or path.startswith("kvmmu_edu/x86/")


def writes(tree, path):
    """Yield the assignments to an item of an array of entries."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, (ast.Store, ast.Del)):
            array = node.value
            while isinstance(array, ast.Subscript):
                array = array.value
            if is_entries(array, path):
                yield node


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("arena.spt[t, i] = new", 1),
        ("spt[t][i] |= new", 1),
        ("a, self.mmu.arena.words[n] = 1, 2", 1),
        ("old = arena.spt[t, i]", 0),
        ("arena.gfns[t] = new", 0),
        ("words[n] = new", 0),
    ],
)
def test_writes_are_seen(code, count):
    assert len(list(writes(ast.parse(code), "kvmmu_edu/vm.py"))) == count


def test_only_the_gate_writes_entries():
    findings = []
    for module in (*modules(), *modules(WIDGETS)):
        if module.path not in WRITERS:
            findings += [
                f"{module.at(node)} writes {ast.unparse(node)}"
                for node in writes(module.tree, module.path)
            ]
    report(findings)


def test_the_gate_does_write():
    paths = {module.path for module in modules() if any(writes(module.tree, module.path))}
    assert paths == WRITERS
