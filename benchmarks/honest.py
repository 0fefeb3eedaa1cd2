"""Are the doubts of an evaluation silent about honest models? A table of networks of many families.

python -m benchmarks.honest          some twenty minutes; writes benchmarks/honest.md row by row
python -m benchmarks.honest --quick  prints the first few rows

A run that was stopped goes on after the rows that stand in honest.md; remove the file to begin anew.

Every network is evaluated with the quick ladder: those trained, and those shipped with the book, at three
radii; untrained ones at one of the three, in turn, so that each family meets each. "foretold" is the share of
the change of its margin along straight lines that its gradient foretells, on average over images (1 is
perfect; a flag is raised below 0.9), and "astray" the share of images where more than half is missed (flag:
above 3 %).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from sam_edu import _slope, data, models
from sam_edu._fit import Fitted, by_content
from sam_edu.evaluation import evaluate
from sam_edu.experiments import verify

HERE = Path(__file__).parent
IMAGES, FEW = 40, 24  # of trained and of untrained networks
CLASSES = (2, 3, 1000)
CASES = (("linf", 8 / 255), ("linf", 0.2), ("l2", 1.0))


class Attention(nn.Module):
    """Rows of the image as tokens of a transformer."""

    def __init__(self, shape: torch.Size, classes: int) -> None:
        super().__init__()
        self.embed = nn.Linear(shape[0] * shape[2], 32)
        self.place = nn.Parameter(0.1 * torch.randn(shape[1], 32))
        layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True)
        self.blocks = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.last = nn.Linear(32, classes)

    def forward(self, x: Tensor) -> Tensor:
        rows = self.embed(x.transpose(1, 2).flatten(2)) + self.place
        return self.last(self.blocks(rows).mean(1))  # type: ignore[no-any-return]


class CosineHead(nn.Module):
    """Cosines of features and classes times 16, as in face recognition."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(classes, features))

    def forward(self, h: Tensor) -> Tensor:
        return 16 * nn.functional.linear(nn.functional.normalize(h), nn.functional.normalize(self.weight))


def families(shape: torch.Size, classes: int) -> dict[str, nn.Module]:
    """One network of each family, untrained."""
    pixels = shape.numel()

    def deep(act: type[nn.Module], layers: int = 6) -> nn.Sequential:
        hidden = [layer for _ in range(layers) for layer in (nn.Linear(64, 64), act())]
        return nn.Sequential(nn.Flatten(), nn.Linear(pixels, 64), act(), *hidden, nn.Linear(64, classes))

    def conv(norm: type[nn.Module] | None, pool: nn.Module) -> nn.Sequential:
        middle = [] if norm is None else [norm(16) if norm is nn.BatchNorm2d else norm(4, 16)]
        return nn.Sequential(
            nn.Conv2d(shape[0], 16, 3, padding=1),
            *middle,
            nn.ReLU(),
            pool,
            nn.Flatten(),
            nn.LazyLinear(classes),
        )

    nets = {
        "linear": nn.Sequential(nn.Flatten(), nn.Linear(pixels, classes)),
        "MLP": models.mlp(pixels, classes),
        "deep, GELU": deep(nn.GELU),
        "deep, tanh": deep(nn.Tanh),
        "cosine head": nn.Sequential(nn.Flatten(), nn.Linear(pixels, 64), nn.ReLU(), CosineHead(64, classes)),
        "CNN, BatchNorm": models.small_cnn(shape[0], classes, 8),
        "CNN, no norm, max-pool": conv(None, nn.MaxPool2d(2)),
        "CNN, GroupNorm": conv(nn.GroupNorm, nn.AvgPool2d(2)),
        "PreActResNet": models.PreActResNet(classes, 4, channels=shape[0]),
        "attention": Attention(shape, classes),
        "half precision inside": _Half(models.mlp(pixels, classes)),
    }
    for net in nets.values():
        net(torch.zeros(2, *shape))  # shapes of lazy layers
    return nets


