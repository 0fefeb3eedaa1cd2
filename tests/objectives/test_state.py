"""A step counts once and its two passes are of one function, whatever holds the state or draws numbers."""

from __future__ import annotations

import collections
import copy
import dataclasses
import functools
import itertools
import random
import types
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, normalize, softplus
from torch.nn.utils import parametrizations, parametrize

from sam_edu.objectives import ASAM, AWP, ERM, ESAM, SAM, BatchLoss, EntropySGD, FisherSAM, LookSAM, SparseSAM
from sam_edu.objectives.randomness import RandomState
from sam_edu.objectives.reach import signature
from sam_edu.objectives.state import LARGE

N, FEATURES, CLASSES = 16, 6, 3
X = torch.randn(N, FEATURES, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 1
Y = torch.randint(CLASSES, (N,), generator=torch.Generator().manual_seed(2))


class HandMade(nn.Module):
    """Running averages by hand; ``how`` is a way to write them that people use."""

    def __init__(self, how):
        super().__init__()
        self.how = how
        self.register_buffer("mean", torch.zeros(8))

    def forward(self, x):
        new = 0.9 * self.mean + 0.1 * x.detach().mean(0)
        if self.how == "in place":
            self.mean.copy_(new)
        elif self.how == "data":
            self.mean.data.mul_(0.5).add_(new.data)
        elif self.how == "data assigned":
            self.mean.data = new
        else:
            self.mean = new
        return x - self.mean


class Writes(nn.BatchNorm1d):
    """A subclass that keeps its averages itself."""

    def forward(self, x):
        mean, var = x.mean(0), x.var(0, unbiased=False)
        with torch.no_grad():
            self.running_mean.lerp_(mean, 0.1)
            self.num_batches_tracked += 1
        return (x - mean) / (var + self.eps).sqrt() * self.weight + self.bias


class Codebook(nn.Module):
    """Vector quantisation with a moving codebook."""

    def __init__(self):
        super().__init__()
        self.register_buffer("codes", torch.linspace(-1, 1, 40).reshape(5, 8))

    def forward(self, x):
        near = torch.cdist(x, self.codes).argmin(1)
        picked = self.codes[near].clone()
        with torch.no_grad():
            for k in near.unique():
                self.codes[k] = 0.8 * self.codes[k] + 0.2 * x[near == k].mean(0)
        return x + (picked - x).detach() + 0.1 * (x - picked) ** 2


class Contrast(nn.Module):
    """MoCo's pattern: a slow copy of the encoder (a frozen parameter) and a queue, moved inside forward."""

    def __init__(self, through_data=False, size=32):
        super().__init__()
        self.fast, self.slow, self.through_data = nn.Linear(8, 8), nn.Linear(8, 8), through_data
        self.slow.requires_grad_(False)
        self.register_buffer("queue", normalize(torch.linspace(-1, 2, 8 * size).reshape(size, 8)))
        self.register_buffer("at", torch.zeros((), dtype=torch.long))

    def forward(self, x):
        with torch.no_grad():
            for slow, fast in zip(self.slow.parameters(), self.fast.parameters(), strict=True):
                if self.through_data:
                    slow.data = slow.data * 0.9 + fast.data * 0.1
                else:
                    slow.mul_(0.9).add_(fast, alpha=0.1)
            keys = normalize(self.slow(x))
        similar = normalize(self.fast(x)) @ torch.cat([keys, self.queue.clone()]).T
        with torch.no_grad():
            at, n = int(self.at), len(x)
            self.queue[at : at + n] = keys
            self.at[()] = (at + n) % len(self.queue)
        return x + similar[:, :8]


class Remembers(nn.Module):
    """Hidden state, counter and history in plain attributes, which are no buffers."""

    def __init__(self):
        super().__init__()
        self.hidden, self.calls, self.history, self.seen = None, 0, [], {}

    def forward(self, x):
        if self.hidden is None:
            self.hidden = torch.zeros_like(x)
        out = torch.tanh(x + 0.5 * self.hidden) * (1 + 0.1 * self.calls)
        self.hidden = out.detach()
        self.calls += 1
        self.history.append(float(out.detach().sum()))
        self.seen[self.calls] = self.hidden
        self.last = out.detach().mean()
        return out


class Teacher(nn.Module):
    """A teacher hidden in a list, so that it is no submodule."""

    def __init__(self):
        super().__init__()
        self.teacher = [nn.BatchNorm1d(8).double()]

    def forward(self, x):
        return x + 0.1 * self.teacher[0](x)


@dataclasses.dataclass(frozen=True)
class Meter:
    total: torch.Tensor
    seen: list


class Slotted:
    __slots__ = ("mean",)

    def __init__(self):
        self.mean = torch.zeros(8, dtype=torch.float64)


class Centre:
    """A layer that is no Module."""

    def __init__(self):
        self.mean = torch.zeros(8, dtype=torch.float64)

    def __call__(self, x):
        self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0)
        return x - self.mean


