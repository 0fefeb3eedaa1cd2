"""What a reader types wrongly is answered in one line that says what was expected."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sam_edu import _check


def one_line(error: pytest.ExceptionInfo[BaseException], *hints: str) -> None:
    message = str(error.value)
    assert message and "\n" not in message and len(message) < 400, message
    for hint in hints:
        assert hint in message, message


@given(st.floats(0, 1))
def test_numbers_inside_pass_unchanged(value):
    assert _check.number("rho", value, low=0, high=1) == value


@pytest.mark.parametrize("value", [-1e-300, math.nan, 1.0000001, math.inf, -math.inf])
def test_numbers_outside_are_named_with_their_interval(value):
    with pytest.raises(ValueError) as error:
        _check.number("rho", value, low=0, high=1)
    one_line(error, "rho", ">= 0 and <= 1", repr(value))


def test_open_ends_are_excluded():
    with pytest.raises(ValueError) as error:
        _check.number("p", 0.5, low=0.5, high=1, open_low=True, open_high=True)
    one_line(error, "> 0.5 and < 1")
    with pytest.raises(ValueError):
        _check.number("p", 1, low=0.5, high=1, open_high=True)
    with pytest.raises(ValueError) as error:  # infinity *is* above 0: what it lacks is named, too
        _check.number("lr", math.inf, low=0, high=math.inf, open_low=True, open_high=True)
    one_line(error, "lr must be > 0 and finite, got inf")


@pytest.mark.parametrize(
    "value", [None, "a lot", [1.0], {}, 1j, np.ones(2), np.ones((40, 40)), torch.ones(2), torch.ones(40, 40)]
)
def test_what_is_no_number_is_a_type_error_in_one_line(value):
    with pytest.raises(TypeError) as error:
        _check.number("rho", value, low=0, hint="it is the radius")
    one_line(error, "rho must be a number", "it is the radius")


@pytest.mark.parametrize("value", [np.float32(0.25), np.array(0.25), torch.tensor(0.25), 0.25])
def test_zero_dimensional_numbers_of_any_library_pass(value):
    assert _check.number("rho", value) == 0.25


def test_without_bounds_only_nan_is_refused():
    assert _check.number("w1", -math.inf) == -math.inf
    with pytest.raises(ValueError) as error:
        _check.number("w1", math.nan)
    one_line(error, "a number, not NaN")


@pytest.mark.parametrize("value", [True, 2.5, "x", math.inf, -math.inf])
def test_whole_numbers(value):
    assert _check.integer("steps", np.int64(3), low=1) == 3
    assert _check.integer("steps", 3.0) == 3
    with pytest.raises((TypeError, ValueError)) as error:
        _check.integer("steps", value, low=1)
    one_line(error, "steps")


def test_whole_numbers_have_a_lower_end():
    with pytest.raises(ValueError) as error:
        _check.integer("steps", 0, low=1)
    one_line(error, "steps must be >= 1")


def test_choice_lists_what_is_known():
    assert _check.choice("norm", "l2", ("linf", "l2")) == "l2"
    with pytest.raises(ValueError) as error:
        _check.choice("norm", "l3", (name for name in ("linf", "l2")), hint="see chapter 4")
    one_line(error, "'linf', 'l2'", "'l3'", "see chapter 4")
