"""What a package shows is in its ``__all__``, is there, and is not too much."""

import importlib

import pytest

from tests.laws.source import WIDGETS, ast, modules, report

SHOWN = [
    module
    for module in (*modules(), *modules(WIDGETS))
    if "__all__" in module.text and module.path.endswith("__init__.py")
]


def test_the_two_packages_say_what_they_show():
    assert {"kvmmu_edu", "kvmmu_widgets"} <= {".".join(module.parts) for module in SHOWN}


@pytest.mark.parametrize("module", SHOWN, ids=lambda module: ".".join(module.parts))
def test_all_is_there(module):
    package = importlib.import_module(".".join(module.parts))
    report(
        f"{module.path}: {name} is not there"
        for name in package.__all__
        if not hasattr(package, name)
    )


@pytest.mark.parametrize("module", SHOWN, ids=lambda module: ".".join(module.parts))
def test_what_is_imported_for_others_is_in_all(module):
    package = importlib.import_module(".".join(module.parts))
    imported = {
        alias.asname or alias.name
        for node in module.tree.body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("kvmmu_")
        for alias in node.names
    }
    report(
        f"{module.path}: {name} is not in __all__"
        for name in sorted(imported - set(package.__all__))
    )


@pytest.mark.parametrize("name", ["kvmmu_edu", "kvmmu_widgets"])
def test_a_package_shows_what_one_can_remember(name):
    package = importlib.import_module(name)
    names = [name for name in package.__all__ if not name.startswith("__")]
    assert len(names) <= 12, names
