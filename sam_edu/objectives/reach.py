"""What a closure can reach: the modules that it runs, the random generators that it draws from."""

from __future__ import annotations

import functools
import itertools
import random
import sys
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from types import (
    BuiltinFunctionType,
    CellType,
    CodeType,
    FunctionType,
    MappingProxyType,
    MethodType,
    ModuleType,
)
from typing import Any

import torch
from torch import Tensor, nn
from torch.quasirandom import SobolEngine

from sam_edu.objectives import contents, holders

LIMIT = 500  # things looked at: a closure's own surroundings, not the whole program
_LEAVES = (Tensor, int, float, complex, str, bytes, type(None), type, ModuleType, torch.dtype, torch.device)
_BATCHES, _SMALL = (tuple, list, dict), 8
_LIBRARIES = ("torch", "numpy", "builtins", "_thread", "threading", "matplotlib", "pandas")


@functools.lru_cache(maxsize=1000)
def _is_leaf(kind: Any) -> bool:
    return issubclass(kind, _LEAVES)


def walk(start: Any, code: set[Any], ends: Callable[[Any], bool]) -> Iterator[Any]:
    """What ``start`` refers to, the nearest first: by its variables, or those of what it calls.

    Where ``ends`` says so it is not looked into any further, nor are the classes and functions in ``code``,
    to which those are added that have been looked into.
    """
    seen: set[int] = set()
    queue = deque([start])
    while queue and len(seen) < LIMIT:
        thing = queue.popleft()
        kind: Any = type(thing)
        end = ends(thing)
        if id(thing) in seen or (_is_leaf(kind) and not end):
            continue
        seen.add(id(thing))
        yield thing
        if not end:
            queue.extend(_next(thing, code))


def reached(start: Any, code: set[Any] | None = None) -> tuple[list[nn.Module], list[Any]]:
    """Modules and generators that ``start`` refers to, as :func:`walk` finds them.

    Modules are not looked into (:func:`hidden` does so, once).
    """

    def ends(thing: Any) -> bool:
        return isinstance(thing, nn.Module) or is_generator(thing)

    found = list(filter(ends, walk(start, set() if code is None else code, ends)))
    modules = [thing for thing in found if isinstance(thing, nn.Module)]
    return modules, [thing for thing in found if not isinstance(thing, nn.Module)]


def signature(closure: Any, tensors: list[Tensor] | None = None) -> tuple[Any, ...] | None:
    """Equal for closures that reach the same things: the same code, with the same variables.

    Global ones count as well (a cell that is run again binds a name anew), those of functions beside the
    closure, too. Tensors and numbers lead nowhere and do not count; ``tensors`` gets the plain ones.
    """
    if isinstance(closure, FunctionType):
        functions, found = [closure], []
        for function in functions:  # grows
            for thing in _variables(function):
                kind: Any = type(thing)
                if _is_leaf(kind):
                    if kind is Tensor and tensors is not None and not thing.is_inference():
                        tensors.append(thing)
                    continue
                if kind in _BATCHES and len(thing) <= _SMALL:
                    values = list(thing.values()) if kind is dict else thing
                    if all(map(_is_leaf, map(type, values))):  # a batch leads nowhere either
                        if tensors is not None:
                            tensors += [t for t in values if type(t) is Tensor and not t.is_inference()]
                        continue
                found.append(id(thing))
                if isinstance(thing, FunctionType) and thing.__globals__ is closure.__globals__:
                    if thing not in functions:
                        functions.append(thing)
        return (closure.__code__, *found)
    if not hasattr(closure, "loss_of"):
        return None
    if tensors is not None:
        given = getattr(closure, "x", None), getattr(closure, "y", None)
        tensors += [t for t in given if type(t) is Tensor and not t.is_inference()]
    parts = getattr(closure, "model", None), closure.loss_of
    own = [isinstance(p, FunctionType) and not _of_a_library(p.__module__) for p in parts]
    return (type(closure), *[signature(p, tensors) if o else id(p) for p, o in zip(parts, own, strict=True)])


def draws_batches(closure: Any) -> bool:
    """Whether a closure calls ``next`` on an iterator outside: its two passes would see two batches."""
    if not isinstance(closure, FunctionType) or "next" not in closure.__code__.co_names:
        return False
    return any(hasattr(type(thing), "__next__") for thing in _variables(closure))


def hidden(module: nn.Module, code: set[Any]) -> tuple[list[nn.Module], list[Any]]:
    """The same for a module's plain attributes, its hooks and the code of its class: a teacher kept in a
    list, a generator of its own, or one behind a global name in ``forward``.
    """
    start = [value for name, value in vars(module).items() if name not in OF_EVERY_MODULE]
    start += [*module._forward_hooks.values(), *module._forward_pre_hooks.values()]
    return reached([*start, *_new_code(type(module), code)], code)


