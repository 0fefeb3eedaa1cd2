"""A true minus sign before negative numbers in the text; a number stays beside its ±, %, letter and chapter.

Formatted numbers carry the hyphen of the keyboard: too short beside a plus sign, and some screen readers
pass over it, which turns a loss into a gain. Code and mathematics keep theirs, to be copied; tables of
results get theirs where they are made (:mod:`sam_edu.plots`).
"""

import re

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform

MINUS = "\N{MINUS SIGN}"
# where a line must not end: at ± and %, and within "ρ = 0.2" and "chapter 12"
BREAK = re.compile(
    r"(?<=\b[Cc]hapter) (?=\d)| (?=±)|(?<=±) | (?=%(?!\w))"
    r"|(?<=\b\w) (?=[=<>≤≥≈] )|(?<=\b\w[ \xa0][=<>≤≥≈]) (?=[\d−-])"
)
FIXED = "\N{NO-BREAK SPACE}"
HYPHEN = re.compile(r"(?<![\w.,)\]/%–-])-(?=\d)")
VERBATIM = (nodes.FixedTextElement, nodes.literal, nodes.math)  # the first: blocks of code, mathematics, HTML


class TrueMinus(SphinxPostTransform):
    """Runs after glued numbers have arrived."""

    default_priority = 950

    def run(self, **kwargs):
        for text in list(self.document.findall(nodes.Text)):
            said = BREAK.sub(FIXED, HYPHEN.sub(MINUS, text))
            if said != text and not _verbatim(text):
                text.parent.replace(text, nodes.Text(said))


def _verbatim(node):
    while node.parent is not None:
        node = node.parent
        if isinstance(node, VERBATIM):
            return True
    return False


def setup(app):
    app.add_post_transform(TrueMinus)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
