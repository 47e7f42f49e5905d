"""Links into the kernel's source, with and without the table of symbols."""

import pytest

from kvmmu_edu.errors import UsageError
from kvmmu_widgets import kernel_symbols
from kvmmu_widgets.kernel_symbols import source_url, symbol_lines

FILE = "arch/x86/kvm/mmu/tdp_mmu.c"
BASE = "https://elixir.bootlin.com/linux/v6.12/source/"


@pytest.fixture
def fresh():
    symbol_lines.cache_clear()
    yield
    symbol_lines.cache_clear()


def test_a_function_has_its_line():
    line = symbol_lines()["kvm_tdp_mmu_map", FILE]
    assert line > 0
    assert source_url("kvm_tdp_mmu_map", FILE) == f"{BASE}{FILE}#L{line}"


def test_what_is_not_in_the_table_leads_to_the_file():
    assert source_url("no_such_function", FILE) == BASE + FILE


def test_lines_of_another_version_are_not_guessed():
    url = source_url("kvm_tdp_mmu_map", FILE, "v6.1")
    assert url == f"https://elixir.bootlin.com/linux/v6.1/source/{FILE}"


def test_without_a_table_links_lead_to_files(fresh, monkeypatch, tmp_path):
    monkeypatch.setattr(kernel_symbols, "shipped", lambda _what: tmp_path)
    assert symbol_lines() == {}
    assert source_url("kvm_tdp_mmu_map", FILE) == BASE + FILE


def test_without_assets_links_lead_to_files(fresh, monkeypatch):
    def nothing(_what):
        raise UsageError("no assets")

    monkeypatch.setattr(kernel_symbols, "shipped", nothing)
    assert source_url("kvm_tdp_mmu_map", FILE) == BASE + FILE
