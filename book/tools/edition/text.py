"""Pieces of Markdown: quoted and folded blocks, emphasis, code, and text whose signs are no Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable

NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
SIGNED = re.compile(f"[+−-]?{NUMBER.pattern}")


def quoted(texts: Iterable[str]) -> str:
    """A titled block: quoted, so that every reader shows where it ends."""
    return "\n".join(f"> {line}".rstrip() for line in "\n\n".join(texts).split("\n"))


def folded(title: str, texts: Iterable[str]) -> str:
    """Folded text. Without the blank lines Markdown inside would stay as it is written."""
    inside = "\n\n".join(text for text in texts if text)
    return f"<details>\n<summary>{title}</summary>\n\n{inside}\n\n</details>"


def indented(text: str, by: int) -> str:
    """The lines after the first, moved to the right."""
    return re.sub(r"\n(?=[^\n])", "\n" + " " * by, text)


def marked(text: str, sign: str) -> str:
    """Emphasis: the signs must touch the words."""
    inner = text.strip()
    if not inner:
        return text
    head, tail = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    return f"{head}{sign}{inner}{sign}{tail}"


def code_span(text: str, in_table: bool) -> str:
    """Code in a line of text, also with a backtick inside."""
    text = text.replace("|", r"\|") if in_table else text
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    gap = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{gap}{text}{gap}{fence}"


def setting(address: str) -> str:
    """The state of a figure that a link on the page sets, as the arguments of its class.

    >>> setting("#se-playground-1--method_sam--rho_0d4")
    ' (`method="sam", rho=0.4`)'
    """
    traits = [pair.partition("_")[::2] for pair in address.split("--")[1:]]
    if not traits:
        return ""
    numbers = {name: value.replace("n", "-").replace("d", ".") for name, value in traits}
    number = re.compile(r"-?\d+(\.\d+)?(e-?\d+)?")
    said = [
        f"{name}={numbers[name]}" if number.fullmatch(numbers[name]) else f'{name}="{value}"'
        for name, value in traits
    ]
    return f" (`{', '.join(said)}`)"


def escaped(text: str, in_table: bool = False) -> str:
    """Text whose signs are no Markdown."""
    if "$" in text:
        raise ValueError(f"notebooks take a dollar sign for a formula: write USD or code in {text[:60]!r}")
    text = re.sub(r"\\(?=[!-/:-@\[-`{-~])|[`*]|(?<!\w)_|_(?!\w)|~(?=~)", r"\\\g<0>", text)
    text = re.sub(r"<(?=[A-Za-z/!?])|\](?=\()", r"\\\g<0>", text)
    text = re.sub(r"&(?=#?\w+;)", "&amp;", text)
    return text.replace("|", r"\|") if in_table else text


def at_line_start(text: str) -> str:
    """A paragraph that does not look like a heading, an item or a quotation."""
    if re.match(r"#{1,6} |[-+] |>|=+$|-+$", text):
        return "\\" + text
    return re.sub(r"^(\d+)([.)] )", r"\1\\\2", text)
