import dataclasses

import pytest

from kvmmu_edu.choices import Choices, ModuleParams
from kvmmu_edu.errors import UsageError


def test_what_is_modelled_if_nothing_is_said():
    choices = Choices()
    assert (choices.kernel, choices.paging, choices.maxphyaddr) == ("6.12", "npt", 40)
    assert not choices.is_6_1


def test_the_older_kernel():
    assert Choices(kernel="6.1").is_6_1


def test_6_1_lists_its_tables_unless_told_otherwise():
    assert Choices(kernel="6.1").lists_tdp_mmu_pages
    assert not Choices(kernel="6.1", tdp_mmu_pages="counter").lists_tdp_mmu_pages
    assert not Choices().lists_tdp_mmu_pages
    assert Choices(tdp_mmu_pages="list").lists_tdp_mmu_pages


@pytest.mark.parametrize("bits", [36, 48])
def test_the_widths_that_four_levels_translate(bits):
    assert Choices(maxphyaddr=bits).maxphyaddr == bits


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"kernel": "6.6"}, 'kernel is \'6.6\'; expected "6.12" or "6.1"'),
        ({"paging": "shadow"}, 'paging is \'shadow\'; expected "npt" or "ept"'),
        ({"flush_on_zap": "never"}, 'expected "batched" or "per_table"'),
        ({"tdp_mmu_pages": "tree"}, 'expected "counter", "list" or None'),
        ({"memslots": "list"}, 'expected "tree" or "array"'),
        ({"maxphyaddr": 35}, "maxphyaddr is 35; expected 36 to 48 bits"),
        ({"maxphyaddr": 49}, "maxphyaddr is 49; expected 36 to 48 bits"),
    ],
)
def test_a_value_that_no_code_reads_is_refused(wrong, message):
    with pytest.raises(UsageError, match=message):
        Choices(**wrong)


def test_choices_do_not_change_but_parameters_do():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Choices().kernel = "6.1"
    params = ModuleParams()
    params.nx_huge_pages = "force"
    assert params.nx_huge_pages == "force"


def test_a_parameter_that_the_kernel_does_not_have_is_refused():
    with pytest.raises(AttributeError):
        ModuleParams().tdp_nmu = False
