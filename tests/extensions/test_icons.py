"""The icons that the book shows."""

from __future__ import annotations

from book._ext import icons
from book._ext.sheets import Words, drop_unused


def test_unused_icons_go_and_used_ones_stay():
    css = (
        '.fa-sun:before{content:"\\f185"}.fa-moon:before,.fa-night:before{content:"\\f186"}'
        ".fa-solid{font-weight:900}"
    )
    shown = drop_unused(css, Words(['<i class="fa-solid fa-night">']))
    assert "fa-sun" not in shown and "fa-night" in shown and "fa-solid" in shown
    assert icons.codepoints(shown) == {0xF186}
    assert icons.codepoints('a{content:"\\f185"} b{--x:"\uf0f3"}') == {0xF185, 0xF0F3}
