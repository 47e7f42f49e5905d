import json

from click.testing import CliRunner

from kvmmu_edu.cli import main


def test_a_quick_run_prints_a_line_for_each_work():
    result = CliRunner().invoke(main, ["bench", "--quick"])
    assert result.exit_code == 0
    assert result.output.count("turns of a plain loop each") == 5


def test_json_has_the_documented_keys():
    result = CliRunner().invoke(main, ["bench", "--quick", "--json"])
    found = json.loads(result.output)
    assert found["npages"] == 500
    assert {tuple(sorted(row)) for row in found["single_faults"]} == {
        ("loops_per_fault", "per_second", "work")
    }
