"""Everything public says what it is, and what it stands for in the kernel."""

from tests.laws.kernel_lines import (
    SECTIONS,
    is_kernels,
    is_ours,
    references,
    sections,
    unknown,
)
from tests.laws.source import (
    FUNCTIONS,
    MODEL,
    WIDGETS,
    ast,
    kernel_symbols,
    modules,
    report,
    things,
)

EVERYTHING = (*modules(), *modules(WIDGETS))


def documented():
    """Yield where and the docstring, for every module and every public thing in it."""
    for module in EVERYTHING:
        yield f"{module.path}:1", ast.get_docstring(module.tree) or ""
        for thing in things(module):
            yield str(thing), thing.doc


def test_every_module_and_everything_public_has_a_docstring():
    report(f"{where}: no docstring" for where, doc in documented() if not doc)


def test_what_models_the_kernel_names_it_or_is_ours():
    findings = []
    for module in modules():
        if module.layer not in MODEL or is_ours(ast.get_docstring(module.tree) or ""):
            continue
        for thing in things(module):
            docs = [thing.doc, thing.owner.doc if thing.owner else ""]
            if not any(is_kernels(doc) or is_ours(doc) for doc in docs):
                findings.append(f"{thing}: neither a Kernel: line nor Ours")
    report(findings)


def test_kernel_lines_name_what_the_kernel_has():
    table = kernel_symbols()
    findings = []
    for where, doc in documented():
        for name, text in sections(doc):
            if name != "Kernel:":
                continue
            found = references(text)
            if found is None:
                findings.append(f"{where}: {text!r} is not 'Kernel: symbol, file (v6.12)'")
                continue
            wrong = [unknown(reference, table) for reference in found]
            findings += [f"{where}: {what}" for what in wrong if what]
    report(findings)


def test_sections_stand_in_their_order():
    findings = []
    for where, doc in documented():
        names = [name for name, _ in sections(doc)]
        if names != sorted(names, key=SECTIONS.index):
            findings.append(f"{where}: {' '.join(names)}; the order is {' '.join(SECTIONS)}")
    report(findings)


def snake(name):
    """Return *name* as the kernel would write it.

    >>> snake("MemorySlot"), snake("RetPf")
    ('memory_slot', 'ret_pf')
    """
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


def test_names_are_the_kernels_or_ours():
    everything = "\n".join(sorted({s for found in kernel_symbols().values() for s in found}))
    everything = everything.lower()
    findings = []
    for module in modules():
        if module.layer not in {"virt", "x86"} or is_ours(ast.get_docstring(module.tree) or ""):
            continue
        for thing in things(module):
            if thing.owner or is_ours(thing.doc) or "In v6.1:" in thing.doc:
                continue
            name = thing.name if isinstance(thing.node, FUNCTIONS) else snake(thing.name)
            if name not in everything:
                findings.append(f"{thing}: no kernel symbol contains {name!r}, and it is not Ours")
    report(findings)