def names_of(module: nn.Module) -> list[Any]:
    """Where generators that it draws from may have names: itself, its classes, the globals of its code."""
    kind: Any = type(module)
    functions = [thing for thing in _code(kind) if isinstance(thing, FunctionType)]
    spaces = [vars(module), *map(vars, _own_classes(kind)), *[f.__globals__ for f in functions]]
    return list({id(space): space for space in spaces}.values())


OF_EVERY_MODULE = frozenset(vars(nn.Module()))  # no attributes of the user's


def is_generator(thing: Any) -> bool:
    """Whether this is a source of random numbers that can be set back."""
    if isinstance(thing, random.Random | torch.Generator | SobolEngine):
        return True
    numpy = sys.modules.get("numpy.random")
    return numpy is not None and isinstance(thing, numpy.Generator | numpy.RandomState | numpy.BitGenerator)


def _next(thing: Any, code: set[Any]) -> Iterator[Any]:
    if (held := holders.held(thing)) is not None:
        yield from list(held.values() if isinstance(held, dict) else held)[:LIMIT]
    elif isinstance(thing, weakref.ref):
        yield thing()
    elif isinstance(thing, FunctionType):
        if not _of_a_library(thing.__module__):
            yield from _variables(thing)
            if thing.__code__ not in code:
                code.add(thing.__code__)
                yield from _inside_names(thing)
    elif isinstance(thing, MethodType):
        yield from (thing.__self__, thing.__func__)
    elif isinstance(thing, BuiltinFunctionType):
        yield thing.__self__  # rng.random, for one
    elif isinstance(thing, functools.partial):
        yield from (thing.func, *thing.args, *thing.keywords.values())
    elif isinstance(thing, list | tuple | set | frozenset | deque):
        yield from list(thing)[:LIMIT]
    elif isinstance(thing, dict | MappingProxyType):
        yield from list(thing.values())[:LIMIT]
    elif not _of_a_library(type(thing).__module__):
        yield from contents.attributes(thing).values()
        yield vars(type(thing)).get("__call__")
        yield from _new_code(type(thing), code)


def _new_code(kind: type, code: set[Any]) -> list[Any]:
    if kind in code:
        return []
    code.add(kind)
    return _code(kind)


@functools.lru_cache(maxsize=1000)
def _own_classes(kind: Any) -> list[type]:
    """The class and its bases, as far as they are the user's own."""
    return [base for base in kind.__mro__ if _followed(base.__module__)]


def _code(kind: type) -> list[Any]:
    """What those classes hold: functions (those behind properties and the like, too) and attributes."""
    found = [thing for base in _own_classes(kind) for thing in vars(base).values()]
    for at, thing in enumerate(found):
        if isinstance(thing, classmethod | staticmethod):
            found[at] = thing.__func__
        elif isinstance(thing, property):
            found[at] = thing.fget
        elif isinstance(thing, functools.cached_property):
            found[at] = thing.func
    return found


def _followed(module: str) -> bool:
    return contents.users_own(module) and not module.startswith("sam_edu.")


def _inside_names(function: FunctionType) -> Iterator[Any]:
    """What a function may look up as ``name.attribute``, for classes and Python modules of the user's own."""
    names, everything = _names(function.__code__), function.__globals__
    for name in names:
        owner = everything.get(name)
        if isinstance(owner, type):
            own = _followed(owner.__module__)
        else:
            own = isinstance(owner, ModuleType) and _followed(owner.__name__)
        if own:
            yield from [vars(owner)[inner] for inner in names if inner in vars(owner)]


def _variables(function: FunctionType) -> list[Any]:
    cells, names = function.__closure__ or (), function.__globals__
    try:
        found = [cell.cell_contents for cell in cells]
    except ValueError:  # some are not filled yet
        found = [thing for cell in cells for thing in _content(cell)]
    found += function.__defaults__ or ()
    if function.__kwdefaults__:
        found += function.__kwdefaults__.values()
    found += map(names.get, _names(function.__code__))  # None for what is no global name
    return found


def _content(cell: CellType) -> list[Any]:
    try:
        return [cell.cell_contents]
    except ValueError:
        return []


@functools.lru_cache(maxsize=1000)
def _names(code: CodeType) -> list[str]:
    """What it and the functions inside it (they are in its constants) may look up among global names."""
    inside = [_names(constant) for constant in code.co_consts if isinstance(constant, CodeType)]
    return list(dict.fromkeys([*code.co_names, *itertools.chain(*inside)]))


def _of_a_library(name: str | None) -> bool:
    return (name or "").partition(".")[0] in _LIBRARIES