class _Half(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return self.net(x).float()  # type: ignore[no-any-return]


def fit(net: nn.Module, x: Tensor, y: Tensor, steps: int = 150) -> nn.Module:
    """A few hundred steps of Adam; enough to be right on most digits."""
    optimizer = torch.optim.Adam(net.parameters(), lr=0.003)
    generator = torch.Generator().manual_seed(0)
    net.train()
    for _ in range(steps):
        chosen = torch.randint(len(x), (128,), generator=generator)
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x[chosen]), y[chosen]).backward()
        optimizer.step()
    return net.eval()


Case = tuple[str, Callable[[], nn.Module], Tensor, Tensor | None, tuple[int, ...]]


def nets(quick: bool) -> Iterator[Case]:
    """Name, a function that gives the model, images, labels, and the positions in CASES of what is measured.

    Untrained models are right about their own predictions (no labels).
    """
    digits = data.load("digits")
    x, y = digits.test_x[:IMAGES], digits.test_y[:IMAGES]
    every = tuple(range(len(CASES)))
    torch.manual_seed(0)
    for name, net in families(x.shape[1:], 10).items():
        yield f"{name}, trained", lambda net=net: fit(net, digits.train_x, digits.train_y), x, y, every
    if quick:
        return
    for row, classes in enumerate(CLASSES):
        torch.manual_seed(classes)
        for column, (name, net) in enumerate(families(x.shape[1:], classes).items()):
            one = ((row + column) % len(CASES),)
            yield f"{name}, {classes} classes, untrained", net.eval, x[:FEW], None, one
    for run_id in verify.with_weights():
        record, dataset, net = verify.reopened(run_id)
        name = f"shipped: {record.config.model}, {record.config.method}"
        yield name, net.eval, dataset.test_x[:IMAGES], dataset.test_y[:IMAGES], every


def row(name: str, net: nn.Module, x: Tensor, y: Tensor | None, measured: tuple[int, ...]) -> tuple[str, int]:
    """One line of the table, and the number of flags."""
    cells, flags = ["" for _ in CASES], []
    labels = net(x).detach().argmax(1) if y is None else y
    for at in measured:
        norm, eps = CASES[at]
        chosen = x[by_content(x, labels)]
        error = _slope.measure(Fitted(net, x, guarded=False), chosen, eps, norm).error
        flags += evaluate(net, x, labels, eps, norm).flags
        cells[at] = f"{1 - float(error.mean()):.3f}, {float((error > _slope.ASTRAY).double().mean()):.0%}"
    return f"| {name} | {' | '.join(cells)} | {'; '.join(dict.fromkeys(flags)) or 'none'} |", len(flags)


def table(path: Path | None, cases: Iterable[Case]) -> list[str]:
    """The lines of the table; each is written as soon as it is known, and those that stand there are kept."""
    heads = " | ".join(f"{norm}, eps = {eps:.3g}: foretold, astray" for norm, eps in CASES)
    lines = [f"| network | {heads} | flags |", "|---" * (len(CASES) + 2) + "|"]
    known: dict[str, str] = {}
    if path is not None and path.exists():
        old = path.read_text(encoding="utf-8").splitlines()
        known = {line.split(" | ")[0][2:]: line for line in old[2:]} if old[:2] == lines else {}
    print("\n".join(lines), flush=True)
    for name, make, x, y, measured in cases:
        lines.append(known.get(name) or row(name, make(), x, y, measured)[0])
        print(lines[-1], flush=True)
        if path is not None:
            half = path.with_suffix(".half")
            half.write_text("\n".join(lines) + "\n", encoding="utf-8")
            half.replace(path)
    return lines


def main() -> None:
    """Print the table; write it unless it is only a look."""
    parser = argparse.ArgumentParser(description="flags of honest models")
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    table(None if quick else HERE / "honest.md", nets(quick))


if __name__ == "__main__":
    main()
