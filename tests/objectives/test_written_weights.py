"""Weights that a forward pass writes although they are trained, and names that every pass makes anew."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from sam_edu.objectives import ASAM, AWP, ERM, ESAM, SAM, BatchLoss, FriendlySAM, LookSAM, SAMOptimizer
from sam_edu.objectives.perturb import perturbed

X = torch.randn(16, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 1
Y = torch.randint(3, (16,), generator=torch.Generator().manual_seed(2))


class Slow(nn.Module):
    """A slow copy whose parameters still require grad; ``how`` it is written, whether it gets a gradient."""

    def __init__(self, how, graded=False):
        super().__init__()
        self.fast, self.how, self.graded = nn.Linear(8, 8), how, graded
        self.slow = copy.deepcopy(self.fast)

    @torch.no_grad()
    def update(self):
        for slow, fast in zip(self.slow.parameters(), self.fast.parameters(), strict=True):
            match self.how:
                case "in place":
                    slow.mul_(0.5).add_(fast, alpha=0.5)
                case "data":
                    slow.data.mul_(0.5).add_(fast.data, alpha=0.5)
                case "data assigned":
                    slow.data = slow.data * 0.5 + fast.data * 0.5
                case "the same memory":
                    slow.data = fast.data
                case "through state_dict":
                    pass
        if self.how == "through state_dict":
            mixed = {k: v / 2 + self.fast.state_dict()[k] / 2 for k, v in self.slow.state_dict().items()}
            self.slow.load_state_dict(mixed)

    def forward(self, x):
        self.update()
        with torch.set_grad_enabled(self.graded):
            teacher = self.slow(x)
        return self.fast(x) * (1 + 0.1 * torch.tanh(teacher))


class Clones(Slow):
    """The copies are a list of tensors that nobody has detached, or of leaves."""

    def __init__(self, leaves):
        super().__init__("in place")
        self.slow, self.leaves = None, leaves
        self.copies = [p.detach().requires_grad_() if leaves else p for p in self.fast.parameters()]
        self.copies = [p.clone() if not leaves else p.clone().detach().requires_grad_() for p in self.copies]

    def _apply(self, change, recurse=True):
        super()._apply(change, recurse)
        self.copies = [change(c.detach()).requires_grad_() for c in self.copies]
        self.copies = self.copies if self.leaves else [c.clone() for c in self.copies]
        return self

    def __deepcopy__(self, memo):
        twin = Clones(self.leaves).double()
        twin.fast.load_state_dict(self.fast.state_dict())
        with torch.no_grad():
            for a, b in zip(twin.copies, self.copies, strict=True):
                a.copy_(b)
        return twin

    def forward(self, x):
        with torch.no_grad():
            for slow, fast in zip(self.copies, self.fast.parameters(), strict=True):
                slow.mul_(0.5).add_(fast, alpha=0.5)
            teacher = nn.functional.linear(x, *self.copies)
        return self.fast(x) * (1 + 0.1 * torch.tanh(teacher))


class Clamped(nn.Module):
    """The weights of a critic are cut to an interval at every pass."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(8, 8)

    def forward(self, x):
        for p in self.inner.parameters():
            p.data.clamp_(-0.2, 0.2)
        return self.inner(x)