HOLD = {
    "an array": lambda: np.zeros(8),
    "a list of tensors": lambda: [torch.zeros(8, dtype=torch.float64)],
    "a dictionary of lists": lambda: {"mean": [torch.zeros(8, dtype=torch.float64)]},
    "a namespace": lambda: types.SimpleNamespace(mean=torch.zeros(8, dtype=torch.float64)),
    "a frozen dataclass": lambda: Meter(torch.zeros(8, dtype=torch.float64), []),
    "slots": Slotted,
    "a callable object": Centre,
    "a queue in a counter": lambda: (collections.Counter(), collections.deque(maxlen=2), bytearray(1)),
}


class Keeps(nn.Module):
    """State in what an attribute holds, which stays the same object."""

    def __init__(self, what):
        super().__init__()
        self.what, self.hold = what, HOLD[what]()

    def forward(self, x):
        hold, mean = self.hold, x.detach().mean(0)
        match self.what:
            case "an array":
                hold += 0.1 * mean.numpy()
                return x - torch.from_numpy(hold.copy())
            case "a list of tensors":
                hold[0].lerp_(mean, 0.1)
                return x - hold[0]
            case "a dictionary of lists":
                hold["mean"][0] = hold["mean"][0].lerp(mean, 0.1)
                return x - hold["mean"][0]
            case "a namespace" | "slots":
                hold.mean = hold.mean.lerp(mean, 0.1)
                return x - hold.mean
            case "a frozen dataclass":
                hold.total.add_(mean)
                hold.seen.append(1)
                return x - hold.total / len(hold.seen)
            case "a callable object":
                return hold(x)
        hold[0]["passes"] += 1
        hold[1].append(mean)
        hold[2][0] += 1
        return x - sum(hold[1]) / len(hold[1]) * (hold[0]["passes"] + hold[2][0])


class Flat(nn.Module):
    """All weights are views of one tensor, which is an attribute or a buffer."""

    def __init__(self, buffer):
        super().__init__()
        self.inner = nn.Linear(8, 8).double()
        self.register_buffer("whole", None) if buffer else None
        self.whole = torch.cat([p.detach().flatten() for p in self.inner.parameters()])
        self.inner.weight.data, self.inner.bias.data = self.whole[:64].view(8, 8), self.whole[64:]

    def _apply(self, change, recurse=True):  # .double() would part the views
        return self

    def forward(self, x):
        return self.inner(x)


def observed():
    observer = torch.ao.quantization.MovingAverageMinMaxObserver()

    class Observed(nn.Module):
        def __init__(self):
            super().__init__()
            self.observer = observer

        def forward(self, x):
            low, high = self.observer(x.float()), self.observer.max_val
            return x * (1 + 0.1 * high.double()) + 0 * low

    return Observed()


class Old(nn.Module):
    def __init__(self, apply):
        super().__init__()
        self.inner = apply(nn.Linear(8, 8))

    def forward(self, x):
        return self.inner(x)


