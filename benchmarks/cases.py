"""What is measured: a step of every objective, PGD-10, an evaluation with restarts, and the import."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.timing import Ratio, peak_bytes, ratios
from sam_edu import attacks, data, models, training
from sam_edu.methods import METHODS, by_objective
from sam_edu.objectives import ERM, ESAM, BatchLoss, LookSAM, SAMOptimizer

RHO, EPS = 0.05, 8 / 255
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")

# How some are measured: without their occasional work (renewing a mask), which `every` makes as rare as one
# likes; Entropy-SGD with SAM's number of passes. LookSAM is measured over its five steps, further down.
MEASURED: dict[str, dict[str, Any]] = {
    "sparse-sam": {"mask": "dynamic", "every": 10**9, "steps": 1},
    "entropy-sgd": {"steps": 2},
}
NAMES = {"entropy-sgd": "EntropySGD L=2"}


def _maker(key: str) -> Callable[[nn.Module], ERM]:
    method, more = METHODS[key], MEASURED.get(key, {})
    rho = {"rho": RHO * method.unit} if method.family else {}
    return lambda model: method.make(model, **rho, **more)


OBJECTIVES: dict[str, Callable[[nn.Module], ERM]] = {
    NAMES.get(method.key, method.name): _maker(method.key)
    for method in by_objective()
    if method.perturbs and method.key != "looksam"
}


@dataclass(frozen=True)
class Case:
    """A model with one batch; ``repeat`` steps make up one timing."""

    name: str
    model: nn.Module
    x: Tensor
    y: Tensor
    repeat: int


def cases(small: bool = False) -> list[Case]:
    """The three models of the benchmark; ``small`` keeps only the quickest."""
    torch.manual_seed(0)
    linear = nn.Sequential(nn.Flatten(), nn.Linear(100, 10))
    plan = [("linear, d = 100, batch 128", linear, (128, 1, 10, 10), 40)]
    if not small:
        plan += [
            ("CNN, 28x28, batch 32", models.small_cnn(1, 10, 16), (32, 1, 28, 28), 12),
            ("PreActResNet width 16, 32x32, batch 16", models.PreActResNet(10, 16), (16, 3, 32, 32), 4),
        ]
    return [
        Case(
            name,
            net.to(DEVICE),
            torch.rand(shape, device=DEVICE),
            torch.randint(0, 10, shape[:1], device=DEVICE),
            repeat,
        )
        for name, net, shape, repeat in plan
    ]


def family(case: Case, rounds: int) -> dict[str, Ratio]:
    """Every objective against an ideal SAM step: two plain forward-backward passes and one optimizer step.

    SAMOptimizer and the peers take two steps by hand, as their documentation says. Entropy-SGD is
    measured with L = 2, which makes its number of passes SAM's.
    """
    from pytorch_optimizer import SAM as PeerSAM

    model, x, y = case.model.train(), case.x, case.y
    settings = {"lr": 1e-3, "momentum": 0.9}
    plain = torch.optim.SGD(model.parameters(), **settings)

    def ideal() -> None:
        for _ in range(2):
            plain.zero_grad()
            cross_entropy(model(x), y).backward()
        plain.step()

    def sgd_twice() -> None:
        for _ in range(2):
            plain.zero_grad()
            cross_entropy(model(x), y).backward()
            plain.step()

    def one_step(objective: ERM) -> Callable[[], None]:
        def work() -> None:
            plain.zero_grad()
            objective.backward(_closure(objective, case))
            plain.step()

        return work

    def five_steps(objective: ERM) -> Callable[[], None]:
        work = one_step(objective)
        return lambda: [work() for _ in range(5)] and None

    def two_step(peer: Any) -> Callable[[], None]:
        def work() -> None:
            cross_entropy(model(x), y).backward()
            peer.first_step(zero_grad=True)
            cross_entropy(model(x), y).backward()
            peer.second_step(zero_grad=True)

        return work

    found = ratios(ideal, {
        **{name: one_step(make(model)) for name, make in OBJECTIVES.items()},
        "SAMOptimizer": two_step(SAMOptimizer(model.parameters(), torch.optim.SGD, RHO, **settings)),
        "pytorch_optimizer": two_step(PeerSAM(model.parameters(), torch.optim.SGD, rho=RHO, **settings)),
        "two SGD steps": sgd_twice,
        "LookSAM k=5": five_steps(LookSAM(model, RHO, k=5)),
    }, rounds, case.repeat)  # fmt: skip
    found["LookSAM k=5"] = found["LookSAM k=5"].divided_by(5)
    return found


def _closure(objective: ERM, case: Case) -> Callable[[], Tensor]:
    """ESAM alone looks at single samples; a plain closure does for the others."""
    if isinstance(objective, ESAM):
        return BatchLoss(case.model, case.x, case.y)
    return lambda: cross_entropy(case.model(case.x), case.y)


def memory(case: Case) -> dict[str, float]:
    """Most memory that one step holds beyond the model itself, in copies of the parameters.

    The sixth step: in its first two an objective keeps a copy of the batch, and LookSAM climbs in each fifth.
    """
    model = case.model.train()
    size = sum(p.numel() * p.element_size() for p in model.parameters())
    found = {}
    for name, make in {"SGD": ERM, **OBJECTIVES, "LookSAM k=5": LookSAM}.items():
        objective = make(model)

        def step(objective: ERM = objective) -> None:
            objective.backward(_closure(objective, case))

        for _ in range(5):
            step()
        model.zero_grad()
        found[name] = peak_bytes(step) / size
    model.zero_grad()
    return found


def pgd10(case: Case, rounds: int) -> dict[str, Ratio]:
    """PGD-10 against ten forward passes with the gradient of the input alone, nothing else."""
    import foolbox
    import torchattacks

    model, x, y = case.model.eval(), case.x, case.y

    def ideal() -> None:
        moved = x
        for _ in range(10):
            moved = moved.detach().requires_grad_()
            torch.autograd.grad(cross_entropy(model(moved), y, reduction="sum"), moved)

    peer = torchattacks.PGD(model, EPS, EPS / 4, 10, random_start=True)
    other = foolbox.attacks.LinfPGD(abs_stepsize=EPS / 4, steps=10, random_start=True)
    wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device=DEVICE)
    found = ratios(
        ideal,
        {
            "sam_edu": lambda: attacks.pgd(model, x, y, EPS),
            "torchattacks": lambda: peer(x, y),
            "foolbox": lambda: other(wrapped, x, y, epsilons=EPS),
        },
        rounds,
        max(2, case.repeat // 4),
    )
    model.zero_grad()
    return found


@dataclass(frozen=True)
class EvaluationCost:
    """Time of attacking every sample every time, divided by ours, and on how many verdicts they differ."""

    speedup: Ratio
    samples: int
    different_verdicts: int
    robust_accuracy: float


def trained(samples: int) -> tuple[nn.Module, Tensor, Tensor]:
    """A small CNN trained on digits for ten epochs, and test images."""
    digits = data.load("digits")
    model = models.build("cnn", digits.shape, 10, seed=0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    training.fit(ERM(model), optimizer, digits.train_x, digits.train_y, 10, 64)
    return model.to(DEVICE), digits.test_x[:samples].to(DEVICE), digits.test_y[:samples].to(DEVICE)


def evaluation(rounds: int, restarts: int = 5, steps: int = 20, samples: int = 500) -> EvaluationCost:
    """PGD with restarts on a trained network, with and without leaving fallen samples alone."""
    (model, x, y), eps = trained(samples), 0.115

    def every_sample_every_time() -> Tensor:
        return _survivors(model, x, y, eps, steps, restarts)

    def ours() -> Tensor:
        attacked = attacks.pgd(
            model, x, y, eps, steps=steps, restarts=restarts, stop_when_fooled=True, generator=_generator()
        )
        with torch.no_grad():
            return (model(x).argmax(1) == y) & (model(attacked).argmax(1) == y)

    verdicts = ours()
    different = int((verdicts != every_sample_every_time()).sum())
    speedup = ratios(ours, {"all": every_sample_every_time}, rounds)["all"]
    return EvaluationCost(speedup, len(x), different, float(verdicts.double().mean()))


def _survivors(model: nn.Module, x: Tensor, y: Tensor, eps: float, steps: int, restarts: int) -> Tensor:
    """The plain way, written out: all samples, all restarts, all steps, from the same starts."""
    generator = _generator()
    ball = attacks.Ball("linf", x, eps, (0.0, 1.0))
    with torch.no_grad():
        standing = model(x).argmax(1) == y
    for _ in range(restarts):
        moved = ball.random_point(generator)
        for _ in range(steps):
            moved = moved.detach().requires_grad_()
            logits = model(moved)
            standing &= logits.argmax(1) == y
            gradient = torch.autograd.grad(cross_entropy(logits, y, reduction="sum"), moved)[0]
            moved = ball.step(moved.detach(), gradient, eps / 4)
        with torch.no_grad():
            standing &= model(moved).argmax(1) == y
    return standing


def _generator() -> torch.Generator:
    return torch.Generator(DEVICE).manual_seed(0)


def import_seconds(tries: int = 3) -> float:
    """Seconds that ``import sam_edu`` with its core modules adds to ``import torch``, best of several."""
    code = (
        "import torch, time; t = time.perf_counter(); "
        "from sam_edu import attacks, objectives, training; print(time.perf_counter() - t)"
    )
    times = []
    for _ in range(tries):
        run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        times.append(float(run.stdout))
    return min(times)
