"""What certificates spare: the standard ladder with and without proofs against AutoAttack itself, one run.

    python -m benchmarks.certified [--images 100] [--eps 0.03 0.06]

For three networks on digits it prints the seconds of the official AutoAttack on all images, those of
``evaluate(ladder="standard", certify=True)`` on the same, and the images on which the verdicts differ; then
the time of CROWN for all images and that of linear programs that give the same bounds.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pyautoattack
import torch
from scipy.optimize import linprog
from torch import Tensor, nn

from sam_edu import attacks, data, models, training
from sam_edu.certify import Region, crown, from_model, lines
from sam_edu.evaluation import evaluate
from sam_edu.objectives import ERM, SAM


def networks() -> dict[str, nn.Module]:
    """SGD, SAM and adversarial training on digits, as in chapter 11."""
    digits, made = data.load("digits"), {}
    for name, objective, attack in (
        ("SGD", ERM, None),
        ("SAM", lambda m: SAM(m, rho=0.4), None),
        ("AT", ERM, attacks.PGD(0.1, steps=3, step_size=0.05)),
    ):
        model = models.build("mlp", digits.shape, 10, seed=0)
        optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9, weight_decay=5e-4)
        training.fit(objective(model), optimizer, digits.train_x, digits.train_y, 60, 64, attack, seed=0)
        made[name] = model.eval()
    return made


def official(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
    """Which images stand after AutoAttack's own run."""
    whole = pyautoattack.AutoAttack(model, norm="Linf", eps=eps, seed=0, device=x.device)
    whole.verbose = False
    moved = whole.run_standard_evaluation(x, y, batch_size=len(x))[0]
    with torch.no_grad():
        return model(moved).argmax(1) == y


def ladder(images: int, radii: list[float]) -> None:
    """Seconds of AutoAttack, of the ladder with proofs, their ratio, and differing verdicts."""
    digits = data.load("digits")
    x, y = digits.test_x[:images], digits.test_y[:images]
    print(f"{'network':8}{'eps':>6}{'AutoAttack, s':>15}{'with proofs, s':>16}{'ratio':>8}{'differ':>8}")
    for name, model in networks().items():
        for eps in radii:
            started = time.process_time()
            stands = official(model, x, y, eps)
            alone, started = time.process_time() - started, time.process_time()
            robust = torch.tensor(evaluate(model, x, y, eps, ladder="standard", certify=True).at[0].robust)
            both = time.process_time() - started
            differ = int((robust != stands).sum())
            print(f"{name:8}{eps:6g}{alone:15.1f}{both:16.1f}{both / alone:8.3f}{differ:8d}", flush=True)


def bounds(images: int, units: int = 20) -> None:
    """CROWN's time for a unit's bound, against a linear program for the same bound."""
    digits = data.load("digits")
    network = from_model(models.build("mlp", digits.shape, 10, seed=0).eval(), digits.shape)
    region = Region.around(digits.test_x[:images], 0.06)
    crown(network, region[torch.arange(2)])
    started = time.process_time()
    found = crown(network, region)
    ours = time.process_time() - started
    low, high = (end[:1] for end in found[0])
    both = lines(low, high)
    below, above, lift = (t[0, 0].numpy() for t in (both.below, both.above, both.lift))
    first, second = network.layers[0], network.layers[1]
    W, b, d = first.weight.numpy(), first.bias.numpy(), first.weight.shape[1]
    eye = np.eye(len(b))
    A = np.vstack([np.hstack([below[:, None] * W, -eye]), np.hstack([-above[:, None] * W, eye])])
    rhs = np.concatenate([-below * b, above * b + lift])
    ends = [*zip(region.low[0].tolist(), region.high[0].tolist(), strict=True), *[(None, None)] * len(b)]
    started, worst = time.process_time(), 0.0
    for j in range(units):
        cost = np.concatenate([np.zeros(d), second.weight[j].numpy()])
        value = linprog(cost, A, rhs, bounds=ends, method="highs").fun + float(second.bias[j])
        worst = max(worst, float(found[1][0][0, j]) - value)
    program = (time.process_time() - started) / units
    per_unit = ours / images / 2 / (len(second.bias) + len(network.layers[2].bias))
    print(
        f"CROWN, {images} images: {ours:.2f} s; for one bound {1e6 * per_unit:.0f} us, by a linear program "
        f"{1e6 * program:.0f} us: 1/{program / per_unit:.0f}; bounds differ by {worst:.1e}"
    )


def main() -> None:
    """Print both comparisons."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--eps", type=float, nargs="+", default=[0.03, 0.06])
    parser.add_argument("--only", choices=("ladder", "bounds"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.only != "ladder":
        bounds(500)
    if options.only != "bounds":
        ladder(options.images, options.eps)


if __name__ == "__main__":
    main()