MIDDLE = {
    "BatchNorm": lambda: nn.BatchNorm1d(8),
    "BatchNorm, momentum None": lambda: nn.BatchNorm1d(8, momentum=None),
    "InstanceNorm": lambda: nn.Sequential(
        nn.Unflatten(1, (2, 4)), nn.InstanceNorm1d(2, track_running_stats=True), nn.Flatten()
    ),
    "in place": lambda: HandMade("in place"),
    "data": lambda: HandMade("data"),
    "data assigned": lambda: HandMade("data assigned"),
    "new tensor": lambda: HandMade("new tensor"),
    "subclass": lambda: Writes(8),
    "codebook": Codebook,
    "MoCo": Contrast,
    "MoCo through data": lambda: Contrast(True),
    "a large queue": lambda: Contrast(size=4096),
    "plain attributes": Remembers,
    "hidden teacher": Teacher,
    "observer": observed,
    "spectral norm": lambda: parametrizations.spectral_norm(nn.Linear(8, 8)),
    "old spectral norm": lambda: Old(nn.utils.spectral_norm),
    "old weight norm": lambda: Old(nn.utils.weight_norm),
    "orthogonal": lambda: parametrizations.orthogonal(nn.Linear(8, 8)),
    "dropout": lambda: nn.Dropout(0.3),
    **{what: functools.partial(Keeps, what) for what in HOLD},
}


def net(middle):
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        first, between, last = nn.Linear(FEATURES, 8), ANY[middle](), nn.Linear(8, CLASSES)
        return nn.Sequential(first, between, nn.Tanh(), last).double()


def inside(model):
    """All state, as plain numbers: buffers, frozen parameters, attributes."""
    found = {}
    for name, module in model.named_modules():
        for key, value in [*module._buffers.items(), *vars(module).items()]:
            if isinstance(value, torch.Tensor) and not value.requires_grad:
                found[f"{name}.{key}"] = value.clone()
            elif isinstance(value, int | float | str | list | dict) and key not in vars(nn.Module()):
                found[f"{name}.{key}"] = repr(value)
        if isinstance(module, Teacher):
            found["teacher"] = module.teacher[0].running_mean.clone()
    found |= {k: p.detach().clone() for k, p in model.named_parameters() if not p.requires_grad}
    return found


def equal(one, other):
    return one.keys() == other.keys() and all(
        torch.allclose(v, other[k], rtol=1e-12, atol=0) if isinstance(v, torch.Tensor) else v == other[k]
        for k, v in one.items()
    )


ANY = MIDDLE | {"weights in one tensor": lambda: Flat(False), "in one buffer": lambda: Flat(True)}


@pytest.mark.parametrize("middle", ANY)
def test_one_step_is_one_pass_and_both_passes_are_of_one_function(middle):
    """Against two models: the first sees one pass at w, the second one at w + e from the same state."""
    model, rho = net(middle), 0.5
    for step in range(3):
        here, there = net(middle), net(middle)
        for _ in range(step):  # the state after so many passes, by those passes themselves
            for other in (here, there):
                torch.manual_seed(step)
                other(X)
        torch.manual_seed(7)
        trained = [p for p in here.parameters() if p.requires_grad]
        g = torch.autograd.grad(cross_entropy(here(X), Y), trained)
        norm = torch.sqrt(sum((part**2).sum() for part in g))
        moving = [p for p in there.parameters() if p.requires_grad]
        with torch.no_grad():
            for p, part in zip(moving, g, strict=True):
                p += rho * part / norm
        torch.manual_seed(7)
        expected = torch.autograd.grad(cross_entropy(there(X), Y), moving)
        model.zero_grad()
        torch.manual_seed(7)
        SAM(model, rho).backward(lambda: cross_entropy(model(X), Y))
        assert equal(inside(model), inside(here)), (inside(model), inside(here))
        got = [p.grad for p in model.parameters() if p.requires_grad]
        assert all(torch.allclose(a, b, rtol=1e-9, atol=1e-12) for a, b in zip(got, expected, strict=True))


