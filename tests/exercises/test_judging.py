"""``check`` judges as a teacher would: right to the digits asked for, other right answers, no wrong one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sam_edu import exercises
from sam_edu.exercises import Choice, Function, Number

NUMBERS = [n for n in exercises.numbers() if isinstance(exercises.get(n), Number)]
CHOICES = [n for n in exercises.numbers() if isinstance(exercises.get(n), Choice)]


def rounded(value: float, digits: int) -> float:
    return float(f"{value:.{digits - 1}e}")


@pytest.mark.parametrize("number", NUMBERS)
def test_the_answer_may_be_rounded_to_the_digits_asked_for(number):
    exercise = exercises.get(number)
    value = exercise.solution()
    for digits in range(exercise.digits, 9):
        assert exercise.judge(rounded(value, digits))[0]
        assert exercise.judge(f"{value:.{digits - 1}e}")[0]  # typed as text
    place = 10.0 ** (math.floor(math.log10(abs(value))) + 1 - exercise.digits)
    if not exercise.absolute:
        for wrong in (value + 1.01 * place, value - 1.01 * place):  # a whole unit of that digit away
            verdict, message = exercise.judge(wrong)
            assert not verdict and message.startswith("not yet")


@pytest.mark.parametrize(
    "number, answer",
    [("3.2", 0.194), ("4.8", 1.83), ("4.8", "1.83"), ("11.5", 0.078), ("6.3", 270), ("6.3", 271),
     ("8.3", 0.997), ("10.2", 11.1), ("4.4", 0.0078), ("4.4", 0.00784), ("4.2", 0.286), ("2.2", 7.96),
     ("11.1", 9600), ("11.1", 9604), ("12.4", 4.4), ("13.1", 71), ("5.2", 12), ("14.3", 0.04)],
)  # fmt: skip
def test_right_answers_of_readers(number, answer):
    assert exercises.get(number).judge(answer)[0]


@pytest.mark.parametrize(
    "number, answer",
    [("3.2", 0.19), ("3.2", 0.195), ("4.8", 1.8), ("4.8", 1.84), ("8.3", 0.996), ("8.3", 0.998),
     ("10.2", 11.0), ("10.2", 11.2), ("4.4", 0.0079), ("6.3", 280), ("6.3", 260), ("11.5", 0.08),
     ("11.5", 0.3), ("5.2", 11), ("5.2", 12.1), ("14.3", 0.05), ("14.2", 11), ("2.2", 7.9), ("12.4", 4.5)],
)  # fmt: skip
def test_wrong_answers_of_readers(number, answer):
    assert not exercises.get(number).judge(answer)[0]


def test_an_answer_that_is_nearly_right_is_asked_for_its_digits():
    assert "give 3 digits" in exercises.get("3.2").judge(0.19 + 0.003)[1]
    assert "digits" not in exercises.get("3.2").judge(0.5)[1]


@pytest.mark.parametrize("number", CHOICES)
def test_capitals_and_blanks_do_not_matter_in_a_choice(number):
    exercise = exercises.get(number)
    for key in exercise.feedback:
        for typed in (key.upper(), key.capitalize(), f"  {key} ", key.replace(" ", "  ")):
            assert exercise.judge(typed) == exercise.judge(key)


def test_all_ten_classes_can_be_chosen():
    from sam_edu.data import class_names

    assert set(exercises.get("5.1").feedback) == set(class_names("fashion-mnist"))
    assert [name for name in class_names("fashion-mnist") if exercises.get("5.1").judge(name)[0]] == ["shirt"]


def passes(config, climbs):
    return config.epochs * (1 + climbs + (config.attack_steps if config.eps > 0 else 0))


RIGHT = [
    ("2.3", lambda g, rho: np.where(g > 0, rho, -rho)),
    ("2.3", lambda g, rho: np.where(g == 0, 0.3 * rho, rho * np.sign(g))),
    ("2.3", lambda g, rho: (rho * np.sign(g)).tolist()),
    ("4.10", lambda x, zeta, mean, std: np.minimum(np.maximum(x + zeta * std, 0), 1)),
    ("14.4", lambda config: passes(config, int(config.rho > 0 or config.gamma > 0))),
    ("14.4", lambda config: passes(config, max(config.rho > 0, config.gamma > 0))),
]


def there_and_back(x, zeta, mean, std):
    z = (x.astype(float) - mean) / std
    return np.clip((z + zeta) * std + mean, 0, 1)


WRONG = [
    ("2.3", lambda g, rho: rho * g / np.linalg.norm(g)),
    ("2.3", lambda g, rho: np.where(g > 0, rho, 0.0)),
    ("2.3", lambda g, rho: -rho * np.sign(g)),
    ("2.3", lambda g, rho: 2 * rho * np.sign(g)),  # out of the cube
    ("2.3", lambda g, rho: np.where(g == 0, 2 * rho, rho * np.sign(g))),  # out of it where g is 0
    ("4.10", there_and_back),
    ("4.10", lambda x, zeta, mean, std: x + std * zeta),
    ("4.10", lambda x, zeta, mean, std: np.clip(x + zeta, 0, 1)),
    ("14.4", lambda config: passes(config, (config.rho > 0) + (config.gamma > 0))),
    ("14.4", lambda config: passes(config, int(config.rho > 0))),
]


@pytest.mark.parametrize("number, answer", RIGHT)
def test_right_functions_pass(number, answer):
    assert exercises.get(number).judge(answer)[0]


@pytest.mark.parametrize("number, answer", WRONG)
def test_wrong_functions_fail(number, answer):
    assert not exercises.get(number).judge(answer)[0]


MUTATIONS = {
    "twice": lambda v: 2 * v, "negative": lambda v: -v, "shifted": lambda v: v + 1e-3,
    "one in a thousand": lambda v: 1.001 * v, "square": lambda v: v * v, "first entry": lambda v: _first(v),
    "zero": lambda v: 0 * v,
}  # fmt: skip


def _first(value):
    """Only one entry of the array is wrong, the last one."""
    changed = np.array(value, dtype=float, copy=True)
    changed.reshape(-1)[-1] += 0.01
    return changed


FUNCTIONS = [n for n in exercises.numbers() if isinstance(exercises.get(n), Function)]


@pytest.mark.parametrize("slip", MUTATIONS)
@pytest.mark.parametrize("number", FUNCTIONS)
def test_functions_with_a_slip_fail(number, slip):
    exercise = exercises.get(number)
    right = exercise.solution()
    verdict, message = exercise.judge(lambda *a: MUTATIONS[slip](np.asarray(right(*a), dtype=float)))
    assert not verdict and "array of shape" not in message.split("it gives")[-1]


def test_the_first_entry_that_differs_is_shown():
    exercise = Function(lambda a: a + 1.0, lambda: [(np.zeros((2, 3)),)], "Yes.")
    message = exercise.judge(lambda a: a + 1 + np.array([[0, 0, 0], [0, 0.25, 7]]))[1]
    assert message.endswith("it gives 1.25 at entry (1, 1), not 1.")
    row = Function(lambda a: a + 1.0, lambda: [(np.zeros(3),)], "Yes.")
    assert row.judge(lambda a: np.array([1, 1, 0.5]))[1].endswith("it gives 0.5 at entry 2, not 1.")
    fine = Function(lambda a: a, lambda: [(0.5,)], "Yes.", exact=lambda a: True)
    assert fine.judge(lambda a: a + 1e-12)[1].endswith("it gives 0.50000000000099998, not 0.5.")


@pytest.mark.parametrize("number", [*NUMBERS, *CHOICES])
def test_a_page_can_judge_by_the_same_rules(number):
    """Numbers of the page's data decide as ``judge`` does; no kind has rules that a page does not get."""
    exercise = exercises.get(number)
    plain = exercise.to_dict()
    if isinstance(exercise, Choice):
        assert plain["feedback"][plain["expected"]] == exercise.feedback[exercise.expected]
        return
    for factor in (1, 1 + 1e-5, 1.003, 0.97, 2, -1):
        value = factor * exercise.solution()
        assert exercise.judge(value)[0] == (abs(value - plain["value"]) < plain["within"])
    assert [slip["hint"] for slip in plain["mistakes"]] == list(exercise.mistakes)


def test_the_threshold_of_the_first_figure_belongs_to_its_sixty_steps():
    """What check("2.1", ...) says: with more steps a smaller radius passes the bump; 0.12 never does."""
    from sam_edu.toy import landscape

    def end(rho: float, steps: int) -> float:
        w = np.array([-1.2, 0.5])
        for _ in range(steps):
            w = landscape.step(w, rho, 0.08)
        return float(w[0])

    exercise = exercises.get("2.1")
    verdict, message = exercise.judge(exercise.solution())
    assert verdict and "With more steps a smaller ρ passes" in message and "at 0.12 SAM stays" in message
    assert end(0.2, 60) < -0.5 and end(0.2, 240) > 0.9
    assert end(0.12, 3000) == pytest.approx(end(0.12, 2000), abs=1e-3) and end(0.12, 3000) < -0.5
