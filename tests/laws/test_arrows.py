"""Imports go only the way of the arrows in the map, and the engine needs NumPy alone."""

import subprocess
import sys

import pytest

from tests.laws.source import ROOT, WIDGETS, layers, modules, report
from tests.laws.source import imports as imports_of

#: what a package or module may import besides the standard library and NumPy
ALSO = {
    "kvmmu_edu/cli/": {"click", "tqdm"},
    "kvmmu_edu/cli/lab.py": {"jupyterlab", "platformdirs"},
}
#: parts of the standard library that do not work in a browser
NOT_IN_A_BROWSER = {"asyncio", "multiprocessing", "socket", "subprocess", "threading"}


def order():
    return {name: i for i, group in enumerate(layers()) for name in group}


def test_the_map_knows_every_layer():
    known = order()
    found = {module.layer for module in modules() if module.layer not in {"", "__main__"}}
    report(f"{layer}: not in the arrows of the map" for layer in sorted(found - set(known)))


def test_imports_follow_the_arrows():
    known = order()
    findings = []
    for module in modules():
        here = known.get(module.layer)
        if here is None:
            continue  # kvmmu_edu/__init__.py shows what others made
        for node, name in imports_of(module.tree, typing_too=False):
            parts = name.split(".")
            if parts[0] != "kvmmu_edu":
                continue
            target = parts[1]
            if target not in known:
                if module.layer != "cli":
                    findings.append(f"{module.at(node)} imports {name}, which is no layer")
            elif known[target] > here:
                findings.append(f"{module.at(node)} {module.layer} imports {target}, to its right")
    report(findings)


def allowed(path):
    names = {"numpy", "kvmmu_edu"}
    for prefix, more in ALSO.items():
        if path.startswith(prefix):
            names |= more
    return names


def test_the_engine_imports_numpy_and_the_standard_library():
    findings = []
    for module in modules():
        for node, name in imports_of(module.tree, typing_too=True):
            top = name.split(".")[0]
            if top in NOT_IN_A_BROWSER and module.layer != "cli":
                findings.append(f"{module.at(node)} imports {top}, which browsers do not have")
            if top not in allowed(module.path) and top not in sys.stdlib_module_names:
                findings.append(f"{module.at(node)} imports {name}")
    report(findings)


def test_imports_are_absolute():
    findings = []
    for module in (*modules(), *modules(WIDGETS)):
        for node, name in imports_of(module.tree, typing_too=True):
            if name.startswith("."):
                findings.append(f"{module.at(node)} imports {name}")
    report(findings)


def test_widgets_do_not_import_the_command_line():
    findings = []
    for module in modules(WIDGETS):
        for node, name in imports_of(module.tree, typing_too=True):
            if name.startswith("kvmmu_edu.cli"):
                findings.append(f"{module.at(node)} imports {name}")
    report(findings)


@pytest.mark.parametrize("layer", ["the engine", "the command line"])
def test_importing_it_loads_no_jupyter(layer):
    names = [".".join(m.parts) for m in modules() if (m.layer == "cli") == (layer != "the engine")]
    program = (
        f"import importlib, sys\nfor name in {names!r}: importlib.import_module(name)\n"
        "jupyter = {'IPython', 'ipykernel', 'ipywidgets', 'anywidget', 'jupyterlab',"
        " 'jupyter_server', 'graphviz', 'pygraphviz', 'matplotlib', 'kvmmu_widgets'}\n"
        "print(sorted(jupyter & {name.split('.')[0] for name in sys.modules}))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert run.stdout.strip() == "[]", run.stdout + run.stderr
