import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvmmu_edu.choices import ModuleParams
from kvmmu_edu.errors import UsageError
from kvmmu_edu.scenario.language import Directives, read_scenario
from kvmmu_edu.scenario.meta import Machine, kernel_version, machine_of, read_meta, set_parameter
from tests.recordings.stored import label, stored
from tests.scenario.complaints import complaint

RECORDED = """\
kernel=6.1.0-56-amd64
kvm_args=nx_huge_pages=force nx_huge_pages_recovery_period_ms=3600000
kvm_amd_args=npt=0
thp=madvise hugepages2m=8 hugepages1g=1
kvm.eager_page_split=N
kvm.nx_huge_pages=Y
kvm.nx_huge_pages_recovery_period_ms=3600000
kvm.nx_huge_pages_recovery_ratio=60
kvm.tdp_mmu=N
kvm.mmio_caching=Y
kvm_amd.npt=N
kvm_amd.nested=1
"""


def write(tmp_path, text):
    path = tmp_path / "meta.txt"
    path.write_text(text)
    return path


def test_a_recording_says_what_its_machine_was(tmp_path):
    assert read_meta(write(tmp_path, RECORDED)) == Machine(
        kernel="6.1",
        params=ModuleParams(
            tdp_mmu=False,
            eager_page_split=False,
            mmio_caching=True,
            nx_huge_pages="force",
            nx_huge_pages_recovery_ratio=60,
            nx_huge_pages_recovery_period_ms=3600000,
            npt=False,
            nested=True,
        ),
        thp="madvise",
        hugepages2m=8,
        hugepages1g=1,
    )


def test_without_a_recording_the_directives_decide():
    machine = machine_of(Directives(("eager_page_split=N",), 8, 1, "always"), None)
    assert machine == Machine(
        "6.12", ModuleParams(eager_page_split=False), "always", hugepages2m=8, hugepages1g=1
    )


def test_without_nested_paging_there_is_no_tdp_mmu():
    assert not machine_of(Directives(("npt=0",)), None).params.tdp_mmu


def test_the_kernel_can_be_chosen(tmp_path):
    meta = write(tmp_path, RECORDED)
    assert machine_of(Directives(), meta, "6.12").kernel == "6.12"
    assert machine_of(Directives(), meta, "6.12").hugepages2m == 8
    with pytest.raises(UsageError, match=r"'5\.10' is not modelled; expected 6\.12 or 6\.1"):
        machine_of(Directives(), meta, "5.10")


@pytest.mark.parametrize(
    ("release", "kernel"),
    [("6.12.117+deb12-amd64", "6.12"), ("6.1.0-56-amd64", "6.1"), ("6.12", "6.12"), ("6.1", "6.1")],
)
def test_releases(release, kernel):
    assert kernel_version(release) == kernel


def test_a_release_that_only_begins_alike_is_another():
    with pytest.raises(UsageError, match="not modelled"):
        kernel_version("6.13.1")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("kernel=5.10.0", "not modelled"),
        ("nonsense", "'nonsense' is no setting; expected name=value"),
        ("kvm.tdp_mmu=maybe", "tdp_mmu is 'maybe'; expected Y or N"),
        ("kvm.unheard_of=1", "'unheard_of' is not known; expected tdp_mmu"),
        ("thp=often", "thp is 'often'; expected always, madvise, never"),
        ("thp=always hugepages2m=x", "'x' is not a number"),
        ("thp=always hugepages4k=1", "expected thp=, hugepages2m= and hugepages1g="),
    ],
)
def test_mistakes_are_told_with_their_place(tmp_path, line, why):
    with pytest.raises(UsageError, match=r"meta\.txt:2: .*" + why.replace("(", r"\(")):
        read_meta(write(tmp_path, f"kernel=6.12.1\n{line}\n"))


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(UsageError, match=r"No such file or directory; expected a recording's"):
        read_meta(tmp_path / "meta.txt")


def test_parameters_keep_their_types():
    params = ModuleParams()
    set_parameter(params, "nx_huge_pages", "Y")
    set_parameter(params, "nx_huge_pages_recovery_ratio", "5")
    set_parameter(params, "npt", "0")
    assert (params.nx_huge_pages, params.nx_huge_pages_recovery_ratio, params.npt) == (
        "force",
        5,
        False,
    )


@pytest.mark.parametrize("folder", stored("[ci]0*"), ids=label)
def test_directives_and_meta_of_a_recording_say_the_same(folder):
    directives = read_scenario(folder / "scenario.scn").directives
    meta = read_meta(folder / "meta.txt")
    asked = machine_of(directives, None, meta.kernel)
    # 6.1 shows tdp_mmu=Y even where npt=0 leaves it nothing to do
    asked.params.tdp_mmu = meta.params.tdp_mmu if not meta.params.npt else asked.params.tdp_mmu
    assert asked == meta


names = st.sampled_from(["kernel", "kvm_args", "kvm_amd_args", "thp", "kvm.npt", "kvm.x", ""])
lines = st.tuples(names, st.sampled_from(["=", ""]), st.text(max_size=20)).map("".join)


@given(st.lists(lines, max_size=4).map("\n".join))
def test_any_text_is_a_machine_or_a_usage_error(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("meta") / "meta.txt"
    path.write_text(text, encoding="utf-8")
    message = complaint(lambda: read_meta(path))
    assert message is None or "expected" in message
