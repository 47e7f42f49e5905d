import re

import pytest

from kvmmu_widgets import bundle

BUNDLES = {
    "stepper": bundle.STEPPER_MODULES,
    "predict": ("dom", "predict"),
}


def test_modules_import_only_from_those_before_them():
    for modules in BUNDLES.values():
        for n, name in enumerate(modules):
            text = (bundle.STATIC / f"{name}.js").read_text(encoding="utf-8")
            used = set(re.findall(r'^import .* from "\./(\w+)\.js";$', text, re.MULTILINE))
            assert used <= set(modules[:n]), name


@pytest.mark.parametrize("name", BUNDLES)
def test_the_whole_is_one_module_without_comments(name):
    text = bundle.script(BUNDLES[name])
    assert not re.search(r"^import ", text, re.MULTILINE)
    assert not re.search(r"^\s*(//|/\*)", text, re.MULTILINE)
    assert text.count("export default") == 1


@pytest.mark.parametrize("name", BUNDLES)
def test_nothing_is_declared_twice(name):
    texts = [(bundle.STATIC / f"{part}.js").read_text(encoding="utf-8") for part in BUNDLES[name]]
    pattern = r"^(?:export )?(?:const|let|class|function) (\w+)"
    declared = re.findall(pattern, "\n".join(texts), re.MULTILINE)
    assert len(declared) == len(set(declared))


def test_every_script_of_the_folder_is_in_a_bundle():
    known = {part for modules in BUNDLES.values() for part in modules}
    assert known == {path.stem for path in bundle.STATIC.glob("*.js")}


def test_no_script_makes_markup_from_text():
    for path in bundle.STATIC.glob("*.js"):
        text = path.read_text(encoding="utf-8")
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert word not in text, f"{path.name}: {word}"


def test_nothing_is_fetched_from_outside():
    for path in (*bundle.STATIC.glob("*.js"), *bundle.STATIC.glob("*.css")):
        text = path.read_text(encoding="utf-8")
        for word in ("fetch(", "XMLHttpRequest", "@import", "http://", "url(http"):
            assert word not in text.replace("http://www.w3.org/2000/svg", ""), path.name


def test_it_stays_small():
    # it is stored with every instance in a notebook
    assert len(bundle.script()) < 60_000
    assert len(bundle.style("stepper")) < 40_000


def test_the_palette_comes_first():
    text = bundle.style("stepper")
    assert text.index("--kvmmu-paper") < text.index(".kw-stepper")
