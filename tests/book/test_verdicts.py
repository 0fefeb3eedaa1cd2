"""Words of verdict mean what the ledger of claims says they mean, and abstracts are called so."""

from __future__ import annotations

import re

import pytest

from book.tools import ROOT
from sam_edu.experiments import flatness, protocols, study

PAGES = [
    *sorted((ROOT / "notebooks").glob("*.md")),
    *sorted((ROOT / "book").glob("*.md")),
    ROOT / "README.md",
]
LEDGER = ROOT / "book/claims.md"
REPRODUCED = re.compile(r"\b(reproduc(?:e[sd]?|ing)|replicat(?:e[sd]?|ing))\b")
EVIDENCE = re.compile(r"\{cite|\{fact\}|\{glue|\bdigits\b|Fashion-MNIST|CIFAR")
FACT = re.compile(r"\{fact\}`([\w-]+)[^`]*`")


def setting_of_the_papers() -> set[str]:
    """Protocols with the papers' network and data of which the book has records."""
    named = {name for name, (base, _) in protocols.PROTOCOLS.items() if base["model"] == "preact-resnet18"}
    return {name for name in named if any(row.records for row in study(name, partial=True))}


def sentences(text: str) -> list[str]:
    """Rows of tables, and sentences of the rest; a line that defines a word in bold is none."""
    text = re.sub(r"```.*?```", "", text, flags=re.S)
    found: list[str] = []
    for block in re.split(r"\n\s*\n|\n(?=[-|:])", text):
        if block.lstrip().startswith("|"):
            found += block.splitlines()
        elif not re.match(r"- \*\*[^*]+\*\*(, \*\*[^*]+\*\*)*: ", block):
            found += re.split(r"(?<=[.?!])\s+(?=[A-Z{])", " ".join(block.split()))
    return found


def overclaims(text: str, own: set[str]) -> list[str]:
    """Sentences that call a result reproduced which was measured on other data than the claim's."""
    said = [s for s in sentences(text) if REPRODUCED.search(s) and EVIDENCE.search(s)]
    return [s for s in said if not (found := set(FACT.findall(s))) or not found <= own]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_reproduced_is_said_of_the_claim_s_own_setting_only(page) -> None:
    assert overclaims(page.read_text(encoding="utf-8"), setting_of_the_papers()) == []


@pytest.mark.parametrize("wrong", [
    "| SAM is robust | {cite:t}`wei2023sam` | **reproduced** | {fact}`fashion-mnist: SGD clean` | here |",
    "| one attack is too few | {cite:t}`croce2020reliable` | **reproduced**, mildly | four models | here |",
    "So the claim is reproduced on digits.",
    "A small network replicates {cite:t}`wei2023sam`.",
    "Reading.\n\nOn CIFAR-10, made small, we\nreproduced it.",
])  # fmt: skip
def test_the_word_for_other_data_would_be_seen(wrong) -> None:
    assert len(overclaims(wrong, {"cifar10"})) == 1


def test_the_word_for_the_own_setting_may_stand() -> None:
    row = "| SAM is robust | {cite:t}`wei2023sam` | **reproduced** | {fact}`cifar10: SGD clean` | here |"
    assert overclaims(row, {"cifar10"}) == [] and overclaims(row, set()) == [row]


def verdicts(text: str) -> set[str]:
    """Words in bold in the third column of the tables of the ledger."""
    rows = [re.split(r"(?<!\\)\|", line) for line in text.splitlines() if line.startswith("| ")]
    return {word for row in rows if len(row) > 4 for word in re.findall(r"\*\*([^*]+)\*\*", row[3] + row[2])}


def test_every_verdict_of_the_ledger_is_explained() -> None:
    text = LEDGER.read_text(encoding="utf-8")
    legend = text[: text.index("\n## ")]
    explained = {
        word
        for line in legend.splitlines()
        if line.startswith("- **")
        for word in re.findall(r"\*\*([^*]+)\*\*", line.split(":")[0])
    }
    assert "holds on other data" in explained
    assert verdicts(text) <= explained


