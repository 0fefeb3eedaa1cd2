"""One place knows the methods: entries are whole, and nobody else keeps a list of them."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from sam_edu import objectives, styles
from sam_edu.experiments import RunConfig, protocols, summary
from sam_edu.methods import METHODS, by_objective, drawn, family

ROOT = next(folder for folder in Path(__file__).parents if (folder / "pyproject.toml").exists())
NAMES = {m.make.__name__: m.key for m in reversed(METHODS.values())}  # which method a word means
NAMES |= {word: m.key for m in METHODS.values() for word in (m.name, m.key)}
MANY = 5  # so many methods named side by side are a list of methods


@pytest.mark.parametrize("key", METHODS)
def test_an_entry_makes_its_objective_from_what_it_needs(key: str) -> None:
    method = METHODS[key]
    assert method.key == key and set(method.needs) <= {"rho", "eps", "gamma"} and method.passes >= 1
    radii = {name: 0.25 for name in method.needs if name != "eps"}
    made = method.build(nn.Linear(2, 2), seed=3, **radii)
    assert type(made) is method.make and all(getattr(made, name) == 0.25 for name in radii)
    assert method.perturbs == isinstance(made, objectives.WeightPerturbation) == bool(radii)
    if method.syncs:
        assert method.build(nn.Linear(2, 2), sync=True, **radii).sync  # type: ignore[attr-defined]
    for name in radii:
        with pytest.raises(TypeError, match=f"{re.escape(method.name)} needs .*{name}"):
            method.build(nn.Linear(2, 2), **{n: v for n, v in radii.items() if n != name})
    with pytest.raises(TypeError, match=r"got .*size"):
        method.build(nn.Linear(2, 2), **radii, size=1.0)
    RunConfig(method=key, **{name: 0.1 for name in method.needs})
    for name in {"rho", "eps", "gamma"} - set(method.needs):
        with pytest.raises(ValueError, match="does not fit method"):
            RunConfig(method=key, **{n: 0.1 for n in (*method.needs, name)})


@pytest.mark.parametrize("method", by_objective(), ids=lambda method: method.name)
def test_passes_are_those_that_are_made(method) -> None:
    """Images that go forwards and backwards over ten steps, counted by hooks; backward costs two forward."""
    model = nn.Sequential(nn.Linear(3, 3))
    seen = [0, 0]

    def count(way: int, images: torch.Tensor) -> None:
        seen[way] += len(images)

    def watch(module: nn.Module, given: tuple[torch.Tensor], out: torch.Tensor) -> None:
        count(0, out)
        if out.requires_grad:
            out.register_hook(lambda slope: count(1, slope))

    model.register_forward_hook(watch)
    objective = method.build(model, rho=0.1 if "rho" in method.needs else 0.0, gamma=0.1)
    x, y = torch.randn(20, 3), torch.zeros(20, dtype=torch.long)
    setup = (0, 0)
    for step in range(11):
        if step == 1:  # the first step of SparseSAM makes its mask
            setup = seen[0], seen[1]
        objective.backward(objectives.BatchLoss(model, x, y))
    forward, backward = ((n - s) / 200 for n, s in zip(seen, setup, strict=True))
    assert (forward + 2 * backward) / 3 == pytest.approx(method.passes, abs=0.02)


def test_families_and_figures_are_what_the_entries_say() -> None:
    assert [m.name for m in family()][:2] == ["SAM", "ASAM"] and all(m.needs == ("rho",) for m in family())
    assert len({m.make for m in by_objective()}) == len(by_objective()) >= 9
    assert {m.name for m in family()} <= {m.name for m in drawn()}
    assert all(m.look in styles.STYLES for m in METHODS.values())
    assert METHODS["swa"].averages and not METHODS["swa"].perturbs and METHODS["sam+at"].attacks


def test_ids_and_prices_of_all_runs_are_what_they_were() -> None:
    """Ids of the rows of the first edition, and their gradient passes; rows may be added, none may change."""
    known = json.loads((ROOT / "tests/experiments/run_ids.json").read_text(encoding="utf-8"))
    for name, rows in known.items():
        now = protocols.configs(name, range(2))
        for label, runs in rows.items():
            found = [[c.run_id, c.training_id, summary.gradient_passes(c)] for c in now[label]]
            assert found == runs, f"{name}, {label}"


def _lists(path: Path) -> Iterator[str]:
    """Places where many methods are named side by side: Python literals, JavaScript arrays and objects."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".js":
        for found in re.finditer(r"[\[{][^\[\]{}]*[\]}]", re.sub(r"\[[^\[\]]*\](?=,| \})", "0", text)):
            words = {NAMES[word] for word in re.findall(r"[\w+-]+", found[0]) if word in NAMES}
            if len(words) >= MANY:
                yield f"{path.name}: {sorted(words)}"
        return
    sources = [text]
    if path.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        sources = ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]
    for source in sources:
        try:
            tree = ast.parse(source)
        except SyntaxError:  # a line for the shell
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.List | ast.Tuple | ast.Set):
                parts: list[ast.expr | None] = [*node.elts]
            elif isinstance(node, ast.Dict):
                parts = [*node.keys]
            else:
                continue
            said = [p.value if isinstance(p, ast.Constant) else getattr(p, "id", None) for p in parts]
            words = {NAMES[word] for word in said if isinstance(word, str) and word in NAMES}
            if len(words) >= MANY:
                yield f"{path.name}:{node.lineno}: {sorted(words)}"