@pytest.mark.parametrize("middle", ["in place", "codebook", "MoCo", "plain attributes", "InstanceNorm"])
@pytest.mark.parametrize("make", [
    lambda m: ASAM(m, 0.5), lambda m: AWP(m, 0.1), lambda m: FisherSAM(m, 0.5), lambda m: ESAM(m, 0.5),
    lambda m: LookSAM(m, 0.5, k=2), lambda m: SparseSAM(m, 0.5, mask="dynamic", steps=9),
    lambda m: EntropySGD(m, 0.5, steps=1),
])  # fmt: skip
def test_every_member_counts_once(middle, make):
    model, reference = net(middle), net(middle)
    objective = make(model)
    if middle == "plain attributes" and isinstance(objective, ESAM):
        pytest.skip("its hidden state is that of a whole batch")
    for _ in range(3):
        objective.backward(BatchLoss(model, X, Y))
        reference(X)
    assert equal(inside(model), inside(reference))


def test_notes_that_start_to_change_later():
    """Nothing tells that a list has changed: what is small is kept in any case."""

    class Warm(nn.Linear):
        notes, on = None, False

        def forward(self, x):
            if self.notes is None:
                self.notes = {"seen": [], "mean": np.zeros(2)}
            if self.on:
                self.notes["seen"].append(1)
                self.notes["mean"] += 1
            return super().forward(x)

    model = Warm(2, 2)
    objective = SAM(model)
    for on in (False, False, True, True):
        model.on = on
        objective.backward(lambda: model(torch.ones(3, 2)).square().mean())
    assert model.notes["seen"] == [1, 1] and model.notes["mean"].tolist() == [2, 2]


def test_a_vocabulary_is_not_copied_at_every_step():
    model = nn.Sequential(nn.Linear(2, 2), Keeps("a list of tensors"))
    model[1].hold = {"words": {str(i): i for i in range(1000)}, "array": np.zeros(10**5)}
    model[1].forward = lambda x: x
    objective = SAM(model)
    for kept in (2, 0):
        held = objective._state.before().kept
        assert len(held.holders) == kept and len(held.copies) == kept // 2
        objective.backward(lambda: model(torch.ones(3, 2)).square().mean())


def test_what_hangs_on_a_module_without_being_its_own_is_left_alone():
    import logging

    class Logs(nn.Linear):
        def __init__(self):
            super().__init__(2, 2)
            self.logger = logging.Logger("own")
            self.handler = self.logger.addHandler(logging.NullHandler())

        def forward(self, x):
            self.logger.handlers.append(logging.NullHandler())
            return super().forward(x)

    model = Logs()
    SAM(model).backward(lambda: model(torch.ones(3, 2)).square().mean())
    assert len(model.logger.handlers) == 3


def test_state_that_starts_to_move_later():
    """Frozen in eval mode at first."""
    model = nn.Sequential(
        nn.Linear(FEATURES, 8), MIDDLE["InstanceNorm"](), HandMade("in place"), nn.Linear(8, CLASSES)
    ).double()
    model[1].eval()
    objective, plain = SAM(model, 0.5), copy.deepcopy(model)
    for step in range(4):
        if step == 2:
            model[1].train(), plain[1].train()
        objective.backward(lambda: cross_entropy(model(X), Y))
        plain(X)
        assert equal(inside(model), inside(plain))


def counts(*modules):
    return [int(b) for m in modules for name, b in m.named_buffers() if "num_batches" in name]


def test_modules_outside_the_objectives_model():
    """A discriminator, a backbone: found by the closure's variables, in whatever they lie."""
    first = nn.Sequential(nn.Linear(FEATURES, 8), nn.BatchNorm1d(8)).double()
    second = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Linear(8, CLASSES)).double()

    def helper():
        return cross_entropy(second(first(X)), Y)

    class Trainer:
        def __init__(self):
            self.nets = {"backbone": first, "head": [second]}

        def loss(self):
            return cross_entropy(self.nets["head"][0](self.nets["backbone"](X)), Y)

    trainer = Trainer()
    closures = [
        helper, lambda: helper(), trainer.loss, lambda: trainer.loss(),
        BatchLoss(lambda x: second(first(x)), X, Y), lambda: softplus(-second(first(X))).mean(),
    ]  # fmt: skip
    objectives = [SAM(first), SAM(second)]
    for step, closure in enumerate(closures * 2, 1):
        objectives[step % 2].backward(closure)
        assert counts(first, second) == [step, step]


