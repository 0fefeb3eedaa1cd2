"""Importing the library costs next to nothing and drags in no big package that is not needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torchvision", "matplotlib", "torchattacks", "anywidget", "pyautoattack", "sklearn", "myst_nb",
         "pandas", "foolbox", "scipy.stats")  # fmt: skip


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.timing
def test_import_adds_at_most_300_ms_to_torch():
    code = (
        "import time; import torch; t = time.perf_counter(); import sam_edu; print(time.perf_counter() - t)"
    )
    assert any(float(python(code)) <= 0.3 for _ in range(3))  # a busy machine gets more tries


def test_nothing_heavy_is_loaded_by_the_core_and_not_even_torch_by_the_name_alone():
    code = (
        "import sys, sam_edu; print('torch' in sys.modules); "
        "from sam_edu import toy, attacks, objectives, training, sharpness, models, experiments, data; "
        f"data.load('digits'); print([m for m in {HEAVY} if m in sys.modules])"
    )
    assert python(code).split("\n") == ["False", "[]"]


def test_public_names():
    import sam_edu

    for name in sam_edu.__all__:
        assert getattr(sam_edu, name).__name__ == f"sam_edu.{name}"
    assert set(sam_edu.__all__) <= set(dir(sam_edu))
    from sam_edu.objectives import ERM, SAM, perturbed  # noqa: F401

    with pytest.raises(AttributeError, match="no attribute 'sharpnes'; it has attacks"):
        sam_edu.sharpnes  # noqa: B018
    assert sam_edu.__version__
