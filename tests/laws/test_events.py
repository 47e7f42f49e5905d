"""Events are emitted with the values that their kind has, and every kind is emitted."""

import inspect

from kvmmu_edu.trace import events
from tests.laws.source import ast, modules, report

KINDS = {
    name: kind
    for name, kind in inspect.getmembers(events, inspect.isclass)
    if issubclass(kind, tuple) and hasattr(kind, "_fields")
}


def emits(tree):
    """Yield node, name of the kind, and the values of each ``emit(Kind, values...)``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "emit" and node.args:
            kind, *values = node.args
            yield node, getattr(kind, "attr", getattr(kind, "id", "")), values


def test_every_event_has_the_values_of_its_kind():
    findings = []
    for module in modules():
        for node, name, values in emits(module.tree):
            if name not in KINDS or any(isinstance(value, ast.Starred) for value in values):
                continue
            fields = KINDS[name]._fields
            if len(values) != len(fields) or node.keywords:
                findings.append(f"{module.at(node)} {name} has {', '.join(fields)}")
    report(findings)


def test_every_kind_of_event_is_used():
    names = {
        getattr(node, "attr", getattr(node, "id", ""))
        for module in modules()
        if module.layer != "trace"
        for node in ast.walk(module.tree)
        if isinstance(node, (ast.Name, ast.Attribute))
    }
    report(f"{name}: no module emits it" for name in sorted(set(KINDS) - names))