def through_the_global_backbone():
    return 0 * backbone(X).mean()  # noqa: F821


@pytest.mark.parametrize("how", ["itself", "a helper", "a loss"])
def test_a_network_behind_a_global_name_that_is_bound_anew(how, monkeypatch):
    """The same code, the same cells: only the name means another network, as after a cell is run again."""
    names = globals()
    model = nn.Sequential(nn.Linear(FEATURES, 8), nn.BatchNorm1d(8), nn.Linear(8, CLASSES)).double()
    objective = SAM(model)
    closure = {
        "itself": lambda: cross_entropy(model(X), Y) + 0 * backbone(X).mean(),  # noqa: F821
        "a helper": lambda: cross_entropy(model(X), Y) + through_the_global_backbone(),
        "a loss": BatchLoss(model, X, Y, lambda o, y: cross_entropy(o, y) + through_the_global_backbone()),
    }[how]
    for _ in range(2):
        fresh = nn.BatchNorm1d(FEATURES).double()
        monkeypatch.setitem(names, "backbone", fresh)
        for step in range(1, 3):
            objective.backward(closure)
            assert counts(fresh) == [step]


def test_tensors_and_numbers_of_each_step_are_no_reason_to_look_again():
    model = nn.Linear(FEATURES, CLASSES).double()

    def closure_of(x, number):
        return lambda: cross_entropy(model(x), Y) * number

    assert signature(closure_of(X, 1.5)) == signature(closure_of(X + 1, 2.5))


