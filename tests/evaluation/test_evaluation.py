"""The ladder: worst case per sample, honest labels, doubts raised where there is reason for doubt."""

from __future__ import annotations

import copy
import json
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from torch import nn

from sam_edu import _ladder, _sanity, attacks, data, evaluation, models, training
from sam_edu.evaluation import evaluate, wilson
from sam_edu.objectives import ERM

RADII = [0.03, 0.06, 0.12]


@pytest.fixture(scope="module")
def trained():
    """A small trained net, its test images (some classified wrongly), and its evaluation."""
    d = data.load("digits").subset(train=400, test=80)
    model = models.build("cnn", d.shape, 10, width=8, seed=0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    training.fit(ERM(model), optimizer, d.train_x, d.train_y, epochs=8, batch_size=32)
    y = d.test_y.clone()
    y[:3] = (y[:3] + 1) % 10  # wrong from the start
    return model, d.test_x, y, evaluate(model, d.test_x, y, RADII)


# --- the record -----------------------------------------------------------------------------------------


def test_record_is_consistent(trained):
    model, x, y, record = trained
    with torch.no_grad():
        clean = model(x).argmax(1) == y
    assert record.n == len(x) == 80 and record.norm == "linf" and record.ladder == "quick"
    assert record.clean_accuracy == float(clean.double().mean()) and 0.7 < record.clean_accuracy < 0.97
    assert [entry.eps for entry in record.at] == RADII
    for entry in record.at:
        assert entry.accuracy == sum(entry.robust) / 80 == record.robust_accuracy(entry.eps)
        assert entry.interval[0] <= entry.accuracy <= entry.interval[1]
        assert entry.rungs[-1].accuracy == entry.accuracy
        robust = torch.tensor(entry.robust)
        assert not (robust & ~clean).any()  # wrong when clean is not robust
        for c in range(10):
            assert entry.per_class[c] == pytest.approx(float(robust[y == c].double().mean()))


def test_monotone_along_the_rungs_and_in_eps(trained):
    record = trained[3]
    before = record.clean_accuracy
    for entry in record.at:
        for rung in entry.rungs:
            assert rung.accuracy <= before and rung.attacked == round(before * 80)
            before = rung.accuracy
    for smaller, larger in zip(record.at, record.at[1:], strict=False):
        assert all(a or not b for a, b in zip(smaller.robust, larger.robust, strict=True))
    assert record.at[-1].accuracy < 0.5 * record.clean_accuracy  # the attacks do attack


def test_every_verdict_is_the_worst_over_the_rungs(trained):
    """Attack every sample with every rung: whoever falls to one of them is not robust."""
    model, x, y, record = trained
    worst = torch.ones(80, dtype=torch.bool)
    for rung in _ladder.build("quick", "linf", 10, 0):
        with torch.no_grad():
            worst &= model(rung.attack(model, x, y, RADII[0])).argmax(1) == y
    # random starts depend on which samples share the batch: verdicts may differ for a sample or two
    assert abs(int(worst.sum()) - sum(record.at[0].robust)) <= 2


def test_labels_carry_steps(trained):
    labels = [rung.label for rung in trained[3].at[0].rungs]
    assert labels == ["FGSM", "PGD-20", "PGD-20 margin", "APGD-CE-20", "APGD-T-20 (9 targets)",
                      "Square (100 queries)"]  # fmt: skip
    assert not any("AutoAttack" in label for label in labels)
    official = [r.label for r in _ladder.build("standard", "linf", 10, 0) if "AutoAttack" in r.label]
    assert official == ["AutoAttack APGD-CE (100 steps)", "AutoAttack APGD-T (100 steps)",
                        "AutoAttack FAB-T (100 steps)", "AutoAttack SQUARE (5000 queries)"]  # fmt: skip
    five = [r.label for r in _ladder.build("standard", "l2", 10, 0)]
    assert "PGD-20 x5" in five and "FGSM" not in five and "Square (100 queries)" not in five


def test_record_survives_json(trained):
    record = trained[3]
    again = evaluation.EvaluationRecord.from_dict(json.loads(json.dumps(record.to_dict())))
    assert again == record and isinstance(again.at[0].interval, tuple)
    assert again.at[0].robust[:3] == [False] * 3  # leading zeros are kept


@given(st.lists(st.booleans(), max_size=70))
def test_verdicts_survive_json(robust):
    entry = evaluation.AtRadius(0.1, 0.5, (0.4, 0.6), [0.5], [], robust)
    record = evaluation.EvaluationRecord(
        len(robust), "linf", "quick", 1.0, (0.9, 1.0), [1.0], [entry], [], 0.0
    )
    assert evaluation.EvaluationRecord.from_dict(json.loads(json.dumps(record.to_dict()))) == record


def test_table_shows_the_ladder_and_the_flags(trained):
    record = trained[3]
    text = record.table()
    assert "n = 80" in text and "eps 0.03" in text and "APGD-T-20" in text and "clean accuracy" in text
    assert text.count("flag: ") == len(record.flags)


def test_radii_that_were_not_measured_are_not_guessed(trained):
    with pytest.raises(KeyError, match=r"measured: 0\.03, 0\.06, 0\.12"):
        trained[3].robust_accuracy(0.05)


def test_one_radius_and_several_in_any_order(trained):
    model, x, y, _ = trained
    x, y = x[:8], y[:8]
    assert evaluate(model, x, y, 0.06).at[0].eps == 0.06
    one, two = evaluate(model, x, y, [0.06, 0.03]), evaluate(model, x, y, [0.03, 0.06])
    assert [e.robust for e in one.at] == [e.robust for e in two.at]
    assert [e.eps for e in one.at] == [0.03, 0.06]
    assert evaluate(model, x, y, torch.tensor([0.03])).at[0].eps == pytest.approx(0.03)


def test_same_seed_same_verdicts(trained):
    model, x, y, record = trained
    assert [e.robust for e in evaluate(model, x, y, RADII).at] == [e.robust for e in record.at]


def test_l2_and_few_classes():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3)).eval()
    x = torch.rand(20, 1, 8, 8)
    y = model(x).argmax(1)
    record = evaluate(model, x, y, [0.05, 0.3], norm="l2")
    assert [r.label for r in record.at[0].rungs] == ["PGD-20", "PGD-20 margin", "APGD-CE-20",
                                                    "APGD-CE-20 scaled", "Square (100 queries)"]  # fmt: skip
    assert record.clean_accuracy == 1.0
    # linear: a sample falls iff its margin is below eps |w_i - w_j|
    w, logits = model[1].weight.detach(), model(x).detach()
    exact = []
    for i in range(20):
        others = [j for j in range(3) if j != y[i]]
        exact.append(min(float((logits[i, y[i]] - logits[i, j]) / (w[y[i]] - w[j]).norm()) for j in others))
    for entry in record.at:  # the box only helps the defender
        assert all(
            robust for robust, distance in zip(entry.robust, exact, strict=True) if distance > entry.eps
        )


