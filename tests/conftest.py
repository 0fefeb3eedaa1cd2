"""What all tests share."""

import os

import pytest
from hypothesis import settings

os.environ.setdefault("MPLBACKEND", "Agg")  # no window, on machines with a screen too

# The same examples at every run, so that a failure can be repeated; no deadline, because machines
# differ in speed.
settings.register_profile("book", derandomize=True, deadline=None)
settings.load_profile("book")


@pytest.fixture(scope="session")
def digits():
    from sam_edu import data  # not every session of tests needs torch

    return data.load("digits")


@pytest.fixture(scope="session")
def batch(digits):
    """Of training images; read it, change it not."""
    return digits.train_x[:64], digits.train_y[:64]
