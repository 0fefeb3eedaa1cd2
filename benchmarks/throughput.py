"""Images a second: the library's loop against the usual DataLoader with PIL transforms.

    python -m benchmarks.throughput [--images 2000] [--width 8] [--rounds 3]

Both train the same PreActResNet with the same SGD on the same images (noise of CIFAR's size: what an image
shows costs nothing), padded, cropped and mirrored at random. Ours keeps them on the device as one tensor;
the usual way keeps bytes, and every image goes through PIL, in the main process or in worker processes.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from sam_edu import models, training
from sam_edu.augmentation import Augmentation
from sam_edu.objectives import ERM

BATCH = 128
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
Epoch = Callable[[], object]


class Images(torch.utils.data.Dataset):
    """Bytes in memory, turned into augmented tensors one by one, as torchvision's data sets do."""

    def __init__(self, pixels: np.ndarray, y: Tensor) -> None:
        from torchvision import transforms

        self.pixels, self.y = pixels, y
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(32, padding=4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
            ]
        )

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        from PIL import Image

        return self.transform(Image.fromarray(self.pixels[i])), self.y[i]


def pipelines(images: int, width: int) -> dict[str, tuple[Epoch, Epoch]]:
    """For each pipeline: an epoch of its batches alone, and an epoch of training."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (images, 32, 32, 3), dtype=np.uint8)
    y = torch.from_numpy(random.integers(0, 10, images))
    x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div(255).to(DEVICE)
    x, labels = x.contiguous(memory_format=torch.channels_last), y.to(DEVICE)
    net = models.build("preact-resnet", (3, 32, 32), 10, width, seed=0)
    net = net.to(DEVICE).to(memory_format=torch.channels_last)
    optimizer, objective = torch.optim.SGD(net.parameters(), 0.01, 0.9), ERM(net)
    augment = Augmentation(4, generator=torch.Generator(DEVICE).manual_seed(0))

    def ours() -> None:
        for chosen in torch.randperm(images).to(DEVICE).split(BATCH):
            augment(x[chosen])

    def ours_training() -> object:
        return training.train_epoch(objective, optimizer, x, labels, BATCH, augment=augment)

    found: dict[str, tuple[Epoch, Epoch]] = {"sam_edu: one tensor": (ours, ours_training)}
    for workers in (0, 2):
        loader = torch.utils.data.DataLoader(
            Images(pixels, y), BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0
        )
        found[f"DataLoader and PIL, {workers} workers"] = _usual(loader, net, optimizer)
    return found


def _usual(
    loader: torch.utils.data.DataLoader, net: torch.nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[Epoch, Epoch]:
    def batches() -> None:
        for x, _ in loader:
            x.to(DEVICE, non_blocking=True)

    def train() -> None:
        net.train()
        for x, y in loader:
            x = x.to(DEVICE, non_blocking=True, memory_format=torch.channels_last)
            optimizer.zero_grad()
            cross_entropy(net(x), y.to(DEVICE)).backward()
            optimizer.step()

    return batches, train


def measure(images: int, width: int, rounds: int) -> dict[str, tuple[float, float]]:
    """Images a second, median over the rounds: batches alone, and training. Wall time: waiting counts."""
    todo = pipelines(images, width)
    times: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in todo}
    for warm in range(rounds + 1):
        for name, epochs in todo.items():
            for seconds, epoch in zip(times[name], epochs, strict=True):
                started = time.perf_counter()
                epoch()
                if DEVICE.type == "cuda":
                    torch.cuda.synchronize()
                if warm:
                    seconds.append(time.perf_counter() - started)
    return {
        name: (images / statistics.median(a), images / statistics.median(b)) for name, (a, b) in times.items()
    }


def table(found: dict[str, tuple[float, float]]) -> str:
    """The measurement as Markdown."""
    lines = ["| pipeline | batches alone, images/s | training, images/s |", "|---|---|---|"]
    return "\n".join(lines + [f"| {name} | {a:,.0f} | {b:,.0f} |" for name, (a, b) in found.items()])


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.throughput",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--width", type=int, default=8, help="of the PreActResNet; 64 on a GPU")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(f"{options.images} images, width {options.width}, {DEVICE.type}, {torch.get_num_threads()} threads")
    print(table(measure(options.images, options.width, options.rounds)))


if __name__ == "__main__":
    main()
