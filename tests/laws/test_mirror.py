"""Every module has its test file, and every test file of a package its module.

A package inside a package may have one test file for all: tests/trace/test_events.py.
"""

from pathlib import Path

from tests.laws.source import ENGINE, ROOT, WIDGETS, modules, report

TESTS = ROOT / "tests"


def test_file(module):
    parts = module.parts[1:]
    folder = TESTS / "widgets" if module.parts[0] == "kvmmu_widgets" else TESTS
    return folder.joinpath(*parts[:-1], f"test_{parts[-1]}.py")


test_file.__test__ = False


def test_every_module_has_a_test_file():
    findings = []
    for module in (*modules(), *modules(WIDGETS)):
        if not module.path.endswith(("__init__.py", "__main__.py")):
            expected = test_file(module)
            inner = len(module.parts) > 3
            whole = expected.parent.with_name(f"test_{expected.parent.name}.py")
            if not expected.exists() and not (inner and whole.exists()):
                findings.append(f"{module.path}: no {expected.relative_to(ROOT)}")
    report(findings)


def test_every_test_file_of_a_package_has_a_module():
    findings = []
    for package in sorted(path.parent for path in ENGINE.glob("*/__init__.py")):
        for path in sorted((TESTS / package.name).glob("test_*.py")):
            name = Path(path.stem.removeprefix("test_"))
            there = (package / name).is_dir() or (package / name.with_suffix(".py")).exists()
            if not there and name.name != "init":
                findings.append(f"{path.relative_to(ROOT)}: no {package.name}/{name}.py")
    report(findings)
