import pytest

from kvmmu_edu import UsageError
from kvmmu_widgets import look
from kvmmu_widgets.look.kernel import file_of


@pytest.mark.parametrize(
    ("symbol", "file"),
    [
        ("kvm_tdp_mmu_map", "arch/x86/kvm/mmu/tdp_mmu.c"),
        # there is a tracepoint of that name as well
        ("kvm_mmu_zap_all_fast", "arch/x86/kvm/mmu/mmu.c"),
        ("search_memslots", "include/linux/kvm_host.h"),
        ("rb_insert_color", "lib/rbtree.c"),
    ],
)
def test_symbols_are_found_where_kvm_defines_them(symbol, file):
    assert file_of(symbol) == file


def test_links_lead_to_the_line():
    grid = look.kernel(kvm_replace_memslot="both trees")
    assert grid["what to see there"] == ["both trees"]
    [link] = grid["symbol"]
    assert link.url.startswith("https://elixir.bootlin.com/linux/v6.12/source/virt/kvm/")
    assert "#L" in link.url


def test_what_the_kernel_does_not_have():
    with pytest.raises(UsageError, match="the kernel has no 'kvm_nothing'"):
        look.kernel(kvm_nothing="")
