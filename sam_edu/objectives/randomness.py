"""Random numbers at one moment: two passes are to see the same dropout masks, mixing weights, layers."""

from __future__ import annotations

import ctypes
import random
import sys
import warnings
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from typing import Any

import torch
from torch import Tensor
from torch.quasirandom import SobolEngine

from sam_edu.objectives.reach import is_generator

_Twister = ctypes.c_char * (4 * 624 + 4)  # Python's and NumPy's generator: 624 words and a position


class RandomState:
    """The state of every generator that a forward pass may draw from.

    torch's own (of the CPU, of the devices that hold the weights and of ``others``), Python's ``random``,
    NumPy's ``numpy.random`` if it is loaded, and those that are named.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        generators: Iterable[Any] = (),
        others: AbstractSet[torch.device] = frozenset(),
    ) -> None:
        self.cpu = torch.default_generator.get_state()
        self.python = _python_state()
        self.numpy = _numpy_state()
        self.rest = [_state_of(g) for g in generators] if generators else []
        elsewhere = [p.device for p in params if not p.is_cpu]
        if elsewhere or others:
            self.rest += [_device_state(device) for device in others | set(elsewhere)]

    def restore(self) -> None:
        torch.default_generator.set_state(self.cpu)
        self.python()
        self.numpy()
        for restore in self.rest:
            restore()


class Generators:
    """Those that modules draw from, with their names there: another one may come to stand behind a name."""

    def __init__(self) -> None:
        self.found: list[Any] = []
        self._places: list[tuple[int, Any, str]] = []

    def add(self, generators: Iterable[Any], spaces: Iterable[Any] = ()) -> None:
        """``spaces`` are the dictionaries in which they may have names."""
        for g in generators:
            if all(g is not known for known in self.found):
                named = [(space, name) for space in spaces for name, thing in space.items() if thing is g]
                self._places += [(len(self.found), *place) for place in named]
                self.found.append(g)

    def now(self) -> list[Any]:
        for at, space, name in self._places:
            thing = space.get(name)
            if thing is not self.found[at] and is_generator(thing):
                self.found[at] = thing
        return self.found


def _state_of(generator: Any) -> Callable[[], Any]:
    """A function that sets this generator back to where it is now."""
    if isinstance(generator, torch.Generator):
        now = generator.get_state()
        return lambda: generator.set_state(now)
    if isinstance(generator, random.SystemRandom):
        warnings.warn(
            "random.SystemRandom has no state to go back to: the two passes of a step draw different "
            "numbers; use random.Random(seed)",
            stacklevel=2,
        )
        return lambda: None
    if isinstance(generator, random.Random):
        state = generator.getstate()
        return lambda: generator.setstate(state)
    if isinstance(generator, SobolEngine):
        quasi, drawn = generator.quasi.clone(), generator.num_generated
        return lambda: vars(generator).update(quasi=quasi.clone(), num_generated=drawn)
    if hasattr(generator, "set_state"):  # numpy.random.RandomState
        legacy = generator.get_state()
        return lambda: generator.set_state(legacy)
    bits = getattr(generator, "bit_generator", generator)
    plain = bits.state
    return lambda: setattr(bits, "state", plain)


def _device_state(device: torch.device) -> Callable[[], Any]:
    module = getattr(torch, device.type, None)
    if module is None or not hasattr(module, "get_rng_state"):
        return lambda: None
    where = () if device.type == "mps" else (device,)
    state = module.get_rng_state(*where)
    return lambda: module.set_rng_state(state, *where)


class _python_state:
    """The state of Python's ``random``, without the cost of asking for it: ten times that of torch's.

    CPython keeps an index and 624 words behind the head of the object. Where this is so (``readable``), the
    memory is compared, and only where it has changed is the generator set back.
    """

    memory = _Twister.from_address(id(random._inst) + object.__basicsize__)
    readable: bool | None = None

    def __init__(self) -> None:
        if _python_state.readable is None:
            _python_state.readable = _words(self.memory.raw) == random.getstate()[1]
        self.then: Any = self.memory.raw if self.readable else random.getstate()
        self.gauss = random._inst.gauss_next  # type: ignore[attr-defined]

    def __call__(self) -> None:
        if not self.readable:
            random.setstate(self.then)
        elif self.memory.raw != self.then:
            random.setstate((random.getstate()[0], _words(self.then), self.gauss))
        else:
            random._inst.gauss_next = self.gauss  # type: ignore[attr-defined]


def _words(memory: bytes) -> tuple[int, ...]:
    """As in ``random.getstate()``: the words, then the index."""
    index, *words = memoryview(memory).cast("I")
    return (*words, index)


class _numpy_state:
    """numpy.random's state, without the cost of asking for it: a hundred times that of torch's.

    Its memory is compared; only where somebody has drawn since the last step is numpy asked for all of it,
    a second normal number that waits beside the memory included.
    """

    bits: Any = None  # the generator seen last, its memory if that is known,
    memory: Any = None
    quiet = b""  # and what was in there when no number waited

    def __init__(self) -> None:
        self.module = sys.modules.get("numpy.random")
        if self.module is None:
            return
        seen, bits = _numpy_state, self.module.get_bit_generator()
        if bits is not seen.bits:
            plain = type(bits).__name__ == "MT19937"
            seen.memory = _Twister.from_address(bits.ctypes.state_address) if plain else None
            seen.bits, seen.quiet = bits, b""
        self.then = b"" if self.memory is None else self.memory.raw
        if not self.then or self.then != seen.quiet:
            self.whole = self.module.get_state(legacy=False)
            seen.quiet = b"" if self.whole["has_gauss"] else self.then
        else:
            self.whole = None

    def __call__(self) -> None:
        if self.module is None:
            return
        if self.whole is not None:
            self.module.set_state(self.whole)
        elif self.memory.raw != self.then:
            words = memoryview(self.then).cast("I")
            self.module.set_state(("MT19937", list(words[:624]), words[624]))
