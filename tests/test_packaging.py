"""The wheel holds what an installed kvmmu-edu needs, and no more; texts agree on the version."""

import os
import re
import subprocess
import sys
import zipfile

import pytest

import kvmmu_edu
from kvmmu_edu.cli import main
from tests.laws.source import ROOT, WIDGETS, modules, report, repository_files

SHIPPED = "kvmmu_edu/_shipped/"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Return the wheel, built with the backend that is installed."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    [path] = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def names(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def expected():
    """Yield what of the repository has to be in the wheel, under its name there."""
    for module in (*modules(), *modules(WIDGETS)):
        yield module.path.removeprefix("widgets/")
    for path in repository_files():
        name = path.relative_to(ROOT).as_posix()
        if name.startswith("widgets/kvmmu_widgets/static/"):
            yield name.removeprefix("widgets/")
        lesson = name.startswith("notebooks/") and path.suffix == ".ipynb"
        asset = name.startswith("assets/") and path.suffix not in {".png", ".py"}
        if lesson or asset:
            yield SHIPPED + name
    yield "kvmmu_edu/py.typed"
    yield "kvmmu_widgets/py.typed"


def test_the_wheel_has_what_is_needed(names):
    report(f"{name}: not in the wheel" for name in sorted(set(expected()) - names))


def test_the_wheel_has_nothing_else(names):
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"kvmmu_edu", "kvmmu_widgets"}
    unwanted = re.compile(r"(^|/)tests?/|\.png$|make_kernel|checkpoint|__pycache__")
    report(f"{name}: in the wheel" for name in sorted(names) if unwanted.search(name))


def test_the_wheel_has_the_command_and_the_licence(wheel, names):
    with zipfile.ZipFile(wheel) as archive:
        [entry_points] = [name for name in names if name.endswith("entry_points.txt")]
        assert b"kvmmu-edu = kvmmu_edu.cli:main" in archive.read(entry_points)
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_what_is_installed_finds_its_lessons_and_assets(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    program = (
        "import kvmmu_edu, kvmmu_widgets\n"
        "from kvmmu_edu.shipped import is_checkout, shipped\n"
        "print(is_checkout(), shipped('notebooks'), shipped('assets'))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=False,
    )
    shipped = tmp_path / "site" / SHIPPED
    assert run.stdout.split() == ["False", str(shipped / "notebooks"), str(shipped / "assets")], (
        run.stderr
    )


def test_the_package_tells_its_version():
    version = kvmmu_edu.__version__
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"\n## {version}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_readme_names_every_lesson_and_only_lessons_that_exist():
    named = set(re.findall(r"\]\(notebooks/(\d\d_\w+\.ipynb)\)", (ROOT / "README.md").read_text()))
    there = {path.name for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")}
    assert named == there


def test_the_readme_names_every_command():
    named = set(re.findall(r"^\| `kvmmu-edu (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert named == set(main.commands)


def test_links_and_pictures_of_the_readmes_exist():
    findings = []
    for readme in (ROOT / "README.md", ROOT / "kvmmu_edu/README.md", ROOT / "widgets/README.md"):
        text = readme.read_text()
        for target in re.findall(r"\]\(([^)#\s]+)\)|(?:src|srcset)=\"([^\"]+)\"", text):
            [link] = filter(None, target)
            if "://" not in link and not (readme.parent / link).exists():
                findings.append(f"{readme.relative_to(ROOT)}: {link} does not exist")
    report(findings)


def test_the_continuous_integration_runs_the_readmes_command():
    readme = (ROOT / "README.md").read_text()
    below = readme.split(".ci/run takes the command", 1)[1]
    command = below.split("```sh\n", 1)[1].split("\n", 1)[0]
    assert command.endswith("python -m pytest")
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert (
        "pytest"
        in subprocess.run(
            ["awk", re.search(r"awk '(.*?)'", script.read_text())[1], "README.md"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    )
