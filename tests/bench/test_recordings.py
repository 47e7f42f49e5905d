from pathlib import Path

import pytest

from kvmmu_edu.bench import recordings as module
from kvmmu_edu.bench.meter import Meter

SCENARIO = "mem A anon4k 1M\nslot 0 0x100000 1M - A\nread 0x100000\n"
LONG = SCENARIO + "read 0x100000\n" * 60


@pytest.fixture
def folder(tmp_path):
    for name, text in (("a01_one", SCENARIO), ("a02_long", LONG), ("b01_other", SCENARIO)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "scenario.scn").write_text(text)
        (tmp_path / name / "meta.txt").write_text("kernel=6.12.117\n")
    return tmp_path


@pytest.mark.parametrize(
    ("quick", "wanted"), [(True, ["a01_one"]), (False, ["a01_one", "a02_long"])]
)
def test_what_is_run_with_and_without_checks(folder, monkeypatch, quick, wanted):
    seen = []

    def note(scenario, _machine, *, check_every):
        seen.append((Path(scenario.path).parent.name, check_every))

    monkeypatch.setattr(module, "run_scenario", note)
    meter = Meter(turns=1)
    meter.quick = quick
    names = [figure.name for figure in module.recordings(meter, folder)]
    assert names == ["recordings.a.plain", "recordings.a.checked"]
    assert seen == [(name, check_every) for check_every in (0, 1) for name in wanted]


def test_scenarios_run(folder):
    figures = list(module.recordings(Meter(quick=True), folder))
    assert all(figure.seconds > 0 for figure in figures)
