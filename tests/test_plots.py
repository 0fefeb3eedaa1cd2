"""Figures: one look per method, alt text and numbers with every drawing, one drawing for light and dark."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from sam_edu import plots

X = np.linspace(0, 1, 5)


def drawing(alt="Accuracy falls from 90% to 10%.", **arguments):
    fig, ax = plots.figure("A title", "attack radius ε", "robust accuracy")
    plots.line(ax, X, 1 - X, "SAM", label="SAM")
    return plots.show(fig, alt, **arguments)


def svg_of(shown):
    return re.search(r"<svg.*</svg>", shown.markup, re.DOTALL).group()


def test_a_figure_carries_its_alternative_text():
    shown = drawing('Falls: 3 < 5 & "so on".')
    assert 'role="img"' in shown.markup
    root = ElementTree.fromstring(svg_of(shown))  # well-formed, and the text comes back unharmed
    assert root.get("aria-label") == 'Falls: 3 < 5 & "so on".'
    assert root.get("width") is None and root.get("height") is None and "max-width" in root.get("style")
    assert repr(shown) == 'Figure: Falls: 3 < 5 & "so on".' and shown._repr_html_() == shown.markup


@pytest.mark.parametrize("alt", ["", "   "])
def test_no_figure_without_alternative_text(alt):
    with pytest.raises(ValueError, match="alt must say what the figure shows") as error:
        drawing(alt)
    assert "\n" not in str(error.value)


def test_one_drawing_for_light_and_dark():
    svg = svg_of(drawing())
    assert "currentColor" in svg and plots.INK not in svg.lower() and "#000000" not in svg
    assert "#ffffff" not in svg  # transparent ground
    assert "<text" in svg  # letters stay letters: searchable, and in the colour of the page
    assert "<metadata>" not in svg and "DejaVu" not in svg


def test_the_same_figure_is_the_same_bytes_and_two_figures_share_no_id():
    assert drawing().markup == drawing().markup
    ids = [set(re.findall(r' id="([^"]+)"', svg_of(drawing(alt)))) for alt in ("First.", "Second.")]
    clips = [
        {name for name in found if name.startswith(("p", "m"))} - {"patch_1", "patch_2"} for found in ids
    ]
    long = [
        {name for name in found if len(name) >= 10 and not name.startswith(("matplotlib", "patch"))}
        for found in clips
    ]
    assert long[0] and not long[0] & long[1]


def test_caption_and_table_are_escaped_and_complete():
    markup = drawing(
        caption="n < 5 & more", table={"ε": X, "accuracy <x>": 1 - X, "note": list("abcde")}
    ).markup
    assert "<figcaption>n &lt; 5 &amp; more</figcaption>" in markup
    assert markup.count("<tr>") == 6 and '<th scope="col">accuracy &lt;x&gt;</th>' in markup
    assert "<td>0.25</td><td>0.75</td><td>b</td>" in markup and "<details" in markup


def test_columns_of_different_length_are_an_error():
    with pytest.raises(ValueError):
        drawing(table={"a": [1, 2], "b": [1]})


def test_show_table():
    shown = plots.show_table({"method": ["SGD", "SAM"], "accuracy": [0.5, 0.123456]}, "Two <rows>")
    assert shown.markup.count("<tr>") == 3 and "0.1235" in shown.markup and "Two &lt;rows&gt;" in shown.markup
    assert "<details" not in shown.markup and shown.alt == "Two <rows>"
    assert plots.show_table({"a": [1, 2, 3]}).alt == "table of 3 rows"


def test_methods_differ_without_colour():
    lines = ["SGD", "SAM", "AT", "SAM+AT", "AWP", "control"]
    looks = {(plots.STYLES[m]["linestyle"], plots.STYLES[m]["marker"]) for m in lines}
    assert len(looks) == len(lines)
    expected = {
        "SGD": "#767676",
        "SAM": "#0072B2",
        "AT": "#D55E00",
        "SAM+AT": "#CC79A7",
        "AWP": "#009E73",
        "control": "#A9A9A9",
        "robust feature": "#0072B2",
        "non-robust features": "#E69F00",
    }
    assert {m: plots.STYLES[m]["color"] for m in expected} == expected


def test_line_and_its_label():
    _, ax = plots.figure()
    plots.line(ax, X, 1 - X, "AT", label="AT", linewidth=3)
    (drawn,), (text,) = ax.lines, ax.texts
    assert drawn.get_color() == "#D55E00" and drawn.get_linestyle() == "--" and drawn.get_linewidth() == 3
    assert text.get_text() == "AT" and text.xy == (1.0, 0.0)
    with pytest.raises(KeyError):
        plots.line(ax, X, X, "SWA")


def test_spread_draws_the_mean_and_every_run():
    _, ax = plots.figure()
    runs = np.array([[0.0, 1.0], [1.0, 3.0], [2.0, 2.0]])
    plots.spread(ax, [0, 1], runs, "SAM")
    assert len(ax.lines) == 4 and np.allclose(ax.lines[-1].get_ydata(), [1.0, 2.0])
    assert np.array_equal([line.get_ydata() for line in ax.lines[:3]], runs)


def test_several_columns_and_per_cent():
    fig, axes = plots.figure("Two", "x", "y", columns=2)
    assert len(axes) == 2 and all(ax.get_xlabel() == "x" for ax in axes)
    plots.percent_axis(axes[0])
    plots.percent_axis(axes[1], "x")
    assert axes[0].yaxis.get_major_formatter()(0.25) == "25%" == axes[1].xaxis.get_major_formatter()(0.25)
    assert plots.show(fig, "Two panels.").markup.count("<svg") == 1


def test_figures_are_not_kept_by_pyplot():
    import matplotlib.pyplot as plt

    before, settings = plt.get_fignums(), dict(plt.rcParams)
    drawing()
    assert plt.get_fignums() == before and dict(plt.rcParams) == settings
