"""Compares the notebooks that readers open with what the build has just made.

    python -m book.tools.edition.drift            says what differs; exit status 1 if anything does
    python -m book.tools.edition.drift --save     puts the new ones into notebooks (make outputs)

Text and code must be the same. Outputs are compared as ``nbval`` would, after the substitutions of
tests/nbval.cfg, but for cells with the tag nbval-ignore-output, whose text depends on the machine; in a
chapter that has such cells a number in the text may differ by a twentieth. No text quotes a clock that ran in
its own build. Nothing is executed: the build has done that once, for page and notebook.

A notebook says which maker's processor it was made on. Another maker's adds in another order, and a training
with a turning point in it ends elsewhere: there, words, code and the shape of outputs are compared, numbers
not. The assertions of the chapters hold on both.
"""

from __future__ import annotations

import configparser
import difflib
import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from book.tools import ROOT
from book.tools.edition.cells import WIDGET, source_of, tags_of
from book.tools.edition.text import NUMBER, SIGNED

IGNORE = "nbval-ignore-output"
SKIPPED = {WIDGET, "image/png"}  # names of views differ at every run; pictures depend on the fonts at hand
TRAINED = 0.05


def sanitizers(path: Path = ROOT / "tests/nbval.cfg") -> list[tuple[re.Pattern[str], str]]:
    """What may differ between two runs, and what it is replaced by."""
    config = configparser.RawConfigParser()
    config.read(path)
    return [(re.compile(config[name]["regex"]), config[name]["replace"]) for name in config.sections()]


def shown(cell: dict[str, Any], rules: list[tuple[re.Pattern[str], str]]) -> dict[str, str]:
    """What a cell shows, by kind, as it is compared."""
    found: dict[str, str] = {}
    for output in cell["outputs"]:
        stream = {output.get("name", output["output_type"]): output.get("text", "")}
        for kind, data in output.get("data", stream).items():
            text = "".join(data) if isinstance(data, (str, list)) else str(data)
            if kind not in SKIPPED:
                found[kind] = found.get(kind, "") + text
    for rule, replacement in rules:
        found = {kind: rule.sub(replacement, text) for kind, text in found.items()}
    return found


def compare(saved: dict[str, Any], made: dict[str, Any]) -> Iterator[str]:
    """What differs, one line each."""
    rules = sanitizers()
    loose = any(IGNORE in tags_of(cell) for cell in made["cells"])
    seen = blur if other_processor(saved, made) else str
    if [shape(cell) for cell in saved["cells"]] != [shape(cell) for cell in made["cells"]]:
        yield "it has other cells than the chapter"
        return
    for old, new in zip(saved["cells"], made["cells"], strict=True):
        where = f"cell {new['id']}"
        if new["cell_type"] == "markdown":
            lines = texts(seen(source_of(old)), seen(source_of(new)), TRAINED if loose else None)
            yield from (f"{where}: {line}" for line in lines)
        elif source_of(old) != source_of(new) or old["metadata"] != new["metadata"]:
            yield f"{where}: its code or its tags are not the chapter's"
        elif IGNORE not in tags_of(new):
            before, after = shown(old, rules), shown(new, rules)
            for kind in sorted(before.keys() | after.keys()):
                was, now = before.get(kind, ""), after.get(kind, "")
                if seen(was) != seen(now):
                    yield f"{where} shows other {kind}: {first_difference(was, now)}"


def other_processor(saved: dict[str, Any], made: dict[str, Any]) -> bool:
    """Whether the two were made on processors of different makers; a notebook may not say on which."""
    makers = {notebook.get("metadata", {}).get("made_on") for notebook in (saved, made)}
    return len(makers) == 2 and None not in makers


def blur(text: str) -> str:
    """The text with every number, and its sign, as the same mark."""
    return SIGNED.sub("#", text)


def shape(cell: dict[str, Any]) -> tuple[str, str]:
    return cell["cell_type"], cell["id"]


def texts(old: str, new: str, share: float | None = None) -> Iterator[str]:
    """How two texts differ: in words, or in numbers by more than the ``share`` by which machines differ."""
    if NUMBER.sub("0", old) != NUMBER.sub("0", new):
        yield first_difference(old, new)
        return
    pairs = zip(NUMBER.findall(old), NUMBER.findall(new), strict=True)
    for was, now in pairs:
        if was != now and not (share and close(was, now, share)):
            yield f"{was} is {now} now"


def close(was: str, now: str, share: float) -> bool:
    """Whether two numbers are alike up to a share of the larger one, or five units of the last digit."""
    if "," in was + now or was.count(".") > 1 or now.count(".") > 1:
        return False
    unit = 10.0 ** -len(was.partition(".")[2])
    first, second = float(was), float(now)
    return abs(first - second) <= max(share * max(abs(first), abs(second)), 5 * unit)


def first_difference(old: str, new: str) -> str:
    """The first lines that differ."""
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=0)
    return "; ".join(line[:160] for line in list(lines)[3:5])


def main(arguments: list[str]) -> int:
    made = sorted((ROOT / "_build/edition").glob("*.ipynb"))
    if not made:
        print("no new notebooks in _build/edition: make pages", file=sys.stderr)
        return 2
    if "--save" in arguments:
        for path in made:
            shutil.copyfile(path, ROOT / "notebooks" / path.name)
        print(f"{len(made)} notebooks saved")
        return 0
    problems, elsewhere = [], 0
    for path in made:
        saved, found = ROOT / "notebooks" / path.name, ["it has never been saved"]
        if saved.is_file():
            pair = load(saved), load(path)
            elsewhere += other_processor(*pair)
            found = list(compare(*pair))
        problems += [f"notebooks/{path.name}: {line}" for line in found]
    print("\n".join(problems[:40]) or f"{len(made)} notebooks are what the build makes.")
    if elsewhere:
        print(f"{elsewhere} of them come from another maker's processor: their numbers were not compared.")
    if problems:
        print(f"{len(problems)} differences: if the new results are right, run `make outputs`.")
    return bool(problems)


def load(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
