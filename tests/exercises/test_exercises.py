"""Every exercise judges itself: the empty answer, the right one, a wrong one, a typical slip."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sam_edu import book, exercises
from sam_edu.exercises import Choice, Function, Number

ALL = exercises.numbers()


def test_numbers_are_those_of_the_book():
    assert len(ALL) == len(set(ALL)) >= 8
    for number in ALL:
        chapter, _, place = number.partition(".")
        assert chapter.isdigit() and place.isdigit()


@pytest.mark.parametrize("number", ALL)
class TestEach:
    def test_the_stub_gets_help(self, number, capsys):
        for empty in (..., None):
            assert not book.check(number, empty)
            out = capsys.readouterr().out
            assert (
                out.startswith(f"Exercise {number}: ") and "replace the ..." in out and out.count("\n") == 1
            )

    def test_the_solution_passes(self, number, capsys):
        assert book.check(number, exercises.get(number).solution())
        assert "correct" in capsys.readouterr().out

    def test_a_wrong_answer_fails(self, number, capsys):
        for wrong in wrong_answers(exercises.get(number)):
            assert not book.check(number, wrong)
            out = capsys.readouterr().out
            assert "correct." not in out and out.count("\n") == 1, out

    def test_what_is_no_answer_fails(self, number, capsys):
        nonsense = [
            "",
            "x",
            [],
            {},
            object(),
            float("nan"),
            float("inf"),
            np.ones(2),
            torch.ones(2),
            [1, 2],
            len,
        ]
        for answer in nonsense:
            assert not book.check(number, answer)
            assert capsys.readouterr().out.count("\n") == 1


def wrong_answers(exercise):
    if isinstance(exercise, Number):
        value = exercise.solution()
        return [
            1.7 * value + 1,
            -value - 1,
            0.5 * value - 0.3,
            *(slip() for slip in exercise.mistakes.values()),
        ]
    if isinstance(exercise, Choice):
        return [key for key in exercise.feedback if key != exercise.expected]
    right = exercise.solution()

    def broken(*arguments):
        raise ZeroDivisionError("in my function")

    return [
        lambda *a: np.asarray(right(*a)) + 0.01,
        lambda *a: np.asarray(right(*a)) * 1.5 + 1,
        lambda *a: [np.asarray(right(*a))] * 2,
        lambda: 1.0,
        lambda *a: None,
        broken,
    ]


SLIPS = [(n, hint) for n in ALL if isinstance(exercises.get(n), Number) for hint in exercises.get(n).mistakes]


@pytest.mark.parametrize("number, hint", SLIPS)
def test_typical_slips_get_their_own_hint(number, hint, capsys):
    book.check(number, exercises.get(number).mistakes[hint]())
    assert hint in capsys.readouterr().out


@pytest.mark.parametrize("number", [n for n in ALL if isinstance(exercises.get(n), Choice)])
def test_choices_give_a_reason_for_every_option(number):
    exercise = exercises.get(number)
    assert exercise.expected in exercise.feedback and all(exercise.feedback.values())
    assert "choose one of" in exercise.judge("something else")[1]


def test_too_large_and_too_small():
    exercise = Number(lambda: 2.0, "Yes.")
    assert exercise.judge(3)[1].endswith("too large.") and exercise.judge(1)[1].endswith("too small.")
    assert exercise.judge("abc") == (False, "a number is wanted, got 'abc'.")
    assert exercise.judge(2.0005)[0] and not exercise.judge(2.005)[0]
    assert exercise.judge(torch.tensor(2.0))[0] and exercise.judge(np.float32(2.0))[0]


def test_functions_of_the_reader_may_raise():
    exercise = Function(lambda a: a + 1, lambda: [(1.0,), (np.ones(3),)], "Yes.")
    assert "ZeroDivisionError for (1): division" in exercise.judge(lambda a: 1 / 0)[1]
    assert "the shape is (), expected (3,)" in exercise.judge(lambda a: 2.0)[1]
    assert "a function is wanted, got int" in exercise.judge(3)[1]


def test_unknown_numbers_list_the_chapters():
    with pytest.raises(KeyError, match=r"6\.2"):
        exercises.get("6.99")
    for unknown in ("99.1", "x", ""):
        with pytest.raises(KeyError, match="none here"):
            exercises.get(unknown)


def test_a_function_without_a_body_is_told_so():
    exercise = exercises.Function(lambda a: 2 * a, lambda: [(1.0,)], "Twice.")
    for stub in (lambda a: None, lambda a: ...):
        verdict, message = exercise.judge(stub)
        assert not verdict and "write its body" in message


def test_a_notebook_shows_the_message_and_no_verdict():
    from IPython.core.formatters import DisplayFormatter

    right, wrong = book.Verdict(True), book.Verdict(False)
    assert DisplayFormatter().format(right) == DisplayFormatter().format(wrong) == ({}, {})
    assert right and not wrong and right == True and wrong == False and right != wrong  # noqa: E712
    assert (repr(right), repr(wrong)) == ("True", "False") and {right, right} == {right}
    assert (right == 1) is False and isinstance(book.check("6.1", ...), book.Verdict)