class Shrinks(nn.Module):
    """A trained weight that every pass makes smaller."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(8, 8)

    def forward(self, x):
        with torch.no_grad():
            self.inner.weight.mul_(0.9)
        return self.inner(x)


class Renewed(nn.Module):
    """The slow copy is a new Parameter in each pass."""

    def __init__(self):
        super().__init__()
        self.fast = nn.Linear(8, 8)
        self.slow = nn.Parameter(torch.zeros(8, 8))

    def forward(self, x):
        self.slow = nn.Parameter((self.slow + self.fast.weight).detach() / 2, requires_grad=False)
        return self.fast(x) + 0.1 * x @ self.slow


class Names(nn.Module):
    """Each pass registers something under a new name; ``how`` the name is found."""

    def __init__(self, what, how="a counter"):
        super().__init__()
        self.what, self.how, self.made, self.late = what, how, 0, 0

    def forward(self, x):
        if self.late:
            self.late -= 1
            return x
        mean, at = x.detach().mean(0), self.made if self.how == "a counter" else len(self.names())
        self.made += 1
        match self.what:
            case "a buffer":
                self.register_buffer(f"mean{at}", mean, persistent=at % 2 == 0)
            case "an attribute":
                setattr(self, f"mean{at}", mean)
            case "a frozen parameter":
                self.register_parameter(f"mean{at}", nn.Parameter(mean, requires_grad=False))
            case "a module":
                self.add_module(f"mean{at}", nn.BatchNorm1d(8, affine=False).double())
                getattr(self, f"mean{at}")(x)
            case "one instead of the last":
                self.register_buffer(f"mean{at}", mean + (self.seen()[-1] if at else 0))
                if at:
                    delattr(self, f"mean{at - 1}")
        seen = self.seen()
        return x - sum(seen) / len(seen)

    def names(self):
        return [n for n in [*vars(self), *self._buffers, *self._parameters, *self._modules] if "mean" in n]

    def seen(self):
        found = [getattr(self, name) for name in self.names()]
        return [m.running_mean.clone() if isinstance(m, nn.Module) else m.clone() for m in found]


HOW = ("in place", "data", "data assigned", "the same memory", "through state_dict")
MIDDLE = {
    **{how: lambda how=how: Slow(how) for how in HOW},
    **{f"{how}, with a gradient": lambda how=how: Slow(how, True) for how in HOW[:3]},
    "clones that nobody has detached": lambda: Clones(False),
    "leaves in a list": lambda: Clones(True),
    "clamped": Clamped,
    "shrinks": Shrinks,
    "renewed": Renewed,
    "a renormed embedding": lambda: Renormed(),
    "buffers": lambda: Names("a buffer"),
    "buffers by their number": lambda: Names("a buffer", "their number"),
    "attributes": lambda: Names("an attribute"),
    "frozen parameters": lambda: Names("a frozen parameter"),
    "modules": lambda: Names("a module"),
    "modules by their number": lambda: Names("a module", "their number"),
    "one instead of the last": lambda: Names("one instead of the last"),
}


class Renormed(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(4, 8, max_norm=0.5)

    def forward(self, x):
        return x + self.table(torch.arange(len(x)) % 4)


def net(middle):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(6, 8), middle(), nn.Tanh(), nn.Linear(8, 3)).double()


def state(model):
    """All tensors there are, by their names."""
    found = dict(model.named_parameters()) | dict(model.named_buffers())
    for name, module in model.named_modules():
        found |= {f"{name}.{k}": v for k, v in vars(module).items() if isinstance(v, torch.Tensor)}
        for i, c in enumerate(getattr(module, "copies", ())):
            found[f"{name} copy {i}"] = c
    return {name: t.detach().clone() for name, t in found.items()}


def by_hand(model, rho):
    """State and gradient of one step: a pass at w, and one at w + e that starts from the same state."""
    here, there = copy.deepcopy(model), copy.deepcopy(model)
    trained = [p for p in here.parameters() if p.requires_grad]
    g = torch.autograd.grad(cross_entropy(here(X), Y), trained, allow_unused=True)
    norm = torch.sqrt(sum((part**2).sum() for part in g if part is not None))
    moving = {name: p for name, p in there.named_parameters() if p.requires_grad}
    with torch.no_grad():
        for p, part in zip(moving.values(), g, strict=True):
            if part is not None:
                p += rho * part / norm
    g = torch.autograd.grad(cross_entropy(there(X), Y), list(moving.values()), allow_unused=True)
    return state(here), {name: part for name, part in zip(moving, g, strict=True) if part is not None}


def same(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=1e-9, atol=1e-12, msg=name)


@pytest.mark.parametrize("middle", MIDDLE)
@pytest.mark.parametrize("train", [True, False], ids=["trained", "accumulated"])
def test_a_step_is_one_pass_and_both_passes_are_of_one_function(middle, train):
    model = net(MIDDLE[middle])
    objective = SAM(model, 0.5)
    for step in range(4):
        left, gradient = by_hand(model, 0.5)
        model.zero_grad()
        objective.backward(lambda: cross_entropy(model(X), Y))
        same(state(model), left)
        # a copy that is equal at first, gets a gradient and is written through .data: seen once it differs
        if train or "with a gradient" not in middle:
            same({k: p.grad for k, p in model.named_parameters() if p.grad is not None}, gradient)
        with torch.no_grad():
            for p in model.parameters() if train else ():
                if p.grad is not None:
                    p -= 0.3 * p.grad
        if step == 1 and isinstance(model[1], Names):
            model[1].late = 1
            objective.backward(lambda: cross_entropy(model(X), Y))  # a pass without a new name between them
            assert model[1].late == 0


@pytest.mark.parametrize("middle", ["in place", "data assigned", "shrinks", "buffers", "modules"])
@pytest.mark.parametrize("make", [
    lambda m: ASAM(m, 0.5), lambda m: AWP(m, 0.1), lambda m: ESAM(m, 0.5), lambda m: LookSAM(m, 0.5, k=2),
    lambda m: FriendlySAM(m, 0.5), lambda m: SAMOptimizer(m.parameters(), torch.optim.SGD, rho=0.5, lr=0.1),
])  # fmt: skip
def test_every_member_counts_once(middle, make):
    model = net(MIDDLE[middle])
    objective, loss = make(model), BatchLoss(model, X, Y)
    for _ in range(3):
        left, _ = by_hand(model, 0.5)
        if isinstance(objective, SAMOptimizer):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(objective.base_optimizer, "step", lambda: None)  # the state alone is looked at
                objective.step(lambda: (objective.zero_grad(), (out := loss()).backward(), out)[-1])
        else:
            objective.backward(loss)
        same(state(model), left)
        with torch.no_grad():
            model[0].weight += 0.1


def test_a_slow_copy_outside_of_the_objectives_model():
    model, slow = net(nn.Identity), net(nn.Identity)

    def closure():
        with torch.no_grad():
            for p, q in zip(slow.parameters(), model.parameters(), strict=True):
                p.lerp_(q, 0.5)
            target = slow(X).softmax(1)
        return cross_entropy(model(X), target)

    objective, expected = SAM(model, 0.5), [p.detach().clone() for p in slow.parameters()]
    for _ in range(3):
        objective.backward(closure)
        expected = [a.lerp(p.detach(), 0.5) for a, p in zip(expected, model.parameters(), strict=True)]
        for a, b in zip(slow.parameters(), expected, strict=True):
            torch.testing.assert_close(a.detach(), b)
        with torch.no_grad():
            model[0].weight += 0.1


def test_a_slow_copy_is_as_it_was_after_perturbed():
    model = net(MIDDLE["data"])
    with torch.no_grad():
        model[1].fast.weight += 1
    before = state(model)
    moved = [torch.ones_like(p) if name.startswith("0") else None for name, p in model.named_parameters()]
    with perturbed(model, moved):
        model(X)
    same(state(model), before)


def test_after_two_steps_an_ordinary_model_has_no_copies_of_its_weights():
    model = net(nn.Identity)
    objective = SAM(model, 0.5)
    for step in range(4):
        before = objective._state.before()
        assert bool(before.weights.then) == (step < 2)
        objective.backward(lambda: cross_entropy(model(X), Y))
        assert objective._state.trained.written == {}


def test_no_copy_of_what_moves_lives_through_the_second_pass(monkeypatch):
    """The memory at the peak of a step is that of every other step."""
    model = net(nn.Identity)
    objective, found = SAM(model, 0.5), []
    after = type(objective._state).after
    monkeypatch.setattr(
        type(objective._state), "after", lambda *a: (found.append(after(*a)), found[-1], a[1])[1]
    )
    before = objective._state.before()
    objective._state.before = lambda *_: before
    objective.backward(lambda: cross_entropy(model(X), Y))
    assert not (found[0].weights.written or found[0].weights.unmoved or before.weights.then)


@pytest.mark.parametrize("how", ["retain_graph", "a part of the loss", "with scale", "linear"])
@pytest.mark.parametrize("make", [ERM, SAM, lambda m: LookSAM(m, k=1), lambda m: ESAM(m, gamma=1.0)])
def test_a_closure_that_goes_backward_itself_is_refused(how, make):
    model = net(nn.Identity)

    class Loss(BatchLoss):
        def __call__(self, part=None):
            return closure()

        def mean_and_each(self):
            return closure(), self.each()

    def closure():
        loss = cross_entropy(model(X), Y) if how != "linear" else model[0].bias.sum()
        part = model[3].bias.square().sum() if how == "a part of the loss" else loss
        factor = 8 if how == "with scale" else 1
        (part * factor).backward(retain_graph=how in ("retain_graph", "with scale"))
        return loss

    with pytest.raises(RuntimeError, match="backward\\(\\) itself"):
        make(model).backward(Loss(model, X, Y))


@pytest.mark.parametrize("to_none", [True, False])
@pytest.mark.parametrize("make", [ERM, SAM])
def test_a_closure_that_clears_gradients_is_welcome(to_none, make):
    model, other = net(nn.Identity), net(nn.Identity)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    objectives = make(model), make(other)

    def closure():
        optimizer.zero_grad(set_to_none=to_none)
        return cross_entropy(model(X), Y)

    for _ in range(2):
        objectives[0].backward(closure)
        other.zero_grad()
        objectives[1].backward(lambda: cross_entropy(other(X), Y))
        for p, q in zip(model.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(p.grad, q.grad)
