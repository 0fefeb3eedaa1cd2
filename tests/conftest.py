"""What all tests share."""

import os

from hypothesis import settings

os.environ.setdefault("MPLBACKEND", "Agg")  # no window, on machines with a screen too

# The same examples at every run, so that a failure can be repeated; no deadline, because machines
# differ in speed.
settings.register_profile("book", derandomize=True, deadline=None)
settings.load_profile("book")
