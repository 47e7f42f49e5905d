import json

import pytest
from click.testing import CliRunner

from kvmmu_edu.bench.meter import Meter
from kvmmu_edu.cli import bench, main

NAMES = {
    f"faults.{way}.{trace}" for way in ("read", "run") for trace in ("none", "events", "steps")
}
NAMES |= {f"translations.{way}" for way in ("read", "run", "walk")}
NAMES |= {f"slots.{what}.{n}" for what in ("create", "delete") for n in (509, 32764)}
NAMES |= {
    f"lookups.{where}.{n}" for where in ("gfn_tree", "hva_tree", "id_hash") for n in (509, 32764)
}
NAMES |= {f"creation.{what}" for what in ("vm", "guest", "snapshot", "hash", "check")}
NAMES |= {f"recordings.{prefix}.{how}" for prefix in "ade" for how in ("plain", "checked")}
NAMES |= {"import.numpy", "import.kvmmu_edu"}


def test_the_object_has_the_keys_that_the_help_text_promises():
    done = CliRunner().invoke(main, ["bench", "--quick", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    assert found.keys() == {"python", "numpy", "quick", "figures", "reference_seconds"}
    assert {figure["name"] for figure in found["figures"]} == NAMES
    for figure in found["figures"]:
        assert figure.keys() == {"name", "what", "seconds", "per_second", "ratio"}
        assert figure["seconds"] * figure["per_second"] == pytest.approx(1)
        assert figure["ratio"] == pytest.approx(figure["seconds"] / found["reference_seconds"])
    words = " ".join(bench.bench_command.help.split())
    assert all(key in words for key in [*found, *found["figures"][0]])


def test_a_line_for_each_figure(monkeypatch):
    def figures(meter, _folder):
        yield meter.given("x", "what takes two seconds", 2.0)
        yield meter.given("y", "what takes three microseconds", 3e-6)

    monkeypatch.setattr(bench, "everything", figures)
    monkeypatch.setattr(bench, "_import", lambda _module: 0.25)
    lines = CliRunner().invoke(main, ["bench", "--quick"]).output.splitlines()
    shown = [line.split(maxsplit=4) for line in lines]
    assert shown[0] == ["one", "operation", "per", "second", "ratio"]
    assert [line[:2] for line in shown[1:5]] == [
        ["2", "s"],
        ["3", "us"],
        ["250", "ms"],
        ["250", "ms"],
    ]
    assert lines[-1].endswith("one turn of the reference loop")


def test_a_folder_that_is_not_there(tmp_path):
    done = CliRunner().invoke(main, ["bench", "--recordings", str(tmp_path / "none")])
    assert done.exit_code == 2
    assert "no such folder; expected one of recordings" in done.stderr


def test_without_a_checkout_no_recordings_are_run(monkeypatch):
    monkeypatch.setattr(bench, "is_checkout", lambda: False)
    assert bench._recordings(None) is None


def test_an_import_costs_more_than_none():
    assert Meter(quick=True).turns == 1
    assert bench._best(lambda: -1.0, 2) > 0
    assert isinstance(bench._import("json"), float)
