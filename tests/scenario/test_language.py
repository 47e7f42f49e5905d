import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvmmu_edu.errors import UsageError
from kvmmu_edu.scenario.grammar import VERBS
from kvmmu_edu.scenario.language import Directives, parse_scenario, read_scenario
from kvmmu_edu.scenario.operations import GuestAccesses, Stats
from tests.recordings.stored import label, stored
from tests.scenario.complaints import complaint

# --- lines ------------------------------------------------------------------------------------


def test_comments_and_empty_lines_are_skipped_and_lines_are_counted_from_one():
    scenario = parse_scenario("# a comment\n\n  stats  # why\n#! lite\nrmaps\r\n")
    assert [(s.line, s.text) for s in scenario.statements] == [(3, "stats  # why"), (5, "rmaps")]


def test_prefixes():
    early, second, both = parse_scenario("early stats\nv1 read 1\nearly v0 read 1").statements
    assert (early.early, early.operation) == (True, Stats())
    assert (second.early, second.vcpu) == (False, 1)
    assert second.operation == GuestAccesses("read", 1)
    assert (both.early, both.vcpu) == (True, 0)


def test_directives():
    scenario = parse_scenario(
        "#! module kvm eager_page_split=N\n#! module kvm_amd npt=0 nested=1\n#! hugepages2m 8\n"
        "#! hugepages1g 1\n#! thp never\n#! lite\n#! notrace"
    )
    assert scenario.directives == Directives(
        ("eager_page_split=N", "npt=0", "nested=1"), 8, 1, "never", lite=True, notrace=True
    )


WRONG = {
    "raed 0x1000": "operation 'raed' is not known; expected one of ",
    "read": "read has no GPA; expected read GPA [COUNT [STRIDE]]",
    "read 0x1000 1 1 1": "'1' is one word too many; expected read GPA [COUNT [STRIDE]]",
    "read zero": "'zero' is not a number; expected",
    "early": "nothing follows the prefix; expected an operation",
    "v1": "nothing follows the prefix; expected an operation",
    "v1 # read": "nothing follows the prefix; expected an operation",
    "par v0 read 1 | read 2": "a part names no vCPU; expected v0 OPERATION",
    "par v0 read 1 | v0 read 2": "a vCPU is named twice; expected each",
    "par v0 read 1 |": "a part names no vCPU",
    "bg v0 stats": "'stats' is not done by a vCPU; expected read",
    "bg v0": "nothing follows the prefix",
    "join 1": "'1' names no vCPU; expected v0",
    "sh": "sh has no COMMAND; expected sh COMMAND...",
    "#! hugepages 8": "directive 'hugepages 8' is not known; expected module",
    "#! module vfio x=1": "directive 'module vfio x=1' is not known; expected module kvm|kvm_amd",
    "#! hugepages2m many": "'many' is not a number",
}


@pytest.mark.parametrize(("line", "why"), WRONG.items(), ids=WRONG)
def test_mistakes_are_told_in_one_line_with_their_place(line, why):
    with pytest.raises(UsageError) as caught:
        parse_scenario(f"stats\n{line}\n", path="my.scn")
    assert str(caught.value).startswith(f"my.scn:2: {why}")
    assert "\n" not in str(caught.value)


# --- files ------------------------------------------------------------------------------------


def test_a_scenario_is_named_after_its_folder_or_its_file(tmp_path):
    for name in ("x01_first/scenario.scn", "second.scn"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("stats\n")
    assert read_scenario(tmp_path / "x01_first/scenario.scn").name == "x01_first"
    assert read_scenario(tmp_path / "second.scn").name == "second"


def test_a_missing_file_and_one_that_is_no_text_are_told(tmp_path):
    with pytest.raises(UsageError, match="No such file or directory; expected a scenario file"):
        read_scenario(tmp_path / "none.scn")
    (tmp_path / "bytes.scn").write_bytes(b"stats \xff\n")
    with pytest.raises(UsageError, match="not UTF-8 text; expected a scenario file"):
        read_scenario(tmp_path / "bytes.scn")


@pytest.mark.parametrize("folder", stored(), ids=label)
def test_every_recorded_scenario_is_understood(folder):
    scenario = read_scenario(folder / "scenario.scn")
    lines = (folder / "scenario.scn").read_text().splitlines()
    headers = ("#", "vcpus ", "mode ", "payload ", "dirtyring ")
    counted = [line.strip() for line in lines if line.strip() and not line.startswith(headers)]
    assert [s.text for s in scenario.operations] == counted


# --- any text ---------------------------------------------------------------------------------

WORDS = [*VERBS, "early", "par", "bg", "v0", "v1", "|", "#", "#!", "module", "kvm", "lite", "-"]
words = st.one_of(
    st.sampled_from(WORDS), st.integers(0, 1 << 65).map(hex), st.text(max_size=6), st.just("A+4K")
)
texts = st.lists(st.lists(words, max_size=6).map(" ".join), max_size=4).map("\n".join)


@given(texts)
def test_any_text_is_a_scenario_or_a_usage_error(text):
    message = complaint(lambda: parse_scenario(text))
    assert message is None or (message.startswith("scenario:") and "expected" in message)
