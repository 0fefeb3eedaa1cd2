"""The descent over linear pieces finds minima that gradient steps jump over; the choice of a split."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sam_edu import attacks
from sam_edu.certify import Region, certify, crown, from_model
from sam_edu.certify.cases import Cases, choose, gaps
from sam_edu.certify.descent import descend
from sam_edu.certify.leaves import lowest_in
from sam_edu.certify.relaxation import differences
from sam_edu.certify.search import Search
from tests.certify.test_bounds import net
from tests.certify.test_verdicts import exact_minimum


def valley(depth: float) -> nn.Module:
    """Two pixels; the margin of class 0 is |a - 0.5| + |b - 0.5| - depth: lowest in the middle of the box."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 2))
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[1.0, 0], [-1, 0], [0, 1], [0, -1]]))
        model[1].bias.copy_(torch.tensor([-0.5, 0.5, -0.5, 0.5]))
        model[3].weight.copy_(torch.tensor([[1.0] * 4, [0.0] * 4]))
        model[3].bias.copy_(torch.tensor([-depth, 0.0]))
    return model.eval()


def test_an_example_in_the_middle_of_the_sides_is_found():
    """PGD with its usual step ends beside the valley, the descent in it, from any corner."""
    model, x, y, eps = valley(1e-4), torch.tensor([[[[0.47, 0.52]]]]), torch.tensor([0]), 0.06
    moved = attacks.pgd(model, x, y, eps, steps=20, loss="margin", generator=torch.Generator().manual_seed(0))
    assert model(moved).argmax() == 0
    network, region = from_model(model, x.shape[1:]), Region.around(x, eps)
    row = torch.tensor([1.0, -1.0]).double()
    for corner in torch.cartesian_prod(*torch.cat([region.low, region.high]).T):
        found = descend(network, row, region, corner, lambda p: bool(row @ network(p[None])[0] < 0))
        assert found is not None and torch.allclose(found, torch.tensor([0.5, 0.5]).double(), atol=1e-4)
    assert certify(model, x, y, eps, cases=1).verdicts() == ["broken"]
    assert certify(valley(-1e-4), x, y, eps, cases=500).verdicts() == ["proved"]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("sizes", [[3, 8, 3], [2, 5, 4, 2]])
def test_a_descent_stops_in_a_minimum_not_below_the_exact_one(sizes, seed):
    """Every point it reaches is in the region; what it visits falls until no neighbour is lower."""
    model, x = net(sizes, seed), torch.rand(1, sizes[0], generator=torch.Generator().manual_seed(seed))
    y, eps = int(model(x).argmax()), 0.4
    lowest, network = exact_minimum(model, x[0], y, eps), from_model(model, x[0].shape)
    region = Region.around(x, eps)
    reached = []
    for other in set(range(sizes[-1])) - {y}:
        row = torch.zeros(sizes[-1]).double()
        row[y], row[other] = 1, -1
        seen: list[float] = []

        def look(point, row=row, seen=seen):
            assert bool((point >= region.low[0]).all() and (point <= region.high[0]).all())
            seen.append(float(row @ network(point[None])[0]))
            return False

        assert descend(network, row, region, x[0].double(), look) is None
        assert seen == sorted(seen, reverse=True)
        reached.append(seen[-1])
    assert lowest - 1e-7 <= min(reached) <= float(model(x).detach()[0].topk(2).values.diff().abs())


def test_a_piece_is_solved_on_the_piece_and_says_which_units_hold_it():
    """|a - 0.5| where a > 0.5: lowest at 0.5, held there by one unit on or its twin off."""
    network, region = from_model(valley(0.0), (1, 1, 2)), Region.around(torch.tensor([[0.52, 0.52]]), 0.06)
    row = torch.tensor([1.0, -1.0]).double()
    piece = lowest_in(network, row, region, torch.tensor([True, False, True, False]))
    assert (
        piece is not None
        and abs(piece.value) < 1e-7
        and torch.allclose(piece.point, torch.full((2,), 0.5).double(), atol=1e-6)
    )
    assert piece.multipliers.view(2, 2).sum(1).tolist() == pytest.approx([1, 1])
    assert lowest_in(network, row, region, torch.tensor([True, True, True, True])) is not None
    elsewhere = Region.around(torch.tensor([[0.9, 0.9]]), 0.06)
    assert lowest_in(network, row, elsewhere, torch.tensor([False, True, True, False])) is None


