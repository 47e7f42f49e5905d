"""Write the table of kernel symbols that docstrings and lessons refer to.

Usage::

    python assets/make_kernel_symbols.py LINUX_TREE > assets/kernel_symbols-6.12.csv

``LINUX_TREE`` is an unpacked Linux 6.12 (the table in this repository: 6.12.117, as in
Debian's package ``linux-source-6.12``).  The table has one row for each symbol that a file
defines: functions, macros, structs, unions, enums and their constants, typedefs, variables,
tracepoints, and what DEFINE_* macros make.  A function that is only declared has a row if no
file of the table defines it.  A row without a symbol says that the file exists.

It is no C parser: it knows how the kernel writes C (definitions begin in the first column,
``}`` in the first column ends them), which is enough for these files.
"""

import csv
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

#: the files that the engine models or explains
FILES = (
    "virt/kvm/*.[ch]",
    "arch/x86/kvm/*.[ch]",
    "arch/x86/kvm/mmu/*.[ch]",
    "arch/x86/kvm/svm/*.[ch]",
    "arch/x86/kvm/vmx/{vmx,nested,capabilities,vmx_ops}.[ch]",
    "arch/x86/include/asm/{kvm_host,kvm_page_track,kvm-x86-ops,pgtable*,page_types,atomic*}.h",
    "arch/x86/include/asm/{barrier,cmpxchg*,svm,vmx,tlbflush,cpufeatures,qspinlock,qrwlock}.h",
    "arch/x86/include/uapi/asm/kvm.h",
    "arch/x86/mm/{tlb,pgtable}.c",
    "include/asm-generic/{rwonce,barrier,qspinlock,qrwlock,qspinlock_types,qrwlock_types}.h",
    "include/linux/kvm_*.h",
    "include/linux/{rcupdate,rcutree,srcu,srcutree,mutex,mutex_types,lockdep,sched,types}.h",
    "include/linux/{spinlock,spinlock_types,rwlock,rwlock_types,rwlock_api_smp,rcuwait}.h",
    "include/linux/{mmu_notifier,mm,mm_types,huge_mm,hugetlb,pgtable,rmap,ksm,fs,list}.h",
    "include/linux/{rbtree,rbtree_types,rbtree_augmented,interval_tree,interval_tree_generic}.h",
    "include/linux/{hashtable,hash,bitmap,bitops,compiler,wait,kthread,swap,gfp_types,jiffies}.h",
    "include/linux/{highmem,highmem-internal,mman,moduleparam,refcount,xarray,maple_tree}.h",
    "include/asm-generic/{hugetlb,atomic,pgtable-nop4d}.h",
    "include/linux/atomic/atomic-instrumented.h",
    "include/uapi/linux/kvm.h",
    "include/uapi/asm-generic/{mman-common,errno-base}.h",
    "include/uapi/linux/userfaultfd.h",
    "include/trace/events/kvm.h",
    "lib/{rbtree,interval_tree}.c",
    "mm/{gup,rmap,memory,mmu_notifier,huge_memory,mprotect,madvise,mmap,vma,ksm,migrate}.c",
    "mm/{khugepaged,hugetlb,mremap,interval_tree,util,vmscan,pgtable-generic,internal,vma}.[ch]",
    "mm/{page_alloc,mempolicy,shmem,swapfile,swap_state,userfaultfd,truncate,filemap}.c",
    "kernel/{fork,kthread,params,exit,events/core}.c",
    "lib/{xarray,maple_tree,bitmap,find_bit,kstrtox}.c",
    "kernel/{time/timer,vhost_task}.c",
    "kernel/rcu/*.c",
    "kernel/locking/{mutex,qspinlock,qrwlock,spinlock,rwsem,lockdep}.c",
    "kernel/sched/core.c",
    "fs/proc/task_mmu.c",
    "tools/memory-model/Documentation/*.txt",
    "tools/memory-model/*.{bell,cat,def}",
    "tools/testing/selftests/kvm/*.c",
    "tools/testing/selftests/kvm/x86_64/*.c",
    "Documentation/virt/kvm/*.rst",
    "Documentation/virt/kvm/x86/*.rst",
    "Documentation/memory-barriers.txt",
    "Documentation/RCU/*.rst",
    "Documentation/core-api/rbtree.rst",
    "Documentation/mm/{mmu_notifier,transhuge}.rst",
    "Documentation/admin-guide/kernel-parameters.txt",
)

