"""Numbers in prose: each names its row and quantity, and one that cannot be resolved ends the build."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
from sphinx.errors import ExtensionError

from book._ext.facts import fact
from book._ext.provenance import records_of
from sam_edu.experiments import comparison, facts, load_records, protocols, study, summary


@pytest.fixture(scope="module", autouse=True)
def small() -> None:
    facts._study("cifar10-small", None, False)


SMALL = study("cifar10-small")
SGD, SAM = SMALL.row("sgd"), SMALL.row("sam", rho=0.2)


@pytest.mark.parametrize("text, expected", [
    ("SGD clean", f"{100 * SGD.at(0).mean:.1f}"),
    ("SGD at 2/255", f"{100 * SGD.at(2 / 255).mean:.1f}"),
    ("SGD at 2/255, sd", f"{100 * SGD.at(2 / 255).sd:.1f}"),
    ("SGD at 2/255, min .2f", f"{100 * SGD.values(2 / 255).min():.2f}"),
    ("SAM ρ=0.2 - SGD clean", f"{100 * SAM.minus(SGD, 0).mean:+.1f}"),
    ("SAM ρ=0.2 - SGD, 10 epochs at 2/255, .1f",
     f"{100 * SAM.minus(SMALL.row('sgd', epochs=10), 2 / 255).mean:.1f}"),
    ("SAM ρ=0.2 - SGD at 8/255, spread", SAM.minus(SGD, 8 / 255).percent(signed=True)),
    ("SAM ρ=0.2 - SGD at 2/255, p", f"{SAM.versus(SGD, 2 / 255).p:.3f}"),
    ("SAM ρ=0.2 - SGD at 2/255, interval", SAM.versus(SGD, 2 / 255).points()),
    ("SAM ρ=0.2 - SGD at 2/255, images .2f",
     f"{100 * comparison.image_error(SAM.records, SGD.records, 2 / 255):.2f}"),
    ("SGD training", f"{100 * SGD.training.mean:.1f}"),
    ("SGD eigenvalue, .2f", f"{SGD.eigenvalue:.2f}"),
    ("SAM ρ=0.2 passes, .0f", "2"),
    ("AT ε=2/255 seeds", "3"),
])  # fmt: skip
def test_a_fact_is_the_number_of_the_study(text: str, expected: str) -> None:
    assert facts.resolve(f"cifar10-small: {text}") == expected
    nodes, messages = fact("fact", "", f"cifar10-small: {text}", 1, SimpleNamespace())
    assert [node.astext() for node in nodes] == [expected] and not messages


def test_facts_of_proofs() -> None:
    row = study("digits-certified").row("sam", rho=0.4)
    proved = [sum(record.linf.entry(0.03).proved) / 5 for record in row.records]  # of 500 images, in per cent
    assert facts.resolve("digits-certified: SAM ρ=0.4 proved at 0.03") == f"{sum(proved) / 5:.1f}"
    assert row.proved(0.03).mean <= row.at(0.03).mean
    with pytest.raises(ValueError, match="asked for no proofs"):
        facts.resolve("digits: SAM ρ=0.4 proved at 0.03")


def test_facts_of_classes_and_fewer_seeds() -> None:
    digits = study("digits", 2)
    assert facts.resolve("digits (2 seeds): SGD on 8") == f"{100 * digits.row('sgd').per_class()[8]:.1f}"
    assert facts.resolve("digits (2 seeds): SGD seeds") == "2"
    with pytest.raises(ValueError, match="no class 'shirt'; digits has 0, 1"):
        facts.resolve("digits (2 seeds): SGD on shirt")


def test_facts_of_runs_under_way_take_the_records_that_there_are() -> None:
    fast = study("cifar10-fast-float32", partial=True)
    sgd, sam = fast.row("sgd"), fast.row("sam", rho=0.1)
    assert len(fast) < len(protocols.CIFAR_FAST)  # rows without a record are left out
    said = facts.resolve("cifar10-fast-float32 (so far): SGD seeds")
    assert said == str(len(sgd.records))
    said = facts.resolve("cifar10-fast-float32 (so far): SAM ρ=0.1 - SGD at 2/255, spread")
    common = [seed for seed in sgd.seeds if seed in sam.seeds]
    gains = sam.of(common).values(2 / 255) - sgd.of(common).values(2 / 255)
    assert said == summary.Spread.of(gains).percent(signed=True)
    with pytest.raises(ValueError, match="no row of cifar10-fast-float32 is called 'ASAM ρ=1'"):
        facts.resolve("cifar10-fast-float32 (so far): ASAM ρ=1 clean")
    with pytest.raises(ValueError, match=r'"cifar10-fast-float32 \(so far\)" does'):
        facts.resolve("cifar10-fast-float32: SGD clean")


def test_facts_of_a_whole_protocol() -> None:
    groups = load_records(protocols.configs("digits", range(2)))
    records = [record for group in groups.values() for record in group]
    assert facts.resolve("digits (2 seeds): runs") == str(len(records)) == "40"
    seconds = sum(record.seconds["train"] + record.seconds["evaluate"] for record in records)
    assert facts.resolve("digits: planned") == facts.resolve("digits: runs") == "100"
    assert facts.resolve("digits (2 seeds): planned") == "40"
    assert facts.resolve("cifar10-fast-cpu (2 seeds): planned") == str(2 * len(protocols.CIFAR_FAST))
    rows, single = protocols.CIFAR_FAST, protocols.SINGLE["cifar10-fast-cpu"]
    assert set(single) < set(rows)
    plan = len(single) + 3 * (len(rows) - len(single))  # these have one seed in the plan, the others three
    assert int(facts.resolve("cifar10-fast-cpu (so far): planned")) == plan
    assert int(facts.resolve("cifar10: planned")) == int(facts.resolve("cifar10 (so far): planned"))
    assert int(facts.resolve("cifar10 (so far): planned")) == 3 * len(protocols.PAPER)
    assert facts.resolve("digits (2 seeds): hours, .4f") == f"{seconds / 3600:.4f}"
    assert facts.resolve("digits (2 seeds): hours") == f"{seconds / 3600:.1f}"


@pytest.mark.parametrize("text, message", [
    ("digits: planned, spread", "of planned there is one number of the whole protocol"),
    ("digits (0 seeds): planned", "seeds must be >= 1, got 0"),
    ("digits (1 seed): SGD at 0.1, spread", "one seed has no standard deviation"),
    ("digits (1 seed): SAM ρ=0.4 - SGD at 0.1, spread", "one seed has no standard deviation"),
    ("cifar11: planned", "protocol must be one of"),
    ("cifar11 (2 seeds): planned", "protocol must be one of"),
    ("digits: runs, sd", "of runs there is one number of the whole protocol"),
    ("digits: hours at 0.1", "no row of digits is called 'hours'"),
    ("cifar11: runs", "protocol must be one of"),
    ("cifar10-small: SAM ρ=0.3 at 2/255", "no row of cifar10-small is called 'SAM ρ=0.3'; it has SGD; SAM"),
    ("cifar10-small: SGD at 4/255", "4/255"),
    ("cifar11: SGD clean", "protocol must be one of"),
    ("cifar10-small: SGD", "is no fact; write"),
    ("cifar10-small: SGD clean, median", "unknown form"),
    ("cifar10-small: SGD clean, p", "p belongs to a difference"),
    ("cifar10-small: SAM ρ=0.2 - SGD training", "a mean over the seeds of one row only"),
    ("cifar10-small: SAM ρ=0.2 - SGD eigenvalue", "one number of one row only"),
    ("cifar10-small (9 seeds): SGD clean", "the book has 24 of these 72 runs"),
    ("cifar10-small: SGD on cat", "are named by its files"),
])  # fmt: skip
def test_what_cannot_be_resolved_ends_the_build(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        facts.resolve(text)
    inliner = SimpleNamespace(document=SimpleNamespace(current_source="notebooks/12.ipynb"))
    with pytest.raises(ExtensionError, match=r"notebooks/12\.ipynb, line 7: "):
        fact("fact", "", text, 7, inliner)


def test_a_figure_says_which_records_it_shows() -> None:
    said = '<!-- records: [["digits", 6, 3], ["x", 1, 1]] -->'
    drawing = f'<figure class="se-figure"><svg></svg>{said}</figure>'
    assert records_of(drawing) == [("digits", 6, 3), ("x", 1, 1)]
    live = (
        '<script type="application/vnd.jupyter.widget-view+json">{"model_id": "a", '
        '"records": [["digits", 60, 3]]}</script>'
    )
    assert records_of(live) == [("digits", 60, 3)]
    assert records_of('<figure class="se-figure"></figure>') == []
    assert records_of('<script type="x">{"model_id": "a"}</script>') == []


def test_a_difference_is_over_the_seeds_that_both_rows_have() -> None:
    """The smallest, the largest and the error of the images as well: three seeds of SGD, two of SAM."""
    fast = study("cifar10-fast-float32", partial=True)
    sam, sgd = fast.row("sam", rho=0.1), fast.row("sgd")
    common = [seed for seed in sgd.seeds if seed in sam.seeds]
    assert len(sam.seeds) != len(sgd.seeds) and len(common) > 1
    sam, sgd = sam.of(common), sgd.of(common)
    gains, error = 100 * (sam.values(2 / 255) - sgd.values(2 / 255)), comparison.image_error
    said = "cifar10-fast-float32 (so far): SAM ρ=0.1 - SGD at 2/255, "
    assert facts.resolve(said + "min .3f") == f"{gains.min():.3f}"
    assert facts.resolve(said + "max .3f") == f"{gains.max():.3f}"
    assert facts.resolve(said + "images .4f") == f"{100 * error(sam.records, sgd.records, 2 / 255):.4f}"


def test_a_form_is_kept_or_refused() -> None:
    digits = study("digits", 2)
    sgd, sam = digits.row("sgd"), digits.row("sam", rho=0.4)
    threes = summary.Spread.of([r.linf.clean_per_class[3] for r in sgd.records])
    assert facts.resolve("digits (2 seeds): SGD on 3, sd .2f") == f"{100 * threes.sd:.2f}" != "0.00"
    assert facts.resolve("digits (2 seeds): SGD on 3, spread") == threes.percent()
    at = sgd.at(0.1)
    assert (
        facts.resolve("digits (2 seeds): SGD at 0.1, spread .2f")
        == f"{100 * at.mean:.2f} ± {100 * at.sd:.2f}"
    )
    low, high = sam.versus(sgd, 0.1).interval()
    said = facts.resolve("digits (2 seeds): SAM ρ=0.4 - SGD at 0.1, interval +.2f")
    assert said == f"{100 * low:+.2f} to {100 * high:+.2f}"


@pytest.mark.parametrize("text, message", [
    ("digits (1 seed): SGD at 0.1, sd", "one seed has no standard deviation"),
    ("digits (0 seeds): SGD at 0.1", "seeds must be >= 1, got 0"),
    ("digits (1 seed): SGD at 8/0", "8/0 is no radius"),
])  # fmt: skip
def test_a_number_that_there_is_not(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"{text!r}: {message}")):
        facts.resolve(text)
