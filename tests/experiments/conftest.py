"""Studies that several of these files read; records are loaded once."""

from __future__ import annotations

import pytest

from sam_edu.experiments import Study, study


@pytest.fixture(scope="package")
def digits() -> Study:
    return study("digits", seeds=3)