def test_what_chance_may_have_made_is_not_stated_bare() -> None:
    """Once bare in Welcome and chapter 12: the computation leaves each open, so no page may say it."""
    cifar, cnn = study("cifar10-small"), study("fashion-mnist-cnn")
    early, sam = cifar.row("sgd", epochs=10), cifar.row("sam", rho=0.2)
    low, high = early.versus(sam, 2 / 255).interval()
    assert low < 0 < high, "stopping early against SAM on CIFAR-10"
    both = cnn.row("sam", rho=0.2, weight_decay=5e-3).versus(cnn.row("sgd", weight_decay=5e-3), 8 / 255)
    assert both.interval()[1] < 0, "gains that do not add up are no proof that one is the other"
    everywhere = " ".join(" ".join(page.read_text(encoding="utf-8").split()) for page in PAGES)
    for bare in (
        "on CIFAR-10 stopping early gives more",
        "nothing of the gain is SAM's own",
        "gets *less* robust at 2/255",
        "a network that has learned more than enough",
        "flatness does not explain it",
        "leaves both where they were",
    ):
        assert bare.lower() not in everywhere.lower(), bare


def test_no_gain_seen_is_not_no_gain() -> None:
    """Of rho = 0.05 on CIFAR-10 the interval at 1/255 holds gains of several points; pages once said none."""
    cifar = study("cifar10-small")
    small = cifar.row("sam", rho=0.05).versus(cifar.row("sgd"), 1 / 255)
    assert small.interval()[0] < 0 and small.interval()[1] > 0.02
    for page in PAGES:
        text = " ".join(page.read_text(encoding="utf-8").split())
        assert "default ρ gains nothing" not in text and "is *gained* at this ρ" not in text, page.name
        assert "ρ is small and gains nothing" not in text, page.name


def test_an_unknown_attack_is_no_case_for_sam_on_fashion_mnist() -> None:
    """At SAM's price one attack step is ahead at every radius, in l-infinity and in l2, beyond chance."""
    fashion = study("fashion-mnist")
    sam = fashion.row("sam", rho=0.2)
    cheap = fashion.row("at", eps=4 / 255, attack_steps=1, attack_step=1.25)
    assert fashion.cost(cheap) == fashion.cost(sam)
    for norm in ("linf", "l2"):
        for eps in fashion.radii(norm):
            assert cheap.versus(sam, eps, norm).interval()[0] > 0, (norm, eps)
    for page in PAGES:
        text = " ".join(page.read_text(encoding="utf-8").split())
        assert "SAM is for the buyer to whom the attack is unknown" not in text, page.name
        assert "**The threat is unknown, and the budget is two passes**: SAM." not in text, page.name
        assert "for weak attacks partly, for strong ones no" not in text, page.name
        assert "From our measurements: weak attacks, a clean accuracy that must stay" not in text, page.name
    assert min(cheap.minus(sam, eps).mean for eps in (0, 2 / 255)) > 0  # weak attacks, clean accuracy kept


def test_an_interval_that_reaches_zero_is_printed_beside_its_correlation() -> None:
    """Adaptive rise against robustness over the digits networks (chapter 12): -0.4, and 0 is inside."""
    digits = study("digits", seeds=5)
    found = flatness.association(list(digits), 0.1, "adaptive rise", "nothing")
    assert found.low < 0 < found.high
    text = " ".join((ROOT / "notebooks/12_replication_on_two_cores.md").read_text(encoding="utf-8").split())
    assert text.count("just reaches zero") >= 2
    assert "just reaches zero" in LEDGER.read_text(encoding="utf-8")


# --- what is known by its abstract -------------------------------------------------------------------------

BIB = (ROOT / "book/references.bib").read_text(encoding="utf-8")
ABSTRACTS = re.findall(r"@\w+\{(\w+),", BIB[BIB.index("known by their abstracts") :])


def unnamed(text: str) -> list[str]:
    """Blocks that cite a work of which we know the abstract, without saying so."""
    blocks = re.split(r"\n\s*\n|\n(?=- )", text)
    return [b for b in blocks if any(f"`{key}`" in b for key in ABSTRACTS) and "bstract" not in b]


def test_the_list_is_there() -> None:
    assert {"walter2025flatness", "walter2024uncanny", "ma2021linear", "moon2026minor"} <= set(ABSTRACTS)
    everywhere = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert [key for key in ABSTRACTS if f"`{key}`" not in everywhere] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_work_known_by_its_abstract_is_called_so(page) -> None:
    assert unnamed(page.read_text(encoding="utf-8")) == []


def test_a_silent_citation_would_be_seen() -> None:
    assert unnamed("- {cite:t}`moon2026minor` prove it.\n- {cite:t}`ma2021linear`, by the abstract.") != []
