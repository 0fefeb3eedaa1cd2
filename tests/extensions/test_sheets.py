"""The theme's style sheets lose the rules that no page can use, and no other."""

import pytest

from book._ext.sheets import Words, drop_unused

WORDS = Words(['<p class="admonition note shown">', 'tip.classList.add("bs-tooltip-" + side, "open")'])


@pytest.mark.parametrize("css", [
    "p{color:red}", ".note{color:red}", ".note.shown>a:hover{color:red}", ".bs-tooltip-top{margin:0}",
    "p:not(.never){color:red}", ":is(.note,.never) a{color:red}", "[data-x=\".never\"]{color:red}",
    ":root{--x:url(\"data:image/svg+xml,.never\")}", "@font-face{src:url(a.never)}",
    "@keyframes never{0%{opacity:0}to{opacity:1}}", "@charset \"UTF-8\";", "@media print{.note{color:red}}",
])  # fmt: skip
def test_what_a_page_may_use_stays(css):
    assert drop_unused(css, WORDS).replace(" ", "") == css.replace(" ", "")


@pytest.mark.parametrize("css", [
    ".never{color:red}", ".note .never{color:red}", "p:not(.note).never{color:red}",
    "@media print{.never{color:red}}", "@supports (display:grid){@media print{.never{color:red}}}",
])  # fmt: skip
def test_what_no_page_can_use_goes(css):
    assert drop_unused(css, WORDS) == ""


def test_a_rule_keeps_the_selectors_that_are_used():
    assert drop_unused(".never,.note,a:is(.x,.y),.never b{margin:0}", WORDS) == ".note,a:is(.x,.y){margin:0}"
