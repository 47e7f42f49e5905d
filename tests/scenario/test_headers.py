import pytest

from kvmmu_edu.errors import UsageError
from kvmmu_edu.scenario.headers import DirtyRing, Mode, PayloadAt, Vcpus
from kvmmu_edu.scenario.language import parse_scenario


def headers(text):
    return [s.operation for s in parse_scenario(text).statements]


def test_headers_are_no_operations():
    scenario = parse_scenario("vcpus 2\nmode long64 2m\nstats\n")
    assert len(scenario.statements) == 3
    assert [s.text for s in scenario.operations] == ["stats"]


def test_each_header_and_its_defaults():
    assert headers("vcpus 2\nmode flat32\nmode long64 own\ndirtyring 64K") == [
        Vcpus(2),
        Mode("flat32", "1g"),
        Mode("long64", "own"),
        DirtyRing(65536),
    ]


def test_the_payload_has_a_place_or_is_off():
    assert headers("payload off\npayload 5 0x1000000\npayload 5 0x1000000 1M") == [
        PayloadAt(-1),
        PayloadAt(5, 0x1000000, 64 * 4096),
        PayloadAt(5, 0x1000000, 1 << 20),
    ]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("vcpus 0", "0 vCPUs; expected 1 to 4096"),
        ("vcpus 5000", "expected 1 to 4096"),
        ("payload 5", "no address; expected payload ID GPA"),
        ("mode long32", "expected long64 or flat32"),
        ("mode long64 4k", "expected 1g or 2m or own"),
    ],
)
def test_wrong_headers_are_refused(line, why):
    with pytest.raises(UsageError, match=why):
        headers(line)