@pytest.mark.parametrize("start", [0, 7])
@pytest.mark.parametrize("shape", ["columns", "rows"])
def test_a_large_queue_is_written_once(shape, start):
    """MoCo's queue, of more entries than are compared one by one."""

    class Queue(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.size = nn.Linear(FEATURES, 128).double(), 16384
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                self.encoder.reset_parameters()
            queue = torch.zeros(128, self.size) if shape == "columns" else torch.zeros(self.size, 128)
            self.register_buffer("queue", queue)
            self.register_buffer("at", torch.tensor(start))

        def forward(self, x):
            keys = self.encoder(x)
            place = (slice(None), slice(int(self.at), int(self.at) + len(x)))
            place = place if shape == "columns" else place[::-1]
            with torch.no_grad():
                self.queue[place] = keys.T.float() if shape == "columns" else keys.float()
                self.at[()] = (self.at + len(x)) % self.size
            return keys[:, :CLASSES]

    model, reference = Queue(), Queue()
    assert model.queue.numel() > LARGE
    objective = SAM(model, 0.5)
    for _ in range(3):
        objective.backward(lambda: cross_entropy(model(X), Y))
        reference(X)
        assert torch.equal(model.at, reference.at) and torch.equal(model.queue, reference.queue)


@pytest.mark.parametrize("kind", ["script", "trace", "export", "fx", "compile"])
def test_batchnorm_that_is_no_instance_of_it_any_more(kind):
    plain = nn.Sequential(nn.Linear(FEATURES, 8), nn.BatchNorm1d(8), nn.Linear(8, CLASSES))
    x = X.float()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = {
            "script": lambda: torch.jit.script(plain),
            "trace": lambda: torch.jit.trace(plain, x, check_trace=False),
            "export": lambda: torch.export.export(plain.train(), (x,)).module(),
            "fx": lambda: torch.fx.symbolic_trace(plain),
            "compile": lambda: torch.compile(plain, backend="eager"),
        }[kind]()
    before = counts(model)[0]
    objective = SAM(model)
    for step in range(1, 4):
        objective.backward(lambda: cross_entropy(model(x), Y))
        assert counts(model)[0] == before + step


def test_what_does_not_move_is_not_copied_and_large_things_are_only_sampled():
    model = nn.Sequential(nn.Linear(FEATURES, 8), nn.BatchNorm1d(8), nn.Linear(8, CLASSES))
    model.register_buffer("table", torch.zeros(2**21))
    model.frozen = nn.Parameter(torch.zeros(2**18), requires_grad=False)
    objective, x = SAM(model, 0.5), X.float()
    held = [sum(c.numel() for c in objective._state.before().kept.copies)]
    objective.backward(lambda: cross_entropy(model(x), Y))
    held.append(sum(c.numel() for c in objective._state.before().kept.copies))
    assert held[0] < 2**18 + 100 and held[1] == 17  # BatchNorm's mean, variance and count


class Draws(nn.Module):
    """One of Python's iterators in an attribute: they go one way only."""

    def __init__(self, stream):
        super().__init__()
        self.stream, self.seen = stream(), []

    def forward(self, x):
        self.seen.append(next(self.stream))
        return x * (1 + 0.1 * self.seen[-1])


class BuildsItself(nn.Module):
    """What it needs is made by the first pass."""

    def __init__(self, what):
        super().__init__()
        self.what = what

    def forward(self, x):
        match self.what:
            case "a layer":
                if not hasattr(self, "norm"):
                    self.norm = nn.BatchNorm1d(8, affine=False).double()
                return self.norm(x)
            case "a buffer":
                if not hasattr(self, "mean"):
                    self.register_buffer("mean", torch.zeros(8, dtype=x.dtype))
                self.mean += 0.1 * x.detach().mean(0)
                return x - self.mean
            case "a generator":
                if not hasattr(self, "rng"):
                    self.rng = np.random.default_rng(0)
                return x * (1 + self.rng.random())

    def seen(self):
        made = {"a layer": "norm", "a buffer": "mean", "a generator": "rng"}
        thing = getattr(self, made[self.what])
        return thing.random() if self.what == "a generator" else float(sum(map(torch.sum, self.buffers())))


class Follows(nn.Module):
    """A layer and its slow copy, equal at first: what a pass at w makes of it is what it was."""

    def __init__(self, through_data):
        super().__init__()
        self.fast, self.through_data = nn.Linear(8, 8), through_data
        self.slow = copy.deepcopy(self.fast).requires_grad_(False)

    def forward(self, x):
        for slow, fast in zip(self.slow.parameters(), self.fast.parameters(), strict=True):
            if self.through_data:
                slow.data.mul_(0.5).add_(fast.data, alpha=0.5)
            else:
                slow.copy_((slow + fast).detach() / 2)
        return self.fast(x) + 0.1 * self.slow(x)

    def seen(self):
        return float(self.slow.weight.sum() + self.slow.bias.sum())


LATE = {
    "count": lambda: Draws(itertools.count),
    "cycle": lambda: Draws(lambda: itertools.cycle([1.0, 2.0, 3.0])),
    "of a list": lambda: Draws(lambda: iter([0.1 * i for i in range(99)])),
    "generator": lambda: Draws(lambda: (i / 3 for i in range(99))),
    "map": lambda: Draws(lambda: map(float, range(99))),
    **{what: functools.partial(BuildsItself, what) for what in ("a layer", "a buffer", "a generator")},
    "slow copy": lambda: Follows(False),
    "slow copy through data": lambda: Follows(True),
}


@pytest.mark.parametrize("kind", LATE)
@pytest.mark.parametrize(
    "method", [ERM, lambda m: SAM(m, 0.5), lambda m: AWP(m, 0.5), lambda m: LookSAM(m, k=1)]
)
def test_iterators_what_the_first_pass_makes_and_copies_that_are_equal_at_first(kind, method):
    """After three steps of every method the state is that of three passes; both passes of a step agree."""

    def run(method, rho=None):
        torch.manual_seed(0)
        middle = LATE[kind]()
        model = nn.Sequential(nn.Linear(FEATURES, 8), middle, nn.Linear(8, CLASSES)).double()
        objective = method(model) if rho is None else method(model, rho)
        losses = [float(objective.backward(lambda: cross_entropy(model(X), Y))) for _ in range(3)]
        seen = middle.seen if isinstance(middle, Draws) else middle.seen()
        return losses, seen, [p.grad for p in model.parameters() if p.grad is not None]

    right = run(ERM)
    got, none = run(method), run(SAM, rho=0.0)
    assert got[0] == pytest.approx(right[0]) and got[1] == pytest.approx(right[1])
    assert none[1] == pytest.approx(right[1])
    torch.testing.assert_close(none[2], right[2])


def test_buffers_that_are_handed_over_in_a_call():
    def run(method):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(FEATURES, 8), nn.BatchNorm1d(8), nn.Linear(8, CLASSES)).double()
        weights, buffers = dict(model.named_parameters()), {k: b.clone() for k, b in model.named_buffers()}

        def closure():
            return cross_entropy(torch.func.functional_call(model, (weights, buffers), X), Y)

        objective = method(model)
        for _ in range(2):
            objective.backward(closure)
        return buffers

    torch.testing.assert_close(run(lambda m: SAM(m, 0.5)), run(ERM))