# --- cost and side effects ------------------------------------------------------------------------------


class Counting(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model, self.samples, self.largest = model, 0, 0

    def forward(self, x):
        self.samples += len(x)
        self.largest = max(self.largest, len(x))
        return self.model(x)


def test_only_standing_samples_are_attacked(trained, monkeypatch):
    model, x, y, _ = trained
    seen = []
    real = _ladder.build

    def watched(*arguments):
        def spying(rung):
            def attack(m, part, labels, eps):
                with torch.no_grad():
                    seen.append((rung.label, eps, len(part), bool((m(part).argmax(1) == labels).all())))
                return rung.attack(m, part, labels, eps)

            return _ladder.Rung(rung.label, attack)

        return [spying(rung) for rung in real(*arguments)]

    monkeypatch.setattr(_ladder, "build", watched)
    record = evaluate(model, x, y, RADII, batch_size=32)
    by_rung = {}
    for label, eps, n, all_right in seen:
        assert all_right and n <= 32
        by_rung[eps, label] = by_rung.get((eps, label), 0) + n
    for entry in record.at:
        for rung in entry.rungs:
            assert by_rung.get((entry.eps, rung.label), 0) == rung.attacked


def test_it_costs_a_fraction_of_attacking_everybody(trained, monkeypatch):
    model, x, y, _ = trained
    monkeypatch.setattr(_sanity, "flags", lambda *a: [])
    counting = Counting(model)
    record = evaluate(counting, x, y, [0.12])
    everybody = 80 * (2 + 2 * 21 + 22 + 9 * 22 + 100)  # forward passes of the six rungs on all samples
    assert counting.samples < everybody / 3 and record.at[0].accuracy < 0.5


def test_model_and_random_state_are_left_as_found(trained):
    model, x, y, _ = trained
    model = copy.deepcopy(model).train()
    model[1].eval()
    model[0].weight.grad = torch.ones_like(model[0].weight)
    state = {k: v.clone() for k, v in model.state_dict().items()}
    modes, rng = [m.training for m in model.modules()], torch.get_rng_state()
    record = evaluate(model, x[:20], y[:20], 0.05)
    assert all(torch.equal(state[k], v) for k, v in model.state_dict().items())
    assert [m.training for m in model.modules()] == modes and torch.equal(torch.get_rng_state(), rng)
    assert torch.equal(model[0].weight.grad, torch.ones_like(model[0].weight))
    assert all(p.grad is None for p in list(model.parameters())[1:]) and record.n == 20


def test_torchattacks_autoattack_is_never_used(trained, monkeypatch):
    import torchattacks

    def forbidden(*_, **__):
        raise AssertionError("torchattacks.AutoAttack runs 10 steps and is not AutoAttack")

    monkeypatch.setattr(torchattacks, "AutoAttack", forbidden)
    model, x, y, _ = trained
    evaluate(model, x[:10], y[:10], 0.05)


@pytest.mark.slow
def test_the_official_rungs_run():
    """On a linear model and two samples whose distance to the boundary is known exactly."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 4)).eval()
    x = 0.3 + 0.4 * torch.rand(2, 1, 4, 4)
    logits = model(x).detach()
    y, w = logits.argmax(1), model[1].weight.detach()
    exact = [
        min(
            float((logits[i, y[i]] - logits[i, j]) / (w[y[i]] - w[j]).abs().sum())
            for j in range(4)
            if j != y[i]
        )
        for i in range(2)
    ]
    assert max(exact) < 0.3  # the box does not matter
    eps = sum(exact) / 2
    record = evaluate(model, x, y, eps, ladder="standard")
    assert record.at[0].robust == [distance > eps for distance in exact] and len(record.at[0].rungs) == 9


# --- doubts ---------------------------------------------------------------------------------------------


class Outer(nn.Module):
    def __init__(self, model, before=lambda x: x, after=lambda z: z):
        super().__init__()
        self.model, self.before, self.after = model, before, after

    def forward(self, x):
        return self.after(self.model(self.before(x)))


def test_no_doubt_about_a_plain_model(trained):
    assert trained[3].flags == []


def test_saturated_logits_are_flagged(trained):
    model, x, y, _ = trained
    record = evaluate(Outer(model, after=lambda z: z.double().mul(1e3).float()), x, y, 0.03)
    assert any("gradient is exactly 0" in flag for flag in record.flags), record.flags


def test_rounded_inputs_are_flagged(trained):
    model, x, y, _ = trained
    record = evaluate(Outer(model, before=lambda t: (t * 8).round() / 8), x, y, 0.06)
    assert any("gradient is exactly 0" in flag for flag in record.flags)
    assert any("survive an attack" in flag for flag in record.flags)


@pytest.mark.parametrize("norm, eps", [("linf", 8 / 255), ("l2", 1.0)])
def test_a_model_that_knows_one_answer_only_is_no_reason_for_doubt(norm, eps):
    """Untrained networks often name one class for all images; half the range of pixels changes nothing."""
    torch.manual_seed(0)
    x = torch.rand(40, 1, 8, 8)
    layers = [layer for _ in range(6) for layer in (nn.Linear(64, 64), nn.Tanh())]
    model = nn.Sequential(nn.Flatten(), *layers, nn.Linear(64, 3)).eval()
    y = model(x).argmax(1)
    assert len(y.unique()) == 1 and evaluate(model, x, y, eps, norm).flags == []


def test_probabilities_are_flagged(trained):
    model, x, y, _ = trained
    record = evaluate(Outer(model, after=lambda z: z.softmax(1)), x[:30], y[:30], 0.03)
    assert any("look like probabilities" in flag for flag in record.flags)


def test_catastrophic_overfitting_is_flagged(trained, monkeypatch):
    """A model that FGSM does not touch and PGD destroys, here by handing flags a blunt FGSM."""
    model, x, y, _ = trained
    monkeypatch.setattr(_sanity.attacks, "fgsm", lambda model, x, y, eps: x)
    found = _sanity.flags(model, x, y, model(x).detach(), 0.15, "linf", 0, 512, torch.arange(80))
    assert any("catastrophic overfitting" in flag for flag in found)


def test_one_step_that_beats_twenty_is_flagged(trained, monkeypatch):
    model, x, y, _ = trained
    real = attacks.pgd

    def blunt(model, x, *arguments, **settings):  # FGSM is one step of the same function, and stays sharp
        return real(model, x, *arguments, **settings) if settings.get("steps") == 1 else x

    monkeypatch.setattr(_sanity.attacks, "pgd", blunt)
    found = _sanity.flags(model, x, y, model(x).detach(), 0.15, "linf", 0, 512, torch.arange(80))
    assert any("one step beats twenty" in flag for flag in found)


def test_random_models_are_refused(trained):
    model, x, y, _ = trained
    noisy = Outer(model, after=lambda z: z + torch.randn_like(z))
    with pytest.raises(ValueError, match="switch off randomness") as error:
        evaluate(noisy, x, y, 0.03)
    assert "\n" not in str(error.value)


def test_models_that_mix_the_batch_are_refused(trained):
    model, x, y, _ = trained
    with pytest.raises(ValueError, match="with the batch"):
        evaluate(Outer(model, before=lambda t: t - t.mean(0) + 0.2), x, y, 0.03)


def test_attacks_that_leave_their_ball_are_an_error():
    x = torch.full((2, 3), 0.5)
    _sanity.check_in_ball("good", x, x + 0.1, 0.1, "linf")
    for bad, eps, norm in [
        (x + 0.11, 0.1, "linf"),
        (x * math.nan, 0.1, "linf"),
        (x + 0.51, 0.6, "linf"),
        (x + 0.1, 0.1, "l2"),
    ]:
        with pytest.raises(ValueError, match="bad left its ball") as error:
            _sanity.check_in_ball("bad", x, bad, eps, norm)
        assert "\n" not in str(error.value)


# --- Wilson's interval ----------------------------------------------------------------------------------


@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_scipys(case):
    hits, n = case
    exact = binomtest(hits, n).proportion_ci(confidence_level=0.95, method="wilson")
    low, high = wilson(hits, n)
    assert (low, high) == pytest.approx((exact.low, exact.high), abs=1e-6)
    assert 0 <= low <= hits / n <= high <= 1


# --- bad input ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change, hint",
    [
        ({"eps": "0.05"}, "the text '0.05'"),
        ({"eps": math.inf}, "eps must be"),
        ({"batch_size": 0}, "batch_size must be >= 1"),
        ({"eps": [0.1, -0.1]}, "eps must be >= 0"),
        ({"eps": math.nan}, "eps"),
        ({"norm": "l0"}, "'linf', 'l2'"),
        ({"ladder": "slow"}, "'quick', 'standard'"),
        ({"x": lambda x: x * 2}, "models.Normalized"),
        ({"x": lambda x: x * math.nan}, "NaN"),
        ({"y": lambda y: y[:-1]}, "y shape (n,)"),
        ({"y": lambda y: y + 5}, "expected (n, classes)"),
        ({"y": lambda y: y - 1}, "expected (n, classes)"),
        ({"model": lambda m: Outer(m, after=lambda z: z * math.nan)}, "did training diverge?"),
        ({"model": lambda m: Outer(m, after=lambda z: z[:, 0])}, "expected (n, classes)"),
        ({"x": lambda x: x[:0], "y": lambda y: y[:0]}, "no sample"),
    ],
)
def test_bad_input(trained, change, hint):
    model, x, y, _ = trained
    arguments = {"model": model, "x": x[:20], "y": y[:20], "eps": 0.05}
    for name, value in change.items():
        arguments[name] = value(arguments[name]) if callable(value) else value
    with pytest.raises((ValueError, KeyError, TypeError)) as error:
        evaluate(**arguments)
    assert hint in str(error.value) and "\n" not in str(error.value)
