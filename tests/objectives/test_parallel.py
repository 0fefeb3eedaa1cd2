"""Two processes (gloo, CPU): what is averaged, and that the copies of the model stay one model."""

from __future__ import annotations

import copy
import inspect

import pytest
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import parameters_to_vector

from sam_edu.objectives import SAM, BatchLoss, EntropySGD, SparseSAM
from tests.every_method import content_with_a_closure, makers, perturbing
from tests.objectives.nets import batch, net
from tests.objectives.processes import both

SMALL = {
    "awp": {"gamma": 0.1},
    "looksam": {"k": 2},
    "sparse-sam": {"every": 2, "samples": 3},
    "entropy-sgd": {"gamma": 0.5, "steps": 4, "noise": 0.01},
}


def _with_sync(make):
    """LookSAM and Friendly SAM have no such option: their ascent follows the average in any case."""
    return lambda m, sync: make(m, sync=sync) if _knows_sync(make(m)) else make(m)


def _knows_sync(objective):
    return "sync" in inspect.signature(type(objective)).parameters


MAKE = {name: _with_sync(make) for name, make in makers(0.5, SMALL).items() if name in perturbing()} | {
    "m-SAM": lambda m, sync: SAM(m, 0.5, m=4, sync=sync),
    "SSAM-D": lambda m, sync: SparseSAM(m, 0.5, mask="dynamic", every=1, steps=9, sync=sync),
}
STEPS = 4
SHARED_MEMORY = ("SAM", "LookSAM")  # also with gradients that are views of the messages sent


def halves(seed):
    x, y = batch(16, seed=seed)
    return [(x[:8], y[:8]), (x[8:], y[8:])]


def train(make, model, share, steps=STEPS):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9)
    objective = make(model)
    for s in range(steps):
        optimizer.zero_grad()
        objective.backward(BatchLoss(model, *share(s)))
        optimizer.step()
    return parameters_to_vector(model.parameters()).detach()


def process(rank, port, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    found = {}
    for name, make in MAKE.items():
        for sync in (False, True):
            for view in (False, True) if name in SHARED_MEMORY else (False,):
                model = DistributedDataParallel(net(norm=False), gradient_as_bucket_view=view)
                reached = train(
                    lambda m, make=make, sync=sync: make(m, sync), model, lambda s: halves(s)[rank]
                )
                found[name, sync, view] = reached
    counted = DistributedDataParallel(net())
    train(lambda m: SAM(m, 0.5), counted, lambda s: halves(s)[rank])
    found["batches"] = counted.module[1].num_batches_tracked
    torch.save(found, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def reached(tmp_path_factory):
    return both(process, tmp_path_factory.mktemp("processes"))


@pytest.mark.parametrize("sync", [False, True])
@pytest.mark.parametrize("name", MAKE)
def test_all_processes_hold_the_same_weights(reached, name, sync):
    one, other = reached
    assert torch.equal(one[name, sync, False], other[name, sync, False])
    if name in SHARED_MEMORY:
        assert torch.equal(one[name, sync, True], other[name, sync, True])
        assert torch.allclose(one[name, sync, False], one[name, sync, True], rtol=1e-9, atol=1e-12)


def in_one_process(gradient):
    """Momentum SGD on a gradient that is computed by hand from the two halves."""
    model = net(norm=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9)
    for s in range(STEPS):
        optimizer.zero_grad()
        gradient(model, halves(s))
        optimizer.step()
    return parameters_to_vector(model.parameters()).detach()


def test_local_ascent_is_m_sharpness(reached):
    """Each process climbs on its own half: SAM on the whole batch with m = 8."""
    expected = in_one_process(
        lambda model, parts: SAM(model, 0.5, m=8).backward(
            BatchLoss(model, torch.cat([parts[0][0], parts[1][0]]), torch.cat([parts[0][1], parts[1][1]]))
        )
    )
    assert torch.allclose(reached[0]["SAM", False, False], expected, rtol=1e-9, atol=1e-12)
    assert not torch.allclose(reached[0]["SAM", True, False], expected, rtol=1e-6)


@pytest.mark.parametrize("name", content_with_a_closure())
def test_synchronised_ascent_is_one_big_batch(reached, name):
    made = []

    def gradient(model, parts):
        if not made:
            made.append(MAKE[name](model, False))  # one process: nothing to synchronise
        whole = torch.cat([parts[0][0], parts[1][0]]), torch.cat([parts[0][1], parts[1][1]])
        made[0].backward(BatchLoss(model, *whole))

    expected = in_one_process(gradient)
    assert torch.allclose(reached[0][name, True, False], expected, rtol=1e-9, atol=1e-12)


def test_walks_of_entropy_sgd_are_averaged_at_the_end(reached):
    made = []

    def gradient(model, parts):
        if not made:
            made.extend(EntropySGD(copy.deepcopy(model), 0.5, steps=4, noise=0.01) for _ in parts)
        for walker, part in zip(made, parts, strict=True):
            walker.model.load_state_dict(model.state_dict())
            walker.model.zero_grad()
            walker.backward(BatchLoss(walker.model, *part))
        for p, *each in zip(model.parameters(), *(w.model.parameters() for w in made), strict=True):
            p.grad = sum(q.grad for q in each) / 2

    expected = in_one_process(gradient)
    assert torch.allclose(reached[0]["Entropy-SGD", False, False], expected, rtol=1e-9, atol=1e-12)
    assert not torch.allclose(reached[0]["Entropy-SGD", True, False], expected, rtol=1e-6)


def test_batchnorm_counts_each_step_once(reached):
    assert reached[0]["batches"] == STEPS


def test_sync_without_several_processes_changes_nothing():
    paths = [
        train(lambda m, sync=sync: SAM(m, 0.5, sync=sync), net(), lambda s: batch(seed=s))
        for sync in (False, True)
    ]
    assert torch.equal(*paths)