def test_what_does_not_move_is_not_copied_in_later_steps_either():
    model = nn.Sequential(nn.Linear(FEATURES, 8), nn.BatchNorm1d(8), nn.Linear(8, CLASSES))
    model.register_buffer("table", torch.zeros(2**19))
    objective, x = SAM(model, 0.5), X.float()
    for _ in range(3):
        objective.backward(lambda: cross_entropy(model(x), Y))
        assert sum(c.numel() for c in objective._state.before().kept.copies) == 17


# --- the same random numbers, no cached weights -----------------------------------------------------------

OWN = {
    "torch": torch.Generator().manual_seed(3),
    "random": random.Random(3),
    "numpy": np.random.default_rng(3),
    "RandomState": np.random.RandomState(3),
}


@pytest.mark.parametrize("draw", [
    lambda: float(np.random.beta(1, 1)), lambda: float(np.random.randn()),  # noqa: NPY002
    lambda: random.random(),
    lambda: random.gauss(0, 1), lambda: float(torch.rand(())),
    lambda: float(torch.rand((), generator=OWN["torch"])), lambda: OWN["random"].random(),
    lambda: float(OWN["numpy"].beta(1, 1)), lambda: float(OWN["RandomState"].randn()),
])  # fmt: skip
@pytest.mark.parametrize("method", [SAM, ASAM, lambda m: LookSAM(m, k=1)])
def test_both_passes_draw_the_same_numbers(draw, method):
    model, drawn = nn.Linear(FEATURES, CLASSES).double(), []

    def mixup():
        share = draw()
        drawn.append(share)
        return share * cross_entropy(model(X), Y) + (1 - share) * cross_entropy(model(X), Y.flip(0))

    objective = method(model)
    for _ in range(3):
        objective.backward(mixup)
    assert drawn[::2] == drawn[1::2] and len(set(drawn)) == 3


@pytest.mark.parametrize("one", [lambda: np.random.randn(), lambda: random.gauss(0, 1)])  # noqa: NPY002
def test_a_normal_number_that_waits_is_drawn_in_both_passes(one):
    """They are made in pairs: the second one waits outside of the generator's own memory."""
    model, drawn = nn.Linear(FEATURES, CLASSES).double(), []

    def noisy():
        drawn.append(one())
        return cross_entropy(model(X + drawn[-1]), Y)

    one()
    for _ in range(4):
        SAM(model).backward(noisy)
    assert drawn[::2] == drawn[1::2] and len(set(drawn)) == 4


