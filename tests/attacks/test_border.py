"""Models whose slope is 0 at the very border of the range: FGSM and PGD take the one inwards."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import hardtanh, relu

from sam_edu import data
from sam_edu.attacks import FGSM, PGD, fgsm, pgd

BEFORE = {  # none of them changes an image
    "ReLU": relu,
    "ReLU6": lambda v: nn.functional.relu6(6 * v) / 6,
    "hardtanh": lambda v: (hardtanh(2 * v - 1) + 1) / 2,
    "a mask": lambda v: v * (v > 0) * (v < 1) + (v >= 1),
    "where": lambda v: torch.where(v <= 0, 0.0, v),
    "from above": lambda v: 1 - relu(1 - v),
    "threshold": lambda v: nn.functional.threshold(v, 0.0, 0.0),
}
SHIFTED = {"ReLU": lambda v: 2 * relu((v + 1) / 2) - 1, "hardtanh": hardtanh}  # in a box from -1 to 1


@pytest.fixture(scope="module")
def pair():
    """Digits 3 and 8, a linear model of them, and some with pixels that are all black or white."""
    digits = data.load("digits")
    keep = (digits.test_y == 3) | (digits.test_y == 8)
    x, y = digits.test_x[keep][:60].flatten(1), (digits.test_y[keep][:60] == 8).long()
    train = (digits.train_y == 3) | (digits.train_y == 8)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        last = nn.Linear(64, 2)
    optimizer = torch.optim.Adam(last.parameters(), lr=0.01)
    for _ in range(100):
        optimizer.zero_grad()
        labels = (digits.train_y[train] == 8).long()
        nn.functional.cross_entropy(last(digits.train_x[train].flatten(1)), labels).backward()
        optimizer.step()
    return last.requires_grad_(False), torch.cat([x, x.round()]), torch.cat([y, y])


def exact(last, x, y, eps, low=0.0):
    """Which images stand: with two classes each pixel goes to one end of its interval."""
    slope = last.weight[1 - y] - last.weight[y]
    worst = torch.where(slope > 0, (x + eps).clamp(max=1), (x - eps).clamp(min=low))
    return (last(worst).argmax(1) == y).tolist()


@pytest.mark.parametrize("attack", [
    FGSM(0.1), FGSM(0.1, loss="margin"), PGD(0.1), PGD(0.1, steps=20, random_start=False, loss="margin"),
    PGD(0.1, stop_when_fooled=True), PGD(0.1, restarts=2),
])  # fmt: skip
@pytest.mark.parametrize("before", BEFORE)
def test_robust_accuracy_is_the_exact_one(attack, before, pair):
    last, x, y = pair

    def model(v):
        return last(BEFORE[before](v))

    right = exact(last, x, y, 0.1)
    assert (model(attack(model, x, y)).argmax(1) == y).tolist() == right
    assert 0 < sum(right) < sum((last(x).argmax(1) == y).tolist())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("before", SHIFTED)
def test_in_another_box(before, dtype, pair):
    last, x, y = pair[0], 2 * pair[1] - 1, pair[2]
    wide = nn.Linear(64, 2).to(dtype).requires_grad_(False)
    wide.load_state_dict(last.state_dict())
    x = x.to(dtype)
    for attacked in (
        fgsm(lambda v: wide(SHIFTED[before](v)), x, y, 0.2, clip=(-1.0, 1.0)),
        pgd(lambda v: wide(SHIFTED[before](v)), x, y, 0.2, clip=(-1.0, 1.0)),
    ):
        assert (wide(attacked).argmax(1) == y).tolist() == exact(wide, x, y, 0.2, low=-1.0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_in_half_precision(dtype, pair):
    last, x, y = pair
    half = nn.Linear(64, 2).to(dtype).requires_grad_(False)
    half.load_state_dict(last.state_dict())
    first = relu, lambda v: v
    one, other = [fgsm(lambda v, f=f: half(f(v)), x.to(dtype), y, 0.1, loss="margin") for f in first]
    assert torch.equal(one, other)


def test_a_convolution_without_bias_is_at_its_kink_on_black():
    """No ReLU on the image itself, but one on sums of black pixels."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(1, 8, 3, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 2, bias=False)
        ).requires_grad_(False)
    x, y = torch.zeros(4, 1, 8, 8), torch.zeros(4, dtype=torch.long)
    x[:, :, :3, :3] = 0.5
    attacked = fgsm(net, x, y, 0.1)
    assert bool((attacked[:, :, 5:, 5:] != x[:, :, 5:, 5:]).any())


def test_a_pixel_that_reaches_the_border_on_the_way_can_leave_it_again():
    def model(v):
        a, b = relu(v).unbind(1)
        score = 4 * a * (b - 0.5) + 0.1 * b
        return torch.stack([-score, score], 1)

    x, y = torch.tensor([[0.02, 0.3]]), torch.tensor([0])
    attacked = pgd(model, x, y, 0.6, steps=20, step_size=0.1, random_start=False)
    assert attacked[0].tolist() == pytest.approx([0.62, 0.9])


def test_an_ordinary_model_is_asked_no_more_often_and_attacked_as_ever(pair):
    last, x, y = pair
    calls = []

    def counted(v):
        calls.append(len(v))
        return last(v)

    pgd(counted, x, y, 0.1, steps=7)
    assert calls == [len(x)] * 7
    calls.clear()
    pgd(lambda v: counted(v) * 1e4, x, y, 0.1, steps=7)  # saturated: no gradient at all on many images
    assert sum(calls) <= len(x) * 7 + 4 * 16


def test_a_model_may_belong_to_the_rows_of_its_batch():
    """One class of each image's own against another: it cannot be asked about some rows alone."""
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    nn.init.zeros_(plain[1].weight[:, :2])  # pixels without a slope, so that the border is looked at
    x = torch.rand(40, 1, 2, 2).round()
    y = plain(x).argmax(1)

    def duel(z):
        logits = plain(z)
        return torch.stack([logits.gather(1, y[:, None])[:, 0], logits[:, 0]], 1)

    moved = pgd(duel, x, torch.zeros_like(y), 0.3, steps=4, random_start=False)
    assert (moved - x).abs().max() <= 0.3 + 1e-6 and moved.min() >= 0 and moved.max() <= 1
