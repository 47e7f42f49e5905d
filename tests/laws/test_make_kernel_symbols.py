"""The script that makes the table of kernel symbols: what it finds in C."""

import csv
import importlib.util

import pytest

from tests.laws.source import ROOT

SCRIPT = ROOT / "assets" / "make_kernel_symbols.py"
spec = importlib.util.spec_from_file_location("make_kernel_symbols", SCRIPT)
made = importlib.util.module_from_spec(spec)
spec.loader.exec_module(made)


def found(text):
    return [(symbol.name, symbol.line) for symbol in made.symbols(text)]


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        ("int f(void)\n{\n\treturn g();\n}\n", [("f", 1)]),
        ("static inline bool\nf(int a)\n{\n}\n", [("f", 2)]),
        ("/* int f(void) { } */\nint g(void) { return '{'; }\nint h;\n", [("g", 2), ("h", 3)]),
        ("void f(int (*less)(int))\n{ }\n", [("f", 1)]),
        ("int f(int a) __must_hold(a)\n{\n}\n", [("f", 1)]),
        ("static int FNAME(walk_addr)(int a)\n{\n}\n", [("walk_addr", 1)]),
        (
            "#define F(x) \\\n\tdo { } while (0)\n#define G 1\nint a = G;\n",
            [("F", 1), ("G", 3), ("a", 4)],
        ),
        ("struct s {\n\tint a;\n};\nstruct t;\n", [("s", 1)]),
        ("struct __attribute__ ((__packed__)) s {\n\tint a;\n} __packed;\n", [("s", 1)]),
        ("enum e {\n\tA,\n\tB = F(1, 2),\n};\n", [("e", 1), ("A", 2), ("B", 3)]),
        ("enum {\n\tA\n};\n", [("A", 2)]),
        ("typedef struct {\n\tint a;\n} t;\n", [("t", 1)]),
        ("typedef u64 *(*fn)(int a);\n", [("fn", 1)]),
        ("u64 __read_mostly a, *b;\n", [("a", 1), ("b", 1)]),
        ("static u32 a[F(b)] __ro_after_init = { [0] = 1, };\n", [("a", 1)]),
        ("TRACE_EVENT(\n\tx,\n\tTP_PROTO(int a),\n);\n", [("x", 1), ("trace_x", 1)]),
        ("DEFINE_EVENT(class, x,\n\tTP_PROTO(int a));\n", [("x", 1), ("trace_x", 1)]),
        ("DEFINE_MUTEX(m);\nDEFINE_GUARD(g, int);\n", [("m", 1)]),
        ("SYSCALL_DEFINE2(x, int, a, int, b)\n{\n}\n", [("sys_x", 1)]),
        ("EXPORT_SYMBOL_GPL(f);\nint f(void)\n{\n}\n", [("f", 2)]),
        ("FLAG(A, b)\nFLAG(C, d)\n\nstruct s {\n\tint a;\n};\n", [("s", 4)]),
        (
            "#ifdef A\nint f(void) {\n#else\nint g(void) {\n#endif\n}\nint h(void)\n{\n}\n",
            [("f", 2), ("h", 7)],
        ),
    ],
)
def test_symbols(text, symbols):
    assert found(text) == symbols


def test_an_interval_tree_makes_four_functions():
    text = "INTERVAL_TREE_DEFINE(struct n, rb,\n\tlong, last,\n\tSTART, LAST,, tree)\n\nint a;\n"
    names = [name for name, _ in found(text)]
    assert names == ["tree_insert", "tree_remove", "tree_iter_first", "tree_iter_next", "a"]


def test_a_declaration_has_a_row_only_where_no_file_defines_it():
    sources = [("a.h", "int f(void);\nint g(void);\n"), ("a.c", "int f(void)\n{\n}\n")]
    assert made.rows(sources) == [
        ("", "a.h", 0),
        ("g", "a.h", 2),
        ("", "a.c", 0),
        ("f", "a.c", 1),
    ]


def test_a_document_has_its_row_and_no_symbols():
    assert made.rows([("Documentation/x.rst", "int f(void) { }\n")]) == [
        ("", "Documentation/x.rst", 0)
    ]


@pytest.fixture(scope="module")
def table():
    with (ROOT / "assets" / "kernel_symbols-6.12.csv").open(newline="") as file:
        return {(row["symbol"], row["file"]): int(row["line"]) for row in csv.DictReader(file)}


@pytest.mark.parametrize(
    ("symbol", "file"),
    [
        ("kvm_tdp_mmu_map", "arch/x86/kvm/mmu/tdp_mmu.c"),
        ("walk_addr", "arch/x86/kvm/mmu/paging_tmpl.h"),
        ("kvm_memslots", "include/linux/kvm_host.h"),
        ("RET_PF_RETRY", "arch/x86/kvm/mmu/mmu_internal.h"),
        ("kvm_mmu_prepare_zap_page", "arch/x86/kvm/mmu/mmutrace.h"),
        ("KVM_MEM_LOG_DIRTY_PAGES", "include/uapi/linux/kvm.h"),
        ("interval_tree_iter_first", "lib/interval_tree.c"),
        ("rb_insert_color", "lib/rbtree.c"),
        ("READ_ONCE", "include/asm-generic/rwonce.h"),
        ("synchronize_srcu_expedited", "kernel/rcu/srcutree.c"),
        ("nx_huge_pages", "arch/x86/kvm/mmu/mmu.c"),
    ],
)
def test_the_table_has_what_the_lessons_talk_about(table, symbol, file):
    assert table[symbol, file] > 0


def test_the_table_is_complete_and_small(table):
    assert len(table) > 15_000
    assert (ROOT / "assets" / "kernel_symbols-6.12.csv").stat().st_size < 1_500_000