def test_a_generator_in_the_model_and_layers_dropped_by_chance():
    class Drops(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.rng, self.taken = nn.Linear(8, 8), np.random.default_rng(0), []

        def forward(self, x):
            keep = (self.rng.random() < 0.5, random.random() < 0.5)
            seen.append(keep)
            return self.inner(x) if all(keep) else x

    seen = []
    model = nn.Sequential(nn.Linear(FEATURES, 8), Drops(), nn.Linear(8, CLASSES)).double()
    objective = SAM(model)
    for _ in range(12):
        objective.backward(lambda: cross_entropy(model(X), Y))
    assert seen[::2] == seen[1::2] and len(set(seen)) > 1


class Elsewhere(torch.Tensor):
    """A tensor that says it lies on a device that this machine does not have."""

    @staticmethod
    def __new__(cls, device):
        return torch.Tensor._make_wrapper_subclass(cls, (2,), device=device)

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        raise NotImplementedError


class Device:
    """What torch's modules of devices have: the state of a generator for each; ``mps`` knows but one."""

    def __init__(self, numbered=True):
        self.numbered, self.generators = numbered, {}

    def generator(self, *where):
        assert len(where) == self.numbered
        return self.generators.setdefault(where, torch.Generator().manual_seed(7))

    def get_rng_state(self, *where):
        return self.generator(*where).get_state()

    def set_rng_state(self, state, *where):
        self.generator(*where).set_state(state)


@pytest.mark.parametrize("places", [["cuda:1"], ["xpu:0", "xpu:1"], ["mps"], ["mps", "cuda:0"]])
def test_the_generators_of_every_device_go_back(places, monkeypatch):
    kinds = {place.split(":")[0] for place in places}
    devices = {kind: Device(numbered=kind != "mps") for kind in kinds}
    for kind, device in devices.items():
        monkeypatch.setattr(torch, kind, device)

    def draw():
        found = []
        for place in places:
            where = (torch.device(place),) if ":" in place else ()
            found.append(float(torch.rand((), generator=devices[place.split(":")[0]].generator(*where))))
        return found

    state = RandomState([Elsewhere(place) for place in places])
    first = draw()
    state.restore()
    assert draw() == first != draw()


@pytest.mark.parametrize("outside", [False, True])
def test_both_passes_draw_the_same_numbers_on_another_device(outside, monkeypatch):
    """meta stands for a device; its weights are in the model, or in a module beside it."""
    there, drawn = Device(), []
    monkeypatch.setattr(torch, "meta", there, raising=False)
    model, other = nn.Linear(FEATURES, CLASSES).double(), nn.Module()
    place = nn.Parameter(torch.empty(2, device="meta"), requires_grad=False)
    (other if outside else model).place = place

    def noisy():
        where = (other if outside else model).place.device
        noise = torch.rand(X.shape, dtype=X.dtype, generator=there.generator(where))
        drawn.append(float(noise.sum()))
        return cross_entropy(model(X + noise), Y)

    objective = SAM(model)
    for _ in range(3):
        objective.backward(noisy)
    assert drawn[::2] == drawn[1::2] and len(set(drawn)) == 3


class Symmetric(nn.Module):
    def forward(self, w):
        return w.triu() + w.triu(1).T


class Positive(nn.Module):
    def forward(self, w):
        return w.exp()

    def right_inverse(self, w):
        return w.abs().log()


@pytest.mark.parametrize("how", [
    lambda m: parametrize.register_parametrization(m, "weight", Symmetric()),
    lambda m: parametrize.register_parametrization(m, "weight", Positive()),
    parametrizations.weight_norm, parametrizations.orthogonal, parametrizations.spectral_norm,
])  # fmt: skip
def test_cached_parametrizations(how):
    found = []
    for cached in (False, True):
        torch.manual_seed(1)
        model = nn.Sequential(nn.Linear(FEATURES, FEATURES)).double()
        how(model[0])
        objective, optimizer = SAM(model, rho=0.5), torch.optim.SGD(model.parameters(), lr=0.1)
        with parametrize.cached() if cached else torch.enable_grad():
            for _ in range(3):
                optimizer.zero_grad()
                objective.backward(lambda model=model: cross_entropy(model(X), Y))
                optimizer.step()
        found.append([p.detach().clone() for p in model.parameters()])
    assert all(torch.allclose(a, b, rtol=1e-12) for a, b in zip(*found, strict=True))


def test_a_weight_that_the_model_itself_keeps_is_made_anew():
    class Keeps(nn.Linear):
        made = None

        def forward(self, x):
            if self.made is None:
                self.made = self.weight.tanh()
            return nn.functional.linear(x, self.made, self.bias)

    model = nn.Sequential(Keeps(FEATURES, CLASSES)).double()
    weights = []
    model.register_forward_hook(lambda *_: weights.append(model[0].made.detach().clone()))
    SAM(model, 0.5).backward(lambda: cross_entropy(model(X), Y))
    assert not torch.equal(*weights) and torch.equal(weights[1], weights[1])