#: here the files are enough: what they define is not what lessons talk about
WITHOUT_SYMBOLS = ("tools/", "Documentation/")


class Symbol(NamedTuple):
    """A name and the line of its definition; *declared* when it is no more than declared."""

    name: str
    line: int
    declared: bool = False


# --- text to statements --------------------------------------------------------------------

_COMMENT_OR_STRING = re.compile(
    r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL
)


def without_comments(text: str) -> str:
    """Return *text* with comments blanked and strings emptied; lines keep their numbers."""

    def blank(match: re.Match[str]) -> str:
        found = match[0]
        return '""' if found[0] in "\"'" else "\n" * found.count("\n") or " "

    return _COMMENT_OR_STRING.sub(blank, text)


class Statement(NamedTuple):
    """A top-level statement: its first line, its head, and what stands in its braces."""

    line: int
    head: str
    body: str


def statements(lines: list[str]) -> Iterator[Statement]:
    """Yield what stands at the top level of C text from which macros were taken out."""
    head: list[str] = []
    body: list[str] = []
    start = depth = 0
    for number, line in enumerate(lines, 1):
        if line.startswith("}"):
            depth = 1  # whatever unbalanced #if branches did before
        for char in line + "\n":
            if char == "}":
                depth = max(0, depth - 1)
            (body if depth else head).append(char)
            if char == "{":
                depth += 1
            if not "".join(head[-1:]).isspace() and not start:
                start = number
            ends_function = char == "}" and not depth and _is_function("".join(head))
            invoked = char == "\n" and not depth and _INVOCATION.fullmatch("".join(head))
            if depth == 0 and (char == ";" or ends_function or (invoked and line.endswith(")"))):
                yield Statement(start, "".join(head), "".join(body))
                head, body, start = [], [], 0


#: a macro that stands for declarations, in a line of its own
_INVOCATION = re.compile(r"\s*[A-Z_0-9]+\s*\([^;{}]*\)\s*")


def _is_function(head: str) -> bool:
    return "(" in head and "=" not in head.split("(", 1)[0] and "typedef" not in head


# --- statements to symbols -----------------------------------------------------------------

_MACRO = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)")
_TAG = re.compile(r"\b(?:struct|union|enum)\s+(\w+)")
_CALL = re.compile(r"(\w+)\s*\(")
_FNAME = re.compile(r"\bFNAME\s*\(\s*(\w+)\s*\)")
#: what stands beside a name and is no name; some take arguments
_ATTRIBUTE = re.compile(
    r"\b(?:__(?:attribute__|must_hold|acquires|releases|printf|section|aligned|cond_acquires"
    r"|assume_aligned|realloc_size|alloc_size|no_sanitize\w*|typeof__|randomize_layout|packed"
    r"|read_mostly|ro_after_init|initdata|init|percpu|rcu|used|weak|refdata|maybe_unused"
    r"|cacheline\w*)|____cacheline\w*|typeof|DECLARE_BITMAP)\b"
    r"(?:\s*\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))?"
)
_BRACKETS = re.compile(r"\[[^]]*\]")
_MAKES_FIRST_ARGUMENT = re.compile(
    r"^\s*(?:static\s+|noinline\s+|notrace\s+)*"
    r"(?:TRACE_EVENT(?:_CONDITION|_FN)?|DECLARE_EVENT_CLASS|DEFINE_(?!EVENT|PER_CPU|FREE|\w*GUARD|CLASS)\w+"
    r"|DECLARE_\w+|LIST_HEAD|BLOCKING_NOTIFIER_HEAD|RAW_NOTIFIER_HEAD|KVM_X86_OP\w*)"
    r"\s*\(\s*(\w+)"
)
_MAKES_SECOND_ARGUMENT = re.compile(
    r"^\s*(?:static\s+)?(?:DEFINE_EVENT(?:_PRINT)?|DEFINE_PER_CPU\w*|DECLARE_PER_CPU\w*"
    r"|RB_DECLARE_CALLBACKS(?:_MAX)?)\s*\(\s*[^,]*,\s*(\w+)"
)
_SYSCALL = re.compile(r"^\s*(?:COMPAT_)?SYSCALL_DEFINE\d\s*\(\s*(\w+)")
_INTERVAL_TREE = re.compile(r"^\s*INTERVAL_TREE_DEFINE\s*\((.*)\)", re.DOTALL)
_NO_SYMBOL = re.compile(
    r"^\s*(?:EXPORT_\w+|MODULE_\w+|module_\w+|early_param|static_assert|BUILD_BUG_ON\w*|core_param"
    r"|\w+_initcall|__setup|ALLOW_ERROR_INJECTION|BTF_\w+|__bpf_\w+|asm|NOKPROBE_SYMBOL)\s*\("
)
_KEYWORDS = {"if", "for", "while", "switch", "return", "sizeof", "defined", "do", "else"}


