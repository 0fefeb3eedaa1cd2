"""Two processes (gloo, CPU): every way to share out a model gives what one process gives, or is refused."""

from __future__ import annotations

import contextlib
import os

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.algorithms.join import Join
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

from sam_edu.objectives import SAM, EntropySGD, FriendlySAM, LookSAM, SAMOptimizer
from tests.objectives.processes import both

RHO, STEPS = 0.5, 3
OPTIONS = {
    "plain": {},
    "static_graph": {"static_graph": True},
    "find_unused": {"find_unused_parameters": True},
    "views": {"gradient_as_bucket_view": True},
    "no buffers": {"broadcast_buffers": False},
    "small buckets": {"bucket_cap_mb": 0.0001},
    "static views": {"static_graph": True, "gradient_as_bucket_view": True},
    "skip unused": {"find_unused_parameters": True, "skip_all_reduce_unused_params": True},
    "copies in batches": {"batched_grad_copy": True},
    "buffers stay": {"forward_sync_buffers": False},
}
AVERAGING = {
    "sync": lambda model: SAM(model, RHO, sync=True),
    "LookSAM": LookSAM,
    "Friendly SAM": FriendlySAM,
    "Entropy-SGD": EntropySGD,
}


class WithSpare(nn.Sequential):
    """The last layer is never used."""

    def forward(self, x):
        for layer in list(self)[:-1]:
            x = layer(x)
        return x


def net(spare=False):
    torch.manual_seed(0)
    layers = [nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 4)]
    return (WithSpare(*layers, nn.Linear(4, 4)) if spare else nn.Sequential(*layers)).double()


def batch(rank, step):
    g = torch.Generator().manual_seed(10 * step + rank)
    return torch.randn(8, 4, generator=g, dtype=torch.float64), torch.randint(4, (8,), generator=g)


def train(model, rank, steps=STEPS, micro=1):
    objective, optimizer = SAM(model, RHO), torch.optim.SGD(model.parameters(), lr=0.2)
    for step in range(steps):
        optimizer.zero_grad()
        for part in range(micro):
            x, y = batch(rank, micro * step + part)
            wait = micro > 1 and part < micro - 1
            with model.no_sync() if wait else contextlib.nullcontext():
                objective.backward(lambda x=x, y=y: cross_entropy(model(x), y))
        optimizer.step()
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def together(micro=1, spare=False):
    """One process: the mean of the gradients that SAM finds on each share."""
    model = net(spare)
    optimizer, objective = torch.optim.SGD(model.parameters(), lr=0.2), SAM(model, RHO)
    for step in range(STEPS):
        optimizer.zero_grad()
        for part in range(micro):
            for rank in (0, 1):
                x, y = batch(rank, micro * step + part)
                objective.backward(lambda x=x, y=y: cross_entropy(model(x), y) / 2)
        optimizer.step()
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def halved(state, bucket):
    """A communication hook: averages by itself."""
    return dist.all_reduce(bucket.buffer() / 2, async_op=True).get_future().then(lambda f: f.value()[0])


