"""Everything that changes while a run trains."""

from __future__ import annotations

import inspect
import time
from dataclasses import asdict
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, update_bn

from sam_edu import attacks, data, models, training
from sam_edu.augmentation import Augmentation
from sam_edu.experiments.config import RunConfig
from sam_edu.experiments.forward import Forward
from sam_edu.experiments.workers import Workers
from sam_edu.fast_net import FastNet
from sam_edu.methods import METHODS


class Training:
    """A run under way; ``to_dict`` and ``load`` carry all that its continuation depends on.

    The images lie on the device from the beginning, and batches are drawn, cropped and mirrored there: no
    step waits for a Python process that decodes images.
    """

    def __init__(self, config: RunConfig, dataset: data.Dataset, workers: Workers | None = None) -> None:
        self.config, self.dataset, self.workers = config, dataset, workers or Workers()
        cuda = torch.cuda.is_available()
        self.device = torch.device("cuda", torch.cuda.current_device()) if cuda else torch.device("cpu")
        torch.backends.cudnn.benchmark = cuda  # all batches have one shape: let it try which code is fastest
        net = models.build(config.model, dataset.shape, len(dataset.classes), config.width, config.seed)
        convolutional = any(isinstance(m, nn.Conv2d) for m in net.modules())
        # the layout that convolutions are fast in, on CPU and GPU
        layout = torch.channels_last if convolutional else torch.contiguous_format
        if isinstance(net, FastNet):
            net.whiten(dataset.train_x)
        self.net: nn.Module = net.to(self.device).to(memory_format=layout)
        self.optimizer = _optimizer(net, config)
        method = METHODS[config.method]
        self.average = AveragedModel(self.net) if method.averages else None
        batches = -(-len(dataset.train_x) // config.batch_size)
        self.schedule: torch.optim.lr_scheduler.LRScheduler
        if config.schedule == "triangle":
            self.schedule = training.triangle_schedule(self.optimizer, config.epochs * batches)
        else:
            drops = () if method.averages else training.MILESTONES
            self.schedule = training.step_schedule(self.optimizer, config.epochs, drops)
        self.objective = method.build(
            self._seen(), config.sync, config.seed, rho=config.rho, gamma=config.gamma
        )
        # a warm start: plain SGD for the first epochs
        self.plain = METHODS["sgd"].build(self._seen()) if config.plain_epochs else None
        self.scaler = torch.amp.GradScaler(self.device.type) if config.precision == "float16" else None
        self.order = torch.Generator().manual_seed(config.seed)
        own = config.seed + 1_000_003 * self.workers.rank  # every worker has random starts of its own
        self.starts = torch.Generator(self.device).manual_seed(own)
        self.flips = torch.Generator(self.device).manual_seed(own)
        self.augment, self.mirrored = None, None
        if config.augment == "shift+alternate":
            self.augment = Augmentation(2, flip=False, generator=self.flips)
            once = torch.Generator().manual_seed(config.seed)  # the same after a continuation
            self.mirrored = (torch.rand(len(dataset.train_x), generator=once) < 0.5).to(self.device)
        elif config.augment != "none":
            pad = 4 if config.augment == "crop+flip" else 0
            self.augment = Augmentation(pad, flip=True, generator=self.flips)
        self.attack = None
        if config.eps > 0:
            self.attack = attacks.PGD(
                config.eps,
                steps=config.attack_steps,
                generator=self.starts,
                step_size=config.attack_step * config.eps,
            )
        # on a GPU in the layout that convolutions are fast in; a CPU spares the copy
        self.x = dataset.train_x
        if cuda:
            self.x = dataset.train_x.to(self.device, memory_format=layout)
        self.y = dataset.train_y.to(self.device)
        if 0 < len(self.x) % config.batch_size < self.workers.count:
            raise ValueError(
                f"the last batch of {len(self.x)} images would leave a worker without any: "
                "choose another batch_size or train_size"
            )
        self.epoch, self.seconds = 0, 0.0
        self.curves: list[dict[str, float]] = []

    @property
    def result(self) -> nn.Module:
        """What is evaluated and kept: the network, or with SWA the one with the averaged weights."""
        return self.net if self.average is None else self.average.module

    def _seen(self) -> nn.Module:
        """The network as the objective sees it."""
        config, model = self.config, self.net
        if config.precision != "float32" or config.compile:
            model = Forward(model, config.precision, config.compile)
        if self.workers.count > 1:
            # BatchNorm's averages travel once an epoch, not with every forward pass; newer torch renamed this
            known = inspect.signature(DistributedDataParallel.__init__).parameters
            name = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
            settings: dict[str, Any] = {name: False}
            model = DistributedDataParallel(model, **settings)
        return model

    def train_epoch(self) -> dict[str, str]:
        """One epoch; returns what the progress bar shows."""
        started, smoothing = time.perf_counter(), self.config.label_smoothing
        every_step = self.config.schedule == "triangle"
        # an image that was mirrored in the last epoch is not in this one: two epochs see both
        odd = self.epoch % 2 == 1
        mirrored = None if self.mirrored is None else self.mirrored ^ odd
        plain = self.plain if self.epoch < self.config.plain_epochs else None
        objective, attack = (plain, None) if plain else (self.objective, self.attack)
        result = asdict(
            training.train_epoch(
                objective,
                self.optimizer,
                self.x,
                self.y,
                self.config.batch_size,
                attack,
                loss_of=partial(cross_entropy, label_smoothing=smoothing),
                augment=self.augment,
                generator=self.order,
                scaler=self.scaler,
                share=(self.workers.rank, self.workers.count),
                mirrored=mirrored,
                after_step=self.schedule.step if every_step else None,
            )
        )
        if self.workers.count > 1:
            result = self._together(result)
        if not every_step:
            self.schedule.step()
        self.epoch += 1
        self._averaged()
        spent = time.perf_counter() - started
        self.seconds += spent
        self.curves.append(result)
        return {
            "loss": f"{result['loss']:.3f}",
            "accuracy": f"{result['accuracy']:.1%}",
            "images/s": f"{len(self.x) / spent:,.0f}",
        }

    def _averaged(self) -> None:
        """SWA: a late epoch's weights join the mean, for which BatchNorm is measured at the end."""
        if self.average is None or self.epoch <= int(training.MILESTONES[0] * self.config.epochs):
            return
        self.average.update_parameters(self.net)
        if self.epoch == self.config.epochs:
            update_bn(self.x.split(self.config.batch_size), self.average)

    def _together(self, part: dict[str, float]) -> dict[str, float]:
        """Sum the workers' parts; the running averages of BatchNorm become the first worker's."""
        for buffer in self.net.buffers():
            torch.distributed.broadcast(buffer, src=0)
        parts = self.workers.gather(part)
        return {name: sum(p[name] for p in parts) for name in part}

    def images_per_second(self) -> float:
        """Training images a second, over all epochs so far."""
        return self.epoch * len(self.x) / max(self.seconds, 1e-9)

    def to_dict(self) -> dict[str, Any]:
        """All of the state; with several workers a joint operation."""
        generators: dict[str, Any] = {"starts": self.starts.get_state(), "flips": self.flips.get_state()}
        if self.workers.count > 1:
            everybody = self.workers.gather(generators)
            generators = {name: [g[name] for g in everybody] for name in generators}
        scaler = {} if self.scaler is None else {"scaler": self.scaler.state_dict()}
        average = {} if self.average is None else {"average": self.average.state_dict()}
        own = self.objective.state_dict()  # LookSAM's direction, masks, generators
        return {
            "epoch": self.epoch, "seconds": self.seconds, "curves": self.curves,
            "model": self.net.state_dict(), "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(), "order": self.order.get_state(),
            "device": self.device.type, **generators, **scaler, **average,
            **({"objective": own} if own else {}),
        }  # fmt: skip

    def load(self, saved: dict[str, Any]) -> None:
        """Go on where ``to_dict`` was called."""
        self.epoch, self.seconds, self.curves = saved["epoch"], saved["seconds"], saved["curves"]
        self.net.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.schedule.load_state_dict(saved["schedule"])
        self.order.set_state(saved["order"])
        if "objective" in saved:
            self.objective.load_state_dict(saved["objective"])
        if self.average is not None:
            self.average.load_state_dict(saved["average"])
        if self.scaler is not None:
            self.scaler.load_state_dict(saved["scaler"])
        if saved.get("device", self.device.type) != self.device.type:
            return  # begun on a GPU, continued on a CPU or the reverse: their random streams differ anyway
        for name, generator in (("starts", self.starts), ("flips", self.flips)):
            if name in saved:
                state = saved[name]
                generator.set_state(state if isinstance(state, Tensor) else state[self.workers.rank])


def _optimizer(net: nn.Module, config: RunConfig) -> torch.optim.SGD:
    trained = [p for p in net.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [{"params": trained}]
    if config.bias_lr != 1:
        # biases and BatchNorm may move faster; their decay per step, lr * weight_decay, stays
        fast = {"lr": config.bias_lr * config.lr, "weight_decay": config.weight_decay / config.bias_lr}
        groups = [
            {"params": [p for p in trained if p.ndim > 1]},
            {"params": [p for p in trained if p.ndim == 1], **fast},
        ]
    return torch.optim.SGD(
        groups, config.lr, config.momentum, weight_decay=config.weight_decay, nesterov=config.nesterov
    )