def macros(text: str) -> Iterator[tuple[int, str]]:
    """Yield line and name of each macro that *text* defines."""
    for number, line in enumerate(text.split("\n"), 1):
        match = _MACRO.match(line)
        if match:
            yield number, match[1]


def without_macros(text: str) -> list[str]:
    """Return the lines of *text*, those of the preprocessor emptied."""
    lines = []
    continued = False
    for line in text.split("\n"):
        directive = continued or line.lstrip().startswith("#")
        continued = directive and line.rstrip().endswith("\\")
        lines.append("" if directive else line)
    return lines


def symbols(text: str) -> list[Symbol]:
    """Return what the C text of a file defines and declares, in order of lines."""
    text = without_comments(text)
    found = [Symbol(name, line) for line, name in macros(text)]
    for statement in statements(without_macros(text)):
        found += _of_statement(statement)
    return sorted(found, key=lambda symbol: symbol.line)


def _of_statement(statement: Statement) -> list[Symbol]:
    line, head, _ = statement
    if _NO_SYMBOL.match(head):
        return []
    made = _made_by_macro(head)
    if made:
        return [Symbol(name, line) for name in made]
    found = list(_tags(statement))
    plain = _FNAME.sub(r"\1", _BRACKETS.sub(" ", _ATTRIBUTE.sub(_same_lines, head)))
    if "typedef" in plain:
        return found + [Symbol(name, line) for name in _typedef_names(plain)]
    before_value = plain.split("=")[0]
    if "(" not in before_value or re.match(r"[^(]*\(\s*\*", before_value):
        return found + [Symbol(name, line) for name in _variables(before_value)]
    call = _CALL.search(plain)
    if call and plain[: call.start()].strip() and call[1] not in _KEYWORDS:
        at = line + _lines_before(plain, call.start(1))
        found.append(Symbol(call[1], at, declared=plain.rstrip().endswith(";")))
    return found


def _same_lines(match: re.Match[str]) -> str:
    return " " + "\n" * match[0].count("\n")


def _lines_before(head: str, position: int) -> int:
    return head[:position].lstrip().count("\n")


def _made_by_macro(head: str) -> list[str]:
    tree = _INTERVAL_TREE.match(head)
    if tree:
        prefix = tree[1].split(",")[-1].strip()
        return [f"{prefix}_{verb}" for verb in ("insert", "remove", "iter_first", "iter_next")]
    for pattern in (_SYSCALL, _MAKES_SECOND_ARGUMENT, _MAKES_FIRST_ARGUMENT):
        match = pattern.match(head)
        if match:
            name = match[1]
            if pattern is _SYSCALL:
                return [f"sys_{name}"]
            is_event = re.match(r"\s*(TRACE|DEFINE)_EVENT", head)
            return [name, f"trace_{name}"] if is_event else [name]
    return []