def process(rank, port, folder):
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    found = {}
    for name, options in OPTIONS.items():
        spare = "find_unused_parameters" in options
        found[name] = train(DistributedDataParallel(net(spare), **options), rank)
    hooked = DistributedDataParallel(net())
    hooked.register_comm_hook(None, halved)
    found["communication hook"] = train(hooked, rank)
    found["accumulated"] = train(DistributedDataParallel(net()), rank, micro=2)
    found |= joined(rank)
    found |= refused_options()
    found |= sharded(rank)
    torch.save(found, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def joined(rank):
    """Process 1 has one batch more than process 0."""
    found = {}
    for name, run, whole in (
        ("objective", train, False),
        ("objective, whole", train, True),
        ("optimizer", train_by_optimizer, False),
        ("optimizer, whole", train_by_optimizer, True),
    ):
        ragged = DistributedDataParallel(net())
        with Join([ragged], divide_by_initial_world_size=whole):
            run(ragged, rank, steps=STEPS + rank)
        found[f"joined {name}"] = torch.cat([p.detach().flatten() for p in ragged.parameters()])
    for name, make in AVERAGING.items():
        ragged = DistributedDataParallel(net())
        x, y = batch(rank, 0)
        with contextlib.suppress(RuntimeError), Join([ragged]):
            try:
                make(ragged).backward(lambda ragged=ragged, x=x, y=y: cross_entropy(ragged(x), y))
            except RuntimeError as error:
                found[f"joined {name}"] = str(error)
                raise
    return found


def train_by_optimizer(model, rank, steps):
    optimizer = SAMOptimizer(model.parameters(), torch.optim.SGD, rho=RHO, lr=0.2)
    for step in range(steps):
        x, y = batch(rank, step)
        for half in (optimizer.first_step, optimizer.second_step):
            cross_entropy(model(x), y).backward()
            half(zero_grad=True)


def refused_options():
    model = net()
    late = DistributedDataParallel(
        model,
        delay_all_reduce_named_params=[("0.weight", model[0].weight)],
        param_to_hook_all_reduce=model[2].weight,
    )
    mixed = DistributedDataParallel(net())
    mixed.mixed_precision = torch.distributed.fsdp.MixedPrecision()  # made so only beside an accelerator
    found = {}
    for name, wrapped in (("delay_all_reduce_named_params", late), ("mixed_precision", mixed)):
        try:
            SAM(wrapped)
        except TypeError as error:
            found[name] = str(error)
    return found


def sharded(rank):
    from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard

    def old(original=False):
        return FullyShardedDataParallel(net(), device_id=torch.device("cpu"), use_orig_params=original)

    model = net()
    for layer in (model[0], model[2], model):
        fully_shard(layer)
    was = [p.full_tensor().clone() for p in model.parameters()]
    optimizer = SAMOptimizer(model.parameters(), torch.optim.SGD, rho=RHO, lr=0.2)
    found = {}
    for step in range(STEPS):
        x, y = batch(rank, step)
        optimizer.zero_grad()
        cross_entropy(model(x), y).backward()
        optimizer.first_step(zero_grad=True)
        if step == 0:
            e = [p.full_tensor() - w for p, w in zip(model.parameters(), was, strict=True)]
            found["length of e"] = torch.sqrt(sum((part**2).sum() for part in e))
        cross_entropy(model(x), y).backward()
        optimizer.second_step(zero_grad=True)
    found["fully_shard"] = torch.cat([p.full_tensor().detach().flatten() for p in model.parameters()])
    sgd = torch.optim.SGD
    for name, make in (
        ("objective", lambda: SAM(model, RHO)),
        ("old", lambda: SAMOptimizer(old().parameters(), sgd, lr=0.1)),
        ("old original", lambda: SAMOptimizer(old(True).parameters(), sgd, lr=0.1)),
    ):
        try:
            make()
            found[f"refused {name}"] = ""
        except TypeError as error:
            found[f"refused {name}"] = str(error)

    return found


@pytest.fixture(scope="module")
def reached(tmp_path_factory):
    return both(process, tmp_path_factory.mktemp("processes"))


@pytest.mark.parametrize("option", [*OPTIONS, "communication hook"])
def test_every_option_gives_what_one_process_gives(reached, option):
    assert torch.equal(reached[0][option], reached[1][option])
    spare = "find_unused_parameters" in OPTIONS.get(option, {})
    assert torch.allclose(reached[0][option], together(spare=spare), rtol=1e-9, atol=1e-12)


def test_accumulation_over_passes_that_do_not_wait(reached):
    assert torch.allclose(reached[0]["accumulated"], together(2), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("who", ["objective", "optimizer"])
def test_uneven_inputs_join(reached, who, whole):
    """The process with one batch more goes on alone; both end with its weights.

    The objective climbs on each process's own share (as in m-sharpness), the optimizer on the average.
    """
    model = net()
    optimizer, objective = torch.optim.SGD(model.parameters(), lr=0.2), SAM(model, RHO)
    for step in range(STEPS + 1):
        present = (0, 1) if step < STEPS else (1,)
        parts = [batch(rank, step) for rank in present]
        losses = [lambda x=x, y=y: cross_entropy(model(x), y) for x, y in parts]
        divisor = 2 if whole else len(present)
        optimizer.zero_grad()
        for loss in losses if who == "objective" else [lambda losses=losses: sum(f() for f in losses)]:
            objective.backward(lambda loss=loss, divisor=divisor: loss() / divisor)
        optimizer.step()
    expected = torch.cat([p.detach().flatten() for p in model.parameters()])
    found = [r[f"joined {who}{', whole' if whole else ''}"] for r in reached]
    assert torch.equal(*found)
    assert torch.allclose(found[0], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", AVERAGING)
def test_averages_that_would_wait_for_who_has_left_are_refused(reached, name):
    for message in (r[f"joined {name}"] for r in reached):
        assert "inside Join" in message and "SAMOptimizer" in message and "\n" not in message


@pytest.mark.parametrize("option", ["delay_all_reduce_named_params", "mixed_precision"])
def test_options_that_act_in_every_backward_pass_are_refused(reached, option):
    instead = {"mixed_precision": "torch.autocast"}.get(option, "leave the option out")
    assert reached[0][option].startswith(option) and instead in reached[0][option]


def test_fully_shard_is_sam_over_the_whole_gradient(reached):
    """e follows the averaged gradient, with the norm over all shards."""
    assert float(reached[0]["length of e"]) == pytest.approx(RHO)
    model = net()
    optimizer, objective = torch.optim.SGD(model.parameters(), lr=0.2), SAM(model, RHO)
    for step in range(STEPS):
        parts = [batch(rank, step) for rank in (0, 1)]
        optimizer.zero_grad()
        objective.backward(lambda parts=parts: sum(cross_entropy(model(x), y) for x, y in parts) / 2)
        optimizer.step()
    expected = torch.cat([p.detach().flatten() for p in model.parameters()])
    assert torch.allclose(reached[0]["fully_shard"], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("what", ["objective", "old", "old original"])
def test_what_is_not_supported_is_named(reached, what):
    message = reached[0][f"refused {what}"]
    assert "sharded" in message and "SAMOptimizer" in message and "\n" not in message
