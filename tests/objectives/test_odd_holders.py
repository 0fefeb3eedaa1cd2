"""State in what is neither a list nor a dictionary: weak references, thread-local variables, odd arrays."""

from __future__ import annotations

import contextvars
import ctypes
import functools
import multiprocessing
import threading
import weakref

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.weak import WeakIdKeyDictionary

from sam_edu.objectives import ERM, SAM
from sam_edu.objectives.contents import content, fill, inside, same

X = torch.randn(16, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 1
Y = torch.randint(3, (16,), generator=torch.Generator().manual_seed(2))


class Value:
    """Can be referred to weakly."""

    def __init__(self, mean):
        self.mean = mean


class Local(threading.local):
    """A subclass of one's own."""

    mean = torch.zeros(8, dtype=torch.float64)


def records():
    return np.zeros(1, dtype=[("count", "i8"), ("mean", "f8", (8,))])


HOLD = {
    "a thread-local variable": threading.local,
    "a thread-local class": Local,
    "a weak dictionary of keys": weakref.WeakKeyDictionary,
    "a weak dictionary of values": weakref.WeakValueDictionary,
    "a dictionary by identity": WeakIdKeyDictionary,
    "a weak set": weakref.WeakSet,
    "a weak reference": lambda: weakref.ref(KEPT.setdefault("meter", Value(torch.zeros(8).double()))),
    "a context variable": lambda: contextvars.ContextVar("mean", default=None),
    "objects": lambda: np.array([None, 0, [], {}], dtype=object),
    "objects in a table": lambda: np.full((2, 2), None, dtype=object),
    "one object": lambda: np.array(None, dtype=object),
    "records": records,
    "large numbers": lambda: np.zeros(8, dtype=np.longdouble),
    "the other order": lambda: np.zeros(8, dtype=">f8"),
    "backwards": lambda: np.zeros(8)[::-1],
    "every second": lambda: np.zeros((8, 2))[::-1, 1],
    "ctypes": ctypes.c_double * 8,
    "shared by processes": lambda: multiprocessing.Array("d", 8),
    "one shared number": lambda: multiprocessing.Value("d", 0.0),
}
KEPT = {}


class Keeps(nn.Module):
    def __init__(self, what):
        super().__init__()
        KEPT.clear()
        self.what, self.hold, self.key = what, HOLD[what](), nn.Identity()

    def forward(self, x):
        mean = x.detach().mean(0)
        old = self.seen()
        new = mean if old is None else old.lerp(mean, 0.1)
        hold = self.hold
        match self.what:
            case "a thread-local variable" | "a thread-local class":
                hold.mean = new
            case "a weak dictionary of keys" | "a dictionary by identity":
                hold[self.key] = new
            case "a weak dictionary of values":
                hold["mean"] = KEPT[len(KEPT)] = Value(new)
            case "a weak set":
                hold.clear()
                hold.add(KEPT.setdefault(len(KEPT), Value(new)))
            case "a weak reference":
                hold().mean = new
            case "a context variable":
                hold.set(new)
            case "objects":
                hold[0] = new
                hold[1] += 1
                hold[2].append(new)
                hold[3][hold[1]] = new
            case "objects in a table":
                hold[1, 0] = new.numpy()
            case "one object":
                hold[()] = Value(new)
            case "records":
                hold["mean"][0] = new.numpy()
                hold["count"] += 1
            case "ctypes" | "shared by processes":
                hold[:] = new.tolist()
            case "one shared number":
                hold.value += float(new.sum())
            case _:
                hold[:] = new.numpy()
        return x - self.seen()

    def seen(self):
        hold = self.hold
        match self.what:
            case "a thread-local variable" | "a thread-local class":
                return getattr(hold, "mean", None)
            case "a weak dictionary of keys" | "a dictionary by identity":
                return hold.get(self.key)
            case "a weak dictionary of values":
                return hold["mean"].mean if "mean" in hold else None
            case "a weak set":
                return next((v.mean for v in hold), None)
            case "a weak reference":
                return hold().mean
            case "a context variable":
                return hold.get()
            case "objects":
                return None if hold[0] is None else hold[0] * hold[1] + sum(hold[2]) + sum(hold[3].values())
            case "objects in a table":
                return None if hold[1, 0] is None else torch.from_numpy(hold[1, 0].copy())
            case "one object":
                return None if hold[()] is None else hold[()].mean
            case "records":
                return torch.from_numpy(hold["mean"][0] * hold["count"][0])
            case "ctypes" | "shared by processes":
                return torch.tensor(list(hold), dtype=torch.float64)
            case "one shared number":
                return torch.full((8,), hold.value, dtype=torch.float64)
        return torch.from_numpy(hold.astype("f8"))


@pytest.mark.parametrize("what", HOLD)
def test_state_after_a_step_is_that_of_one_pass(what):
    def run(method, passes=3):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(8, 8), Keeps(what), nn.Linear(8, 3)).double()
        objective = method(model)
        losses = [float(objective.backward(lambda: cross_entropy(model(X), Y))) for _ in range(passes)]
        return losses, model[1].seen().clone(), [p.grad for p in model.parameters()]

    right, got, still = run(ERM), run(lambda m: SAM(m, 0.5)), run(lambda m: SAM(m, 0.0))
    assert got[0] == pytest.approx(right[0], rel=1e-12)
    torch.testing.assert_close(got[1], right[1])
    torch.testing.assert_close(still[2], right[2])


@pytest.mark.parametrize("holder", [
    weakref.ref, weakref.proxy, lambda m: weakref.WeakSet([m]), lambda m: np.array([m], dtype=object),
])  # fmt: skip
def test_a_module_that_is_held_so(holder):
    """The usual way to keep a teacher from being a submodule."""
    teacher = nn.BatchNorm1d(8).double()

    class Student(nn.Linear):
        def forward(self, x):
            with torch.no_grad():
                teacher(x)
            return super().forward(x)

    model = Student(8, 3).double()
    model.teacher = holder(teacher)
    objective = SAM(model, 0.5)
    for step in range(1, 4):
        objective.backward(functools.partial(lambda m: cross_entropy(m(X), Y), model))
        assert int(teacher.num_batches_tracked) == step


@pytest.mark.parametrize("make", [
    threading.local, weakref.WeakKeyDictionary, lambda: np.array([1, None, "a", np.zeros(2)], dtype=object),
    lambda: np.array(["ab", "c"]), lambda: np.array(["2020-01-01"], dtype="M8[D]"), records,
    lambda: np.ma.masked_array([1.0, 2.0], mask=[True, False]), lambda: np.zeros((0, 3)), ctypes.c_int,
])  # fmt: skip
def test_what_holds_nothing_new_is_the_same(make):
    thing = make()
    for part in inside(thing, "tests"):
        if not isinstance(part, torch.Tensor):
            then = content(part)
            assert same(part, then)
            fill(part, then)
            assert same(part, then)
