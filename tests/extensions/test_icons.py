"""The icons that the book shows."""

from __future__ import annotations

from book._ext import icons


def test_unused_icons_go_and_used_ones_stay():
    css = (
        '.fa-sun:before{content:"\\f185"}.fa-moon:before,.fa-night:before{content:"\\f186"}'
        ".fa-solid{font-weight:900}"
    )
    assert icons.drop_rules(css, {"fa-night"}) == css.replace(
        '.fa-sun:before{content:"\\f185"}', ""
    )
    assert icons.codepoints('a{content:"\\f185"} b{--x:"\uf0f3"}') == {0xF185, 0xF0F3}
