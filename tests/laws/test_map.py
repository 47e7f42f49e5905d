"""The map, kvmmu_edu/README.md, names every module, and names none that is not there."""

from tests.laws.source import ENGINE, map_names, modules, report


def test_every_module_is_in_the_map():
    named = map_names()
    folders = tuple(name for name in named if name.endswith("/"))
    findings = []
    for module in modules():
        path = module.path.removeprefix("kvmmu_edu/")
        is_package = path.endswith("__init__.py") and not module.text.count("\ndef ")
        if path not in named and not path.startswith(folders) and not is_package:
            findings.append(f"{module.path}: no line of the map names it or its folder")
    report(findings)


def test_everything_in_the_map_exists():
    report(
        f"{name}: in the map, but not there" for name in map_names() if not (ENGINE / name).exists()
    )


def test_no_line_is_said_twice():
    named = map_names()
    report(f"{name}: twice in the map" for name in sorted({n for n in named if named.count(n) > 1}))
