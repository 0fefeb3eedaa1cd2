"""Figures: one look per method, alt text and numbers with every drawing, one drawing for light and dark."""

from __future__ import annotations

import html
import itertools
import json
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
    assert "matplotlib.org" not in svg and "DejaVu" not in svg


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


def test_a_table_has_a_minus_where_a_number_is_negative():
    cells = ["PGD-20", "-0.3 to +0.9", "-0.46 [-0.66, +0.07]", "2020-01-02", "1e-06", -0.25]
    said = re.findall("<td>(.*?)</td>", plots.show_table({"a": cells}).markup)
    assert [text.replace("\u00a0", " ") for text in said] == [
        "PGD-20", "−0.3 to +0.9", "−0.46 [−0.66, +0.07]", "2020-01-02", "1e-06", "−0.25",
    ]  # fmt: skip


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


def cells(shown):
    """The table under a figure: its head and its rows, as texts."""
    head = re.findall(r"<th [^>]*>(.*?)</th>", shown.markup)
    rows = [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", shown.markup)[1:]]
    return [html.unescape(text) for text in head], rows


def data_of(shown):
    """What the drawing carries with it."""
    root = ElementTree.fromstring(svg_of(shown))
    return json.loads(root.find("{*}metadata").text)


def test_without_a_table_the_plotted_numbers_are_the_table():
    fig, ax = plots.figure("T", "ε", "accuracy")
    plots.line(ax, X, 1 - X, "SAM", label="SAM")
    plots.line(ax, X, X / 3, "AT")
    plots.end_label(ax, X[-1], X[-1] / 3, "adversarial <training>")
    ax.axvline(0.5)  # a rule is no data
    head, rows = cells(plots.show(fig, "Two lines."))
    assert head == ["ε", "SAM", "adversarial <training>"]
    assert rows == [[f"{x:.4g}", f"{1 - x:.4g}", f"{x / 3:.4g}"] for x in X]


def test_the_drawing_carries_all_that_was_plotted():
    fig, axes = plots.figure("Two", "x", "y", columns=2)
    plots.spread(axes[0], [1, 2], [[0.1, 0.2], [0.3, np.nan]], "SGD", "SGD")
    axes[1].scatter([1, 2], [3, 4], label="dots")
    axes[1].bar([0, 1], [5, 6])
    axes[1].stairs([7, 8], [0, 1, 2])
    axes[1].fill_between([0, 1], [0, 0], [1, 2])
    axes[1].plot([9], [9], "x")
    shown = plots.show(fig, "Many kinds.", table={"a": [1]})
    panels = data_of(shown)
    assert panels == shown.data and [len(p["series"]) for p in panels] == [3, 5]
    runs = panels[0]["series"]
    assert [s["name"] for s in runs] == ["SGD, run 1", "SGD, run 2", "SGD"]
    assert runs[0]["look"].split() == ["#767676", "None", "o", "1.5", "faint"]
    assert runs[2]["look"] == "#767676 - o 1.5"
    assert runs[1]["y"] == [0.3, None] and runs[2]["y"] == [0.2, None] and runs[2]["labelled"] is False
    named = {s["name"]: s for s in panels[1]["series"]}
    assert named["dots"]["y"] == [3, 4] and named["bars"]["y"] == [5, 6] and named["bars"]["x"] == [0, 1]
    assert named["steps"] == {"name": "steps", "x": [0, 1], "y": [7, 8]}
    assert {(0, 0), (0, 1), (1, 0), (1, 2)} <= set(zip(named["band"]["x"], named["band"]["y"], strict=True))
    assert cells(plots.show(fig, "Many kinds."))[0] == ["panel", "series", "x", "y"]


def test_a_share_stands_in_per_cent_where_its_axis_is_in_per_cent():
    fig, ax = plots.figure("T", "ε", "accuracy")
    plots.line(ax, X, 1 - X / 3, "SAM", label="SAM")
    table = {"ε": X, "SAM": 1 - X / 3, "elsewhere": [0.11] * len(X), "seeds": [3] * len(X)}
    plain = cells(plots.show(fig, "A line.", table=table))[1]
    plots.percent_axis(ax)
    told = cells(plots.show(fig, "A line.", table=table))[1]
    assert [row[1] for row in told] == [f"{100 * (1 - x / 3):.4g}\u00a0%" for x in X]
    assert [[*row[:1], *row[2:]] for row in told] == [[*row[:1], *row[2:]] for row in plain]


def test_ticks_in_per_cent_have_the_decimals_that_tell_them_apart():
    for span, decimals in (((0, 1), 0), ((0.86, 0.885), 1), ((0.5, 0.5005), 2)):
        _, ax = plots.figure("", "x", "y")
        ax.set_ylim(*span)
        plots.percent_axis(ax)
        ax.figure.draw_without_rendering()
        said = [label.get_text() for label in ax.get_yticklabels()]
        assert len(set(said)) == len(said) > 2
        assert all(len(text.partition(".")[2].rstrip("%")) == decimals for text in said), said
        assert [float(t.rstrip("%")) / 100 for t in said] == pytest.approx(list(ax.get_yticks()))


def test_of_pictures_a_given_table_is_enough():
    fig, ax = plots.figure()
    ax.imshow(np.eye(4))
    assert len(cells(plots.show(fig, "A line."))[1]) == 4  # the pixels
    head, rows = cells(plots.show(fig, "A line.", table={"answer": ["1"]}))
    assert head == ["answer"] and rows == [["1"]]


def test_the_words_of_an_axis_stand_in_the_table():
    fig, ax = plots.figure("", "class", "accuracy")
    plots.line(ax, [0, 1], [0.5, 0.7], "SGD")
    ax.set_xticks([0, 1], ["cat", "dog"])
    assert cells(plots.show(fig, "Two classes."))[1] == [["cat", "0.5"], ["dog", "0.7"]]


def test_a_long_curve_is_thinned_and_says_so():
    fig, ax = plots.figure()
    ax.plot(np.arange(500), np.arange(500) ** 2, label="square")
    shown = plots.show(fig, "A parabola.")
    head, rows = cells(shown)
    assert "View as table (one of every 9 points)" in shown.markup and head == ["x", "square"]
    assert len(rows) == 56 and rows[1] == ["9", "81"] and len(data_of(shown)[0]["series"][0]["x"]) == 500


@pytest.mark.parametrize("size, rows, remark", [(8, 16, ""), (60, 40, "one of every 3 rows and columns")])
def test_pictures_become_rows_of_numbers(size, rows, remark):
    fig, axes = plots.figure(columns=2)
    picture = np.arange(size**2).reshape(size, size) / 7
    for ax in axes:
        ax.imshow(picture)
    axes[0].set_title("left")
    shown = plots.show(fig, "Twice the same picture.")
    head, found = cells(shown)
    step = size * 2 // rows
    assert head[:3] == ["picture", "row", "column 1"] and len(found) == rows and remark in shown.markup
    assert found[0] == ["left", "1", *(f"{v:.2g}" for v in picture[0, ::step])]
    assert found[-1][0] == "picture 2" and float(found[-1][2]) == pytest.approx(picture[-step, 0], rel=0.05)


def test_a_summary_is_followed_by_what_is_plotted():
    fig, ax = plots.figure("", "margin", "count")
    ax.stairs([7, 8, 9], [0, 1, 2, 3], label="losses")
    markup = plots.show(fig, "A histogram.", table={"": ["all"], "mean": [1.58], "n": [24]}).markup
    assert markup.count("<table>") == 2 and markup.count("<details") == 1
    assert markup.index("<td>1.58</td>") < markup.index("<td>9</td>")
    assert drawing(table={"ε in %": 100 * X}).markup.count("<table>") == 1  # plotted, in per cent


def test_a_figure_without_data_has_no_table():
    assert "<details" not in plots.show(plots.figure()[0], "Empty axes.").markup


# Machado, Oliveira, Fernandes (2009), severity 1.0, on linear RGB
BLIND = {
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                     [-0.011820, 0.042940, 0.968881]],
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                   [-0.003882, -0.048116, 1.051998]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                   [0.004733, 0.691367, 0.303900]],
}  # fmt: skip


def lab(colour, matrix=None):
    """CIELAB (D65) of an sRGB colour as seen through ``matrix``."""
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.array(matrix) @ linear, 0, 1) if matrix else linear
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ linear
    f = np.cbrt(xyz / [0.9505, 1.0, 1.089])
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


PALETTE = ["SGD", "SAM", "AT", "SAM+AT", "AWP", "theory", "non-robust features"]


@pytest.mark.parametrize("eye", [None, *BLIND])
def test_colours_stay_apart_for_every_eye(eye):
    """No two methods' colours come closer than ΔE 10 (1976), about ten times what can just be seen."""
    pairs = itertools.combinations(PALETTE, 2)
    seen = {m: lab(plots.STYLES[m]["color"], BLIND.get(eye)) for m in PALETTE}
    distance = {pair: float(np.linalg.norm(seen[pair[0]] - seen[pair[1]])) for pair in pairs}
    assert min(distance.values()) > 10, min(distance, key=distance.get)


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