def test_no_list_of_methods_outside_methods() -> None:
    """`objectives/__init__.py` says what one can import, `styles.py` how they look; no more lists."""
    files = [*ROOT.glob("sam_edu/**/*.py"), *ROOT.glob("sam_edu/**/*.js"), *ROOT.glob("benchmarks/*.py"),
             *ROOT.glob("notebooks/*.ipynb")]  # fmt: skip
    assert len(files) > 100
    allowed = {ROOT / "sam_edu" / name for name in ("methods.py", "styles.py", "objectives/__init__.py")}
    found = [place for path in sorted(files) if path not in allowed for place in _lists(path)]
    assert not found, found
    assert list(_lists(ROOT / "sam_edu/objectives/__init__.py"))  # the search can find


def _label_parsing(path: Path) -> Iterator[str]:
    """Places that take a label apart, or ask what it begins with, to find out what a row is."""
    text = path.read_text(encoding="utf-8")
    sources = [text]
    if path.suffix == ".ipynb":
        sources = ["".join(c["source"]) for c in json.loads(text)["cells"] if c["cell_type"] == "code"]
    begins = re.compile(rf"({'|'.join(map(re.escape, sorted(NAMES, key=len, reverse=True)))})\b")
    for source in sources:
        try:
            tree = ast.parse(source)
        except SyntaxError:
            continue
        for node in ast.walk(tree):
            found = False
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                words = [c.value for a in node.args for c in ast.walk(a) if isinstance(c, ast.Constant)]
                found = node.func.attr in ("startswith", "removeprefix") and any(
                    isinstance(w, str) and begins.match(w) for w in words
                )
                cuts = node.func.attr in ("split", "partition", "rpartition")
                found |= cuts and getattr(node.func.value, "id", "") in ("label", "labels")
            elif isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In):
                left, right = node.left, node.comparators[0]
                named = isinstance(left, ast.Constant) and left.value in NAMES
                found = named and getattr(right, "id", "") in ("label", "m", "n")
            elif isinstance(node, ast.Subscript) and getattr(node.value, "id", "") == "label":
                found = True
            if found:
                yield f"{path.name}: {ast.unparse(node)}"


def test_nobody_parses_a_label() -> None:
    chapters = [p for p in ROOT.glob("notebooks/*.ipynb") if "study(" in p.read_text(encoding="utf-8")]
    files = [*ROOT.glob("sam_edu/**/*.py"), *chapters]
    found = [place for path in sorted(files) for place in _label_parsing(path)]
    assert not found, found


@pytest.mark.parametrize("line", [
    'label.startswith("SAM ρ")', 'label.split("=")', '"AT" in label', "label[:2]",
    '[m for m in rows if m.startswith(("SAM", "x"))]',
])  # fmt: skip
def test_the_search_for_parsing_sees_what_it_should(line: str, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(line)
    assert list(_label_parsing(tmp_path / "a.py"))
    (tmp_path / "b.py").write_text('name.startswith("ch12"); text.split("="); "AT" in methods; row[:2]')
    assert not list(_label_parsing(tmp_path / "b.py"))


def test_the_search_for_lists_sees_python_and_javascript(tmp_path: Path) -> None:
    for name, text in (
        ("a.py", 'X = {"sam": 1, "asam": 2, "awp": 3, "at": 4, "swa": 5}'),
        ("b.py", "X = [SAM, ASAM, AWP, ESAM, LookSAM]"),
        ("c.js", 'const S = { SGD: ["x", 1], SAM: [2], AT: [3], AWP: ["w", 4], ASAM: [5] };'),
        ("d.js", 'const M = ["SAM", "ASAM", "AWP", "ESAM", "AT"];'),
    ):
        (tmp_path / name).write_text(text)
        assert list(_lists(tmp_path / name)), name
    (tmp_path / "e.py").write_text('X = ["sam", "asam"]')
    assert not list(_lists(tmp_path / "e.py"))


PALETTE = {style.colour.lower() for style in styles.STYLES.values()}


def test_one_palette() -> None:
    """No figure chooses a colour of the palette by itself; the book's style sheet has the same five."""
    files = [p for kind in ("py", "js", "css") for p in ROOT.glob(f"sam_edu/**/*.{kind}")]
    found = [
        f"{p.name}: {colour}"
        for p in files
        if p.name != "styles.py"
        for colour in PALETTE
        if colour in p.read_text(encoding="utf-8").lower()
    ]
    assert not found, found
    book = (ROOT / "book/assets/css/book.css").read_text(encoding="utf-8")
    for name, method in (("sgd", "SGD"), ("sam", "SAM"), ("at", "AT"), ("both", "SAM+AT"), ("awp", "AWP")):
        assert f"--book-{name}: {styles.STYLES[method].colour.lower()};" in book


def test_the_style_sheet_of_the_figures_begins_with_the_palette() -> None:
    sheet = styles.css()
    for style in styles.STYLES.values():
        if style.colour != styles.INK:
            assert f"--se-{style.css}: {style.colour};" in sheet
    assert 'html[data-theme="dark"] .sam-edu' in sheet and styles.look("nothing known") is styles.CONTROL
    assert styles.CONTROL.live == {"css": "se-control", "shape": "circle", "control": True, "dash": "se-thin"}
