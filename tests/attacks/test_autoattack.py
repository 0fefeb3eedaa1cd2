"""The lean FAB-T and Square are AutoAttack's: the same points, no more passes, the same random numbers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sam_edu import _ladder, data, evaluation, models, training
from sam_edu._fit import Fitted
from sam_edu.objectives import ERM
from tests.attacks.test_apgd import Counting

pyautoattack = pytest.importorskip("pyautoattack")
SETTINGS = {"apgd-ce": 5, "apgd-t": 5, "fab-t": 10, "square": 80}


class Holes(nn.Module):
    """Logits that are NaN, or infinite, for some of the images that an attack tries."""

    def __init__(self, model, value):
        super().__init__()
        self.model, self.value = model, value

    def forward(self, x):
        logits = self.model(x)
        broken = (x.detach().flatten(1).sum(1) * 50).floor() % 9 == 0
        return torch.where(broken[:, None] & (torch.arange(10) == 3), self.value, logits)


@pytest.fixture(scope="module")
def cases():
    """Networks with images, some of them wrong, and a radius; one colour to three, wide, high, alone."""
    d = data.load("digits").subset(train=300, test=30)
    trained = {}
    for name, size in (("mlp", {}), ("cnn", {"width": 4})):
        trained[name] = models.build(name, d.shape, 10, seed=0, **size)
        step = torch.optim.SGD(trained[name].parameters(), 0.05, 0.9)
        training.fit(ERM(trained[name]), step, d.train_x, d.train_y, 6, 32)
    found = [(net, d.test_x, d.test_y, eps) for net in trained.values() for eps in (0.02, 0.1, 0.3)]
    found += [(trained["mlp"], d.test_x[i : i + 1], d.test_y[i : i + 1], 0.1) for i in range(2)]
    found += [(Holes(trained["mlp"], value), d.test_x, d.test_y, 0.1) for value in (torch.nan, torch.inf)]
    torch.manual_seed(0)
    for shape in ((3, 6, 9), (2, 9, 5), (1, 1, 7)):
        net = nn.Sequential(nn.Conv2d(shape[0], 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.LazyLinear(6))
        x = torch.rand(12, *shape)
        found += [(net, x, net(x).argmax(1), eps) for eps in (0.001, 0.05)]
    return [(Fitted(net.eval(), x), x, y, eps) for net, x, y, eps in found]


def official(model, x, norm, eps, lean):
    """Two parts of AutoAttack, made short; as the ladder sets them up, or as they are."""
    whole = pyautoattack.AutoAttack(model, norm=norm, eps=eps, seed=3, device=x.device)
    whole.fab.targeted, whole.fab.n_iter, whole.square.n_queries = True, SETTINGS["fab-t"], SETTINGS["square"]
    whole.fab.n_target_classes = 2
    if lean:
        _ladder._lean_loops(whole)
    return {"fab-t": whole.fab, "square": whole.square}


@pytest.mark.parametrize("part", ["fab-t", "square"])
@pytest.mark.parametrize("norm", ["Linf", "L2"])  # l2 is left to the library
def test_equals_autoattack_bit_for_bit(cases, part, norm):
    fell, stood = 0, 0
    for model, x, y, eps in cases if norm == "Linf" else cases[1:2]:
        both = []
        for lean in (False, True):
            seen = Counting(model)
            attack = official(seen, x, norm, eps, lean)[part]
            assert type(attack).__module__.startswith("sam_edu" if lean else "pyautoattack")
            both.append((attack.perturb(x, y), seen))
        (theirs, old), (ours, new) = both
        assert torch.equal(theirs, ours) and new.passes <= old.passes and new.rows <= old.rows
        changed = (ours != x).flatten(1).any(1)
        fell, stood = fell + int(changed.sum()), stood + int((~changed).sum())
    assert norm == "L2" or (fell > 10 and stood > 10)


def test_one_run_finds_the_same_points_beyond_the_radius(cases):
    """What ``perturb`` keeps is a part of what a run returns."""
    for model, x, y, eps in cases[1::3]:
        theirs, ours = (official(model, x, "Linf", eps, lean) for lean in (False, True))
        points, queries = [], []
        for parts in (theirs, ours):
            fab, square = parts["fab-t"], parts["square"]
            fab.target_class = 2
            points.append([fab.attack_single_run(x, y, is_targeted=True)])
            square.init_hyperparam(x)
            torch.manual_seed(7)
            asked, at = square.attack_single_run(x, y)
            points[-1].append(at)
            queries.append(asked)
        assert all(torch.equal(a, b) for a, b in zip(*points, strict=True)) and torch.equal(*queries)


@pytest.mark.parametrize("pixels", [1, 2, 7, 64, 65])
def test_the_projection_is_the_librarys(pixels):
    """Points on the border and inside, weights that are 0 or equal, planes near, far and out of reach."""
    from pyautoattack.fab_projections import projection_linf

    from sam_edu._fab import _onto

    torch.manual_seed(pixels)
    n = 300
    both = (1.4 * torch.rand(2, n, pixels) - 0.2).clamp_(0, 1)
    both[:, ::2] = (4 * both[:, ::2]).round() / 4
    w = torch.randn(n, pixels)
    w[::3] = w[::3].round()
    lead = -w.abs().sum(1) * 10 ** (3 * torch.rand(n) - 3) * torch.randn(n).sign()
    lead[::50] = 0
    b = (w * both[0]).sum(1) - lead
    theirs = projection_linf(both.flatten(0, 1), torch.cat((w, w)), torch.cat((b, b)))
    assert torch.equal(_onto(both, w, lead).flatten(0, 1), theirs)


def test_a_whole_evaluation_does_not_notice(cases, monkeypatch):
    class Short(pyautoattack.AutoAttack):
        def __init__(self, *arguments, **settings):
            super().__init__(*arguments, **settings)
            self.apgd.n_iter, self.apgd_targeted.n_iter = SETTINGS["apgd-ce"], SETTINGS["apgd-t"]
            self.fab.n_iter, self.square.n_queries = SETTINGS["fab-t"], SETTINGS["square"]

    monkeypatch.setattr(pyautoattack, "AutoAttack", Short)
    model, x, y, _ = cases[0]
    ours = evaluation.evaluate(model, x[:12], y[:12], [0.05, 0.1], ladder="standard")
    monkeypatch.setattr(_ladder, "_lean_loops", lambda whole: None)
    theirs = evaluation.evaluate(model, x[:12], y[:12], [0.05, 0.1], ladder="standard")
    assert ours.flags == theirs.flags and ours.clean == theirs.clean
    for a, b in zip(ours.at, theirs.at, strict=True):
        assert a.robust == b.robust
        assert [(r.label, r.accuracy, r.attacked) for r in a.rungs] == [
            (r.label, r.accuracy, r.attacked) for r in b.rungs
        ]
