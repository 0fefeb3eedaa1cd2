"""The lean APGD is torchattacks' APGD: the same points, the same passes, the same random numbers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sam_edu import _apgd, _ladder, data, evaluation, models, training
from sam_edu._fit import Fitted
from sam_edu.experiments import verify
from sam_edu.objectives import ERM


class Counting(nn.Module):
    """A model that counts passes, and rows times passes."""

    def __init__(self, model):
        super().__init__()
        self.model, self.passes, self.rows = model, 0, 0

    def forward(self, x):
        self.passes, self.rows = self.passes + 1, self.rows + len(x)
        return self.model(x)


@pytest.fixture(scope="module")
def networks():
    """With images, some of them wrong: those of the records, a convolutional one, an untrained one."""
    found = []
    for run_id in verify.with_weights():
        _, dataset, model = verify.reopened(run_id)
        found.append((model.eval(), dataset.test_x[:20], dataset.test_y[:20]))
    d = data.load("digits").subset(train=300, test=30)
    cnn = models.build("cnn", d.shape, 10, width=4, seed=0)
    training.fit(ERM(cnn), torch.optim.SGD(cnn.parameters(), 0.05, 0.9), d.train_x, d.train_y, 6, 32)
    found.append((cnn.eval(), d.test_x, d.test_y))
    found.append((models.build("mlp", d.shape, 10, seed=0).eval(), d.test_x, d.test_y))
    return [(Fitted(model, x), x, y) for model, x, y in found]


@pytest.mark.parametrize("name", ["APGD", "APGDT"])
@pytest.mark.parametrize(("norm", "eps"), [("Linf", 8 / 255), ("Linf", 0.15), ("L2", 0.5)])
def test_equals_torchattacks_bit_for_bit(networks, name, norm, eps):
    torchattacks = pytest.importorskip("torchattacks")
    fell = 0
    for model, x, y in networks if norm == "Linf" else networks[-2:]:
        both = []
        for module in (torchattacks, _apgd):
            seen = Counting(model)
            torch.manual_seed(5)
            moved = getattr(module, name)(seen, norm, eps, 12, seed=3)(x, y)
            both.append((moved, torch.get_rng_state(), seen))
        (theirs, state, old), (ours, same_state, new) = both
        assert torch.equal(theirs, ours) and torch.equal(state, same_state)
        assert new.passes <= old.passes and new.rows <= old.rows
        fell += int((model(ours).argmax(1) != model(x).argmax(1)).sum())
    assert fell > 0


def test_a_whole_evaluation_does_not_notice(networks, monkeypatch):
    torchattacks = pytest.importorskip("torchattacks")
    pairs = []
    for model, x, y in networks[-2:]:
        ours = evaluation.evaluate(model, x, y, [0.03, 0.1])
        with monkeypatch.context() as patch:
            patch.setattr(_ladder, "_lean", lambda: torchattacks)
            pairs.append((ours, evaluation.evaluate(model, x, y, [0.03, 0.1])))
    for ours, theirs in pairs:
        assert ours.flags == theirs.flags and ours.clean == theirs.clean
        for a, b in zip(ours.at, theirs.at, strict=True):
            assert a.robust == b.robust
            assert [(r.label, r.accuracy, r.attacked) for r in a.rungs] == [
                (r.label, r.accuracy, r.attacked) for r in b.rungs
            ]


def test_ranks_are_kept_only_while_no_image_falls():
    """Two runs of one attack, on other images: the targets are chosen anew."""
    d = data.load("digits").subset(train=100, test=60)
    model = models.build("mlp", d.shape, 10, seed=0).eval()
    attack = _apgd.APGDT(model, "Linf", 0.1, 5, seed=0)
    first, second = (
        (d.test_x[:30], model(d.test_x[:30]).argmax(1)),
        (d.test_x[30:], model(d.test_x[30:]).argmax(1)),
    )
    attack(*first)
    again = attack(*second)
    assert torch.equal(again, _apgd.APGDT(model, "Linf", 0.1, 5, seed=0)(*second))
