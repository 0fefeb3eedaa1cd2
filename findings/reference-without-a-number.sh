#!/usr/bin/env bash
# A reference to an unnumbered statement prints a word and a blank, and the strictest build says nothing.
#
# Seen with sphinx-proof 0.4.0 (sphinx 7.4.7, myst-parser 3.0.1): {prf:ref} to a statement with `:nonumber:` comes out as
# "Theorem " with nothing behind it; `sphinx-build -n -W` exits 0 without a warning.
# Why it matters here: the book numbers only its main statements. A reader reported ten sentences such as "(Expansion )";
# no check of the build can find them, so a test reads the pages.
# Fails if the reference prints a number or a title, or the build complains.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install -q --disable-pip-version-check sphinx==7.4.7 myst-parser==3.0.1 sphinx-proof==0.4.0 docutils==0.21.2
mkdir "$here/book"
cat > "$here/book/conf.py" <<'PY'
extensions = ["myst_parser", "sphinx_proof"]
myst_enable_extensions = ["colon_fence"]
PY
cat > "$here/book/index.md" <<'MD'
# A page

:::{prf:theorem} With a title
:label: thm-plain
:nonumber:
One is less than two.
:::

By {prf:ref}`thm-plain` it holds.
MD
"$here/venv/bin/sphinx-build" -q -n -W -b html "$here/book" "$here/html" && echo "sphinx-build -n -W: exit 0"
"$here/venv/bin/python" - "$here/html/index.html" <<'PY'
import importlib.metadata, re, sys
print("sphinx-proof", importlib.metadata.version("sphinx-proof"))
text = re.sub(r"<[^>]+>", "", open(sys.argv[1], encoding="utf-8").read())
sentence = next(line for line in text.splitlines() if "it holds" in line)
print(repr(sentence))
assert re.search(r"By Theorem\s+it holds", sentence), "the behaviour has changed"
PY
