"""A row against its rivals at several radii: as row by row, and corrected together."""

from __future__ import annotations

import pytest

from sam_edu.experiments import comparison, leads, study
from tests.figure_data import tables


@pytest.fixture(scope="module")
def digits():
    return study("digits", seeds=3)


def test_leads_are_those_of_the_rows_and_corrected_together(digits):
    sam, rivals = digits.row("sam", rho=0.4), (digits.row("sgd"), digits.row("at", eps=0.1))
    found = leads.of(sam, rivals, (0.06, 0.1))
    assert [(lead.rival, lead.eps) for lead in found.found] == [
        (r, eps) for r in rivals for eps in (0.06, 0.1)
    ]
    single = [sam.versus(lead.rival, lead.eps) for lead in found.found]
    assert [lead.difference for lead in found.found] == single
    assert [lead.p for lead in found.found] == comparison.holm([one.p for one in single])
    assert [lead.rival.label for lead in found.shown()] == ["SGD", "SGD"]  # AT is ahead of SAM, beyond chance
    assert max(lead.p for lead in found.found) < 0.05 and not found.shown(level=0)


def test_the_table_has_a_line_for_each(digits):
    found = leads.of(digits.row("sam", rho=0.4), [digits.row("sgd")], (0.06, 0.1))
    (table,) = tables(found.table().markup)
    assert list(table) == ["rival", "ε (ℓ∞)", "points", "95 % interval", "p"]
    assert table["rival"] == ["SGD", "SGD"]
    assert table["points"][1] == f"{100 * found.found[1].difference.mean:+.1f}"
    assert table["95 % interval"][1].replace("\xa0", " ") == found.found[1].difference.points()
    assert "SAM ρ=0.4 minus its rivals" in found.table().alt and "these 2 tests" in found.table().alt
    fashion = study("fashion-mnist", seeds=2)
    in_l2 = leads.of(fashion.row("sam", rho=0.2), [fashion.row("sgd")], fashion.radii("l2"), "l2")
    assert "ε (ℓ2)" in in_l2.table().markup
    assert in_l2.found[0].difference == fashion.row("sam", rho=0.2).versus(
        fashion.row("sgd"), fashion.radii("l2")[0], "l2"
    )


def test_leads_that_cannot_be(digits):
    sgd = digits.row("sgd")
    for rivals, radii in (([], [0.1]), ([digits.row("sam", rho=0.4)], [])):
        with pytest.raises(ValueError, match="leads need a rival and a radius at least"):
            leads.of(sgd, rivals, radii)
    with pytest.raises(ValueError, match="SGD is among its own rivals"):
        leads.of(sgd, [sgd], [0.1])
    with pytest.raises(ValueError, match="two rows are called 'SGD'"):
        leads.of(digits.row("sam", rho=0.4), [sgd, sgd.of([0, 1])], [0.1])