def _tags(statement: Statement) -> Iterator[Symbol]:
    line, head, body = statement
    if not body:
        return
    before = _ATTRIBUTE.sub(_same_lines, head.split("{")[0])
    if "(" in before or "=" in before:
        return
    match = _TAG.search(before)
    if match:
        yield Symbol(match[1], line)
    if "enum" in before.split():
        yield from _constants(line + head[: head.index("{")].lstrip().count("\n"), body)


def _constants(line: int, body: str) -> Iterator[Symbol]:
    flat = re.sub(r"\([^()]*\)", lambda m: re.sub(r"[^\n]", " ", m[0]), body)
    for item in flat.split(","):
        match = re.match(r"\s*([A-Za-z_]\w*)", item)
        if match:
            yield Symbol(match[1], line + item[: match.start(1)].count("\n"))
        line += item.count("\n")


def _typedef_names(head: str) -> list[str]:
    function = re.search(r"\(\s*\*?\s*(\w+)\s*\)\s*\(", head)
    if function:
        return [function[1]]
    plain = re.search(r"(\w+)\s*(?:\([^()]*\))?\s*;$", head.strip())
    return [plain[1]] if plain else []


def _variables(head: str) -> list[str]:
    pointer = re.search(r"\(\s*\*\s*(?:const\s+)?(\w+)[^()]*\)\s*\(", head)
    if pointer:
        return [pointer[1]]
    words = re.sub(r"\{.*?\}|[;*]", " ", head, flags=re.DOTALL)
    first, *others = words.split(",")
    if len(first.split()) < 2 or _TAG.fullmatch(" ".join(words.split())):
        return []
    return [part.split()[-1] for part in (first, *others) if part.strip()]


# --- the table -------------------------------------------------------------------------------


def expand(pattern: str) -> list[str]:
    """Return the patterns that one with ``{a,b}`` stands for.

    >>> expand("lib/{rbtree,list}.c")
    ['lib/rbtree.c', 'lib/list.c']
    """
    match = re.search(r"\{([^{}]*)\}", pattern)
    if match is None:
        return [pattern]
    head, tail = pattern[: match.start()], pattern[match.end() :]
    return [one for item in match[1].split(",") for one in expand(head + item + tail)]


def files(tree: Path) -> list[str]:
    """Return the files of the table, relative to *tree*."""
    found: set[str] = set()
    for pattern in (one for braced in FILES for one in expand(braced)):
        found |= {path.relative_to(tree).as_posix() for path in tree.glob(pattern)}
    return sorted(found)


def rows(sources: Iterable[tuple[str, str]]) -> list[tuple[str, str, int]]:
    """Return the rows (symbol, file, line) for pairs of file name and text."""
    of_file = {
        name: [] if name.startswith(WITHOUT_SYMBOLS) else symbols(text) for name, text in sources
    }
    defined = {s.name for found in of_file.values() for s in found if not s.declared}
    table = []
    for name, found in of_file.items():
        seen: set[str] = set()
        table.append(("", name, 0))
        for symbol in found:
            if symbol.name in seen or (symbol.declared and symbol.name in defined):
                continue
            seen.add(symbol.name)
            table.append((symbol.name, name, symbol.line))
    return table


def main() -> None:
    """Write the table for the tree named on the command line."""
    if len(sys.argv) != 2 or not Path(sys.argv[1], "virt/kvm").is_dir():
        sys.exit("usage: make_kernel_symbols.py LINUX_TREE > assets/kernel_symbols-6.12.csv")
    tree = Path(sys.argv[1])
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("symbol", "file", "line"))
    sources = ((name, (tree / name).read_text(errors="replace")) for name in files(tree))
    writer.writerows(rows(sources))


if __name__ == "__main__":
    main()
