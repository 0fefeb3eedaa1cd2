"""The figure of the traps: what it refuses."""

from __future__ import annotations

import pytest

from sam_edu import widgets
from tests.figures import trap_rows


def broken(**change):
    rows = trap_rows()
    rows[0] |= change
    return rows


BAD = {
    "missing": ([{"title": "x"}], {}, "rows[0]: 'name' is missing"),
    "none": ([], {}, "at least one trap"),
    "name": (broken(name="batch norm"), {}, "name must consist of letters and digits"),
    "error": (broken(error_right=[[50.0] * 6]), {}, "error_right must lie in [0, 1]"),
    "nan": (broken(symptom_wrong=[[float("nan")] * 6]), {}, "finite numbers"),
    "length": (broken(error_wrong=[[0.1] * 5]), {}, "same number of epochs, got [5, 6]"),
    "text": (broken(error_wrong="no"), {}, "list over seeds"),
    "trap": (trap_rows(), {"trap": "x"}, "trap must be one of ['statistics', 'overflow'], got 'x'"),
    "epoch": (trap_rows(), {"epoch": 7}, "epoch must be 1 to 6, got 7"),
    "switch": (trap_rows(), {"switch": "on"}, "switch must be one of 'wrong', 'right', got 'on'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_rows_are_refused_in_one_line(case):
    rows, more, message = BAD[case]
    with pytest.raises(widgets.WidgetValueError) as caught:
        widgets.TrapsExplorer(rows, **more)
    assert message in str(caught.value) and "\n" not in str(caught.value)
