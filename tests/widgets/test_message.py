"""The message: complete, small, the same for the same run."""

import json
import re
import shutil

import pytest

from kvmmu_edu.errors import UsageError
from kvmmu_edu.trace import events as ev
from kvmmu_edu.trace.recorder import Record
from kvmmu_widgets.layout import BACKENDS
from kvmmu_widgets.message import build_message
from kvmmu_widgets.palette import BY_NAME
from kvmmu_widgets.replay import frame_at
from kvmmu_widgets.synthetic import synthetic_message


@pytest.fixture(params=["tables_message", "slots_message"])
def message(request):
    return request.getfixturevalue(request.param)


def test_it_is_json(message):
    assert json.loads(json.dumps(message)) == message


def test_it_is_the_same_for_the_same_run(dirty_log_vm, tables_message):
    again = build_message(dirty_log_vm.trace.records, view="tables", title="Dirty logging")
    assert json.dumps(again) == json.dumps(tables_message)


def test_only_places_depend_on_the_way_to_graphviz(dirty_log_vm):
    pytest.importorskip("pygraphviz")
    if not shutil.which("dot"):
        pytest.skip("no dot program here")
    run = dirty_log_vm.trace.records
    ours, theirs = (build_message(run, backend=backend) for backend in BACKENDS)
    for message in (ours, theirs):
        for layout in message.pop("layouts"):
            assert set(layout) == {"w", "h", "nodes", "edges", "groups"}
    assert ours == theirs


def test_parts(message):
    assert list(message) == [
        "v", "title", "layouts", "contents", "ops", "sources", "counters", "legend", "hatches",
        "steps",
    ]  # fmt: skip
    assert message["v"] == 1


def test_numbers_lead_somewhere(message):
    for step in message["steps"]:
        assert 0 <= step["layout"] < len(message["layouts"])
        assert step["op"] is None or step["op"] < len(message["ops"])
        for number in step["nodes"].values():
            assert number is None or number < len(message["contents"])
        for number in step.get("counters", {}):
            assert int(number) < len(message["counters"])
        if "source" in step:
            source = message["sources"][step["source"]]
            assert source["start"] <= step["line"] < source["start"] + len(source["lines"])


def test_every_frame_can_be_drawn(message):
    for number in range(len(message["steps"])):
        frame = frame_at(message, number)
        assert set(frame.nodes) <= set(frame.layout["nodes"])
        assert set(frame.edges) <= set(frame.layout["edges"])
        for mark in frame.step.get("marks", ()):
            name, _, cell = mark.partition("#")
            assert name in frame.nodes or name in frame.edges
            if cell:
                assert int(cell) < len(message["contents"][frame.nodes[name]]["cells"])


def test_cells_lie_in_their_cards(message):
    for number in range(len(message["steps"])):
        frame = frame_at(message, number)
        for name, content in frame.nodes.items():
            _, _, width, height = frame.layout["nodes"][name]
            said = message["contents"][content]
            height = min(height, said.get("h", height))
            for cell in said.get("cells", ()):
                x, y, w, h = cell["box"]
                assert 0 <= x <= x + w <= width + 1
                assert 0 <= y <= y + h <= height + 1


def test_contents_are_said_once(message):
    texts = [json.dumps(content, sort_keys=True) for content in message["contents"]]
    assert len(set(texts)) == len(texts)


def test_empty_parts_are_left_out(message):
    for thing in [*message["contents"], *message["steps"]]:
        for key, value in thing.items():
            assert value not in ("", [], {}) or key == "nodes"


def test_all_kinds_are_in_the_palette_and_in_the_legend(message):
    kinds = {kind for content in message["contents"] for kind in content["cls"].split()}
    for content in message["contents"]:
        for cell in content.get("cells", ()):
            kinds |= set(cell["cls"].split())
    assert kinds <= set(BY_NAME)
    assert kinds <= {entry["cls"] for entry in message["legend"]}
    hatches = {BY_NAME[kind].hatch for kind in kinds} - {"none"}
    assert hatches == set(message["hatches"])


def test_operations_cover_their_steps(message):
    for number, op in enumerate(message["ops"]):
        steps = [n for n, step in enumerate(message["steps"]) if step["op"] == number]
        assert steps == list(range(op["first"], op["last"] + 1))


def test_texts_are_plain(message):
    for step in message["steps"]:
        assert not re.search(r"</|&[a-z]+;", step["text"])


def test_counters_are_those_of_the_engine(dirty_log_vm, tables_message):
    final = {}
    for step in tables_message["steps"]:
        for number, (_, after) in step.get("counters", {}).items():
            final[tables_message["counters"][int(number)]] = after
    truth = {name: n for name, n in dirty_log_vm.counters.flat().items() if n}
    assert {name: n for name, n in final.items() if n} == truth


def test_the_sentences_of_a_split(tables_message):
    texts = [step["text"] for step in tables_message["steps"]]
    at = texts.index("The 2M entry at gfn 0x400 now points to a table of 512 ready 4K entries.")
    step = tables_message["steps"][at]
    assert step["event"] == "SpteChanged"
    assert step["short"] == "0x400: 2M → table"
    assert step["task"] == "kvmtrace"
    source = tables_message["sources"][step["source"]]
    assert source["kernel"]["function"] == "tdp_mmu_link_sp"
    assert step["ftrace"].startswith("kvm_tdp_mmu_spte_changed: as id 0 gfn 400 level 2 ")
    moved = {tables_message["counters"][int(n)]: ends for n, ends in step["counters"].items()}
    assert moved["vm.pages_4k"] == [0, 512]
    assert moved["vm.pages_2m"] == [2, 1]


def test_a_part_of_a_run(dirty_log_vm, tables_message):
    run = dirty_log_vm.trace.records
    begins = [n for n, record in enumerate(run) if isinstance(record.event, ev.OperationBegin)]
    cut = begins[-3]
    part = build_message(run[cut:], before=run[:cut])
    whole = len(tables_message["steps"])
    shown = len(part["steps"]) - 1
    assert part["steps"][1:] != []
    assert [s["text"] for s in part["steps"][1:]] == [
        s["text"] for s in tables_message["steps"][whole - shown :]
    ]
    assert part["steps"][0]["nodes"]


def test_checks_of_the_caller(dirty_log_vm):
    last = dirty_log_vm.trace.records[-1].id
    message = build_message(dirty_log_vm.trace.records, checks={last: {"no stale TLB": True}})
    assert message["steps"][-1]["checks"]["no stale TLB"] is True


def test_nothing_happened():
    message = build_message([])
    assert len(message["steps"]) == 1
    assert message["steps"][0]["text"] == "Nothing has happened yet."


def test_texts_of_users_are_kept_as_they_are():
    run = [Record(0, "t<&>", ev.OperationBegin(1, '<b>&"x'), ())]
    message = build_message(run)
    assert message["ops"][0]["text"] == '<b>&"x'
    assert message["steps"][1]["task"] == "t<&>"


def test_no_such_view():
    with pytest.raises(UsageError, match="expected one of 'tables', 'slots'"):
        build_message([], view="trees")


def test_steps_outside_of_tasks_name_no_task():
    message = build_message([Record(0, "swapper", ev.OperationBegin(1, "mmap A"), ())])
    assert "task" not in message["steps"][1]


def test_it_is_small():
    assert len(json.dumps(synthetic_message(200, 200))) < 1 << 19
