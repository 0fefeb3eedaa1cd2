"""What the search page quotes."""

from __future__ import annotations

from book._ext import excerpts


def test_a_quotation_has_the_words_of_the_page_and_its_anchors() -> None:
    page = """<nav>menu</nav><article><section id="one"><h1>Flat<a class="headerlink">#</a></h1>
        <p>A <em>flat</em> minimum, \\(x^2 &lt; 1\\) &amp; more.</p><script>let a</script><img src="x.png">
        <p><a class="se-colab">Open in Colab</a></p></section></article><footer>end</footer>"""
    assert excerpts.text_of(page) == (
        '<div role="main"><section id="one"> Flat A flat minimum, … &amp; more. </section></div>'
    )
