"""The examples in the docstrings run and print what they say; every public function and class has one."""

from __future__ import annotations

import doctest
import importlib
import inspect
import itertools
import pkgutil
import warnings

import pytest
import torch

import sam_edu

OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(sam_edu.__path__, "sam_edu.")
    if not module.name.endswith("__main__")
)
ROOMS = [
    "toy",
    "objectives",
    "attacks",
    "sharpness",
    "evaluation",
    "measured",
    "data",
    "models",
    "training",
    "schedules",
]
# Results are met as what functions return; small parts are used through the function beside them.
WITHOUT = {
    "AdversarialOptimum", "AtRadius", "AttackThresholds", "BallLoss", "Convention", "EpochResult",
    "EvaluationRecord", "Expansion", "PreActBlock", "RungResult", "Tradeoff", "WeightPerturbation",
    "step_schedule", "train_epoch",
}  # fmt: skip


def public(room: str) -> dict[str, object]:
    """The functions and classes that a module offers."""
    module = importlib.import_module(f"sam_edu.{room}")
    names = getattr(module, "__all__", None) or [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ]
    found = {name: getattr(module, name) for name in names}
    return {
        name: value for name, value in found.items() if inspect.isroutine(value) or inspect.isclass(value)
    }


@pytest.mark.parametrize("name", MODULES)
def test_examples_print_what_they_say(name):
    module = importlib.import_module(name)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        torch.manual_seed(0)
        warnings.simplefilter("error")
        failed, tried = doctest.testmod(module, optionflags=OPTIONS, report=True)
    assert failed == 0, f"{failed} of {tried} examples of {name} fail; pytest shows them above"


@pytest.mark.parametrize("room", ROOMS)
def test_public_names_are_explained_by_an_example(room):
    offered = public(room)
    assert offered
    for name, value in offered.items():
        assert inspect.getdoc(value), f"{room}.{name} has no docstring"
        if name not in WITHOUT:
            assert ">>> " in inspect.getdoc(value), f"{room}.{name} has no example"


@pytest.mark.parametrize("name", MODULES)
def test_code_in_docstrings_is_announced_as_code(name):
    """Else the pages of the library show it as a quotation, with typographic quotes that do not run."""
    module = importlib.import_module(name)
    mine = [value for value in vars(module).values() if getattr(value, "__module__", None) == name]
    for text in map(inspect.getdoc, [module, *mine]):
        paragraphs = (text or "").split("\n\n")
        for before, block in itertools.pairwise(paragraphs):
            quoted = block.startswith("    ") and not before.startswith((" ", ".. "))
            assert not quoted or before.endswith("::"), f"before this stands no '::'\n{block}"


def test_a_wrong_example_would_be_noticed():
    module = type(doctest)("wrong", ">>> 1 + 1\n3\n")
    runner = doctest.DocTestRunner(verbose=False, optionflags=OPTIONS)
    test = doctest.DocTestFinder().find(module, "wrong")[0]
    assert runner.run(test, out=lambda text: None).failed == 1