def test_the_unit_is_chosen_whose_halves_have_the_largest_sum():
    """Against all units by themselves, with bounds that are counted up to what is enough."""
    network = from_model(net([3, 8, 3], 1), (3,))
    region = Region.around(torch.full((2, 3), 0.5), 0.3)
    bounds = crown(network, region)[:-1]
    slopes = [torch.randn(2, 8, generator=torch.Generator().manual_seed(0)).double()]
    costs, zero = gaps(bounds, slopes), torch.zeros(2, dtype=torch.long)
    cases = Cases(torch.arange(2), zero, torch.zeros(2, 8, dtype=torch.int8), torch.zeros(2, 16), zero)
    draw = torch.randn(2, 2, 8, generator=torch.Generator().manual_seed(1))  # image, on or off, unit

    def glance(some: Cases) -> torch.Tensor:
        unit = some.signs.abs().long().argmax(1)
        off = (some.signs.gather(1, unit[:, None])[:, 0] < 0).long()
        return draw[some.image, off, unit]

    chosen = choose(cases, costs, torch.tensor([0.5, 0.5]), glance)
    for image in range(2):
        sums = draw[image].clamp(max=0.5).sum(0)
        sums[costs[image] < 0] = -torch.inf
        assert chosen[image] == (sums.argmax() if (costs[image] >= 0).any() else -1)
    assert (costs >= 0).any() and (
        choose(cases, torch.full((2, 8), -1.0), torch.zeros(2), glance) == -1
    ).all()


def test_the_latest_cases_come_first_and_every_image_has_its_share():
    image = torch.tensor([0, 0, 1, 0, 1, 0, 0])
    cases = Cases(image, *(torch.zeros(7, 1) for _ in range(4)))
    assert cases.latest(4).tolist() == [False, False, True, False, True, True, True]
    assert cases.latest(1).tolist() == [False, False, False, False, True, False, True]


def test_a_search_that_was_stopped_goes_on_where_it_was():
    """In two parts it comes to the verdicts of one, with as many cases for what is proved."""
    draw = torch.Generator().manual_seed(0)
    model, x = net([3, 24, 24, 3], 2), torch.rand(6, 3, generator=draw)
    network, region = from_model(model, (3,)), Region.around(x, 0.3)
    bounds, y = crown(network, region), model(x).argmax(1)

    def search() -> Search:
        none = torch.zeros(6, dtype=torch.bool)
        rows, enough = differences(y, 3)[0], torch.full((6, 2), -0.02)
        return Search(network, rows, bounds[:-1], region, enough, lambda images, points: none[images])

    whole, parts = search(), search()
    at_once = whole.run(4000)
    first = parts.run(5)
    assert 0 < first.sum() < at_once.sum() < 6
    assert parts.run(4000).equal(at_once) and parts.used[at_once].equal(whole.used[at_once])
    closed = search()
    closed.run(5)
    closed.closed[:] = True
    used = closed.used.clone()
    assert not closed.run(4000).any() and closed.used.equal(used)


def test_the_share_that_is_open_counts_splits_and_an_image_with_too_much_of_it_is_given_up():
    """Nothing is lost by it: what is decided has the verdict of the whole search, the rest is undecided."""
    draw = torch.Generator().manual_seed(0)
    model, x = net([4, 40, 40, 3], 2), torch.rand(12, 4, generator=draw)
    y = model(x).argmax(1)
    network, region = from_model(model, (4,)), Region.around(x, 0.35)
    rows, bounds = differences(y, 3)[0], crown(network, region)[:-1]
    none = torch.zeros(12, dtype=torch.bool)
    search = Search(network, rows, bounds, region, torch.zeros(12, 2), lambda images, points: none[images])
    before = torch.ones(12)
    for budget in (1, 20, 100, 400):
        proved = search.run(budget)
        waiting, left = search._waiting, search.left()
        by_hand = [
            sum(0.5 ** int(signs.count_nonzero()) for signs in waiting.signs[waiting.image == i]) / 2
            for i in range(12)
        ]
        assert left.tolist() == pytest.approx(by_hand)
        assert (left <= before + 1e-6).all() and not (left[proved] > 0).any()
        before = left
    patient, hasty = certify(model, x, y, 0.35, cases=400), certify(model, x, y, 0.35, cases=400, give_up=0.0)
    assert (hasty.proved <= patient.proved).all() and (hasty.broken <= patient.broken).all()
    assert int(hasty.cases.sum()) < int(patient.cases.sum())
    lost = patient.proved & ~hasty.proved
    assert lost.any() and (patient.cases[lost] > 100).all()
