import dataclasses

import pytest

from kvmmu_edu.scenario import headers, operations
from kvmmu_edu.scenario.grammar import VERBS, Operation, arguments_of, usage


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("slot", "slot ID GPA SIZE FLAGS HVA"),
        ("read", "read GPA [COUNT [STRIDE]]"),
        ("dirty-clear", "dirty-clear ID FIRST N [all|last]"),
        ("mem", "mem NAME anon4k|thp|huge2m|huge1g|shm SIZE [ALIGN [SKEW]]"),
        ("fork", "fork"),
        ("sh", "sh COMMAND..."),
        ("cap", "cap N [ARGS...]"),
        ("mode", "mode long64|flat32 [1g|2m|own]"),
    ],
)
def test_usage_lines_come_from_the_fields(name, text):
    assert usage(name) == text


def test_one_class_may_have_several_words():
    assert VERBS["read"].kind is VERBS["write"].kind is operations.GuestAccesses
    assert VERBS["read"].fixed == {"kind": "read"}


def test_what_a_word_decides_is_no_argument():
    for meaning in VERBS.values():
        names = {field for field, _, _ in arguments_of(meaning.kind)}
        assert not names & set(meaning.fixed)
        assert names | set(meaning.fixed) == {f.name for f in dataclasses.fields(meaning.kind)}


def test_required_arguments_come_first():
    for meaning in VERBS.values():
        needed = [needed for _, _, needed in arguments_of(meaning.kind)]
        assert needed == sorted(needed, reverse=True)


def test_operations_are_values():
    for module in (headers, operations):
        for kind in vars(module).values():
            if isinstance(kind, type) and issubclass(kind, Operation):
                assert kind.__dataclass_params__.frozen
