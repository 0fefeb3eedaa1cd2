#!/usr/bin/env bash
# A notebook whose interactive function fails runs without an error: nbclient sees nothing of an exception inside interact or Output.
#
# Seen with nbclient 0.11.0, ipywidgets 8.1.9, ipykernel 7.4.0 (Python 3.11). execute() is what `jupyter nbconvert --execute`, nbmake and
# Jupyter Book 1 (through MyST-NB) run a notebook by. The cell `1 / 0` raises CellExecutionError, and so does a callback of observe().
# - `interact(f)` with an f that always raises: no error, no output of type "error", no stream. The traceback lies in the notebook's
#   metadata alone, inside the state of an Output widget.
# - `with Output(): assert False` passes as well, and the rest of the cell runs. In plain Python the same lines raise AssertionError.
# ipywidgets documents that Output catches exceptions and shows them to a reader; that a notebook passes its tests is said nowhere
# there, nor at nbclient's `allow_errors`, which is off.
# Why it matters here: sliders for rho and eps in a notebook are usually interact functions. After a change of a library every one of them
# may be broken while the build is green. Call the function once outside the widget, or look through metadata.widgets for "error".
# Fails if a notebook with such a cell raises, shows the error in its outputs, or keeps no trace in its metadata.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
cat > "$here/widgets.py" <<'PY'
import importlib.metadata
import json
import subprocess
import sys

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

CELLS = {
    "a plain error": "1 / 0",
    "observe": "import ipywidgets\ns = ipywidgets.IntSlider()\ns.observe(lambda change: 1 / 0, 'value')\ns.value = 3",
    "interact": "import ipywidgets\ndef f(rho): return rho / 0\nipywidgets.interact(f, rho=(0.0, 1.0));",
    "Output": "import ipywidgets\nwith ipywidgets.Output():\n    assert False\nprint('and on')",
}
PRINTED = ("nbclient", "ipywidgets", "ipykernel", "ipython")


def run(source):
    """Whether execution raised, the types of the cell's outputs, its printed text, and whether the metadata holds a traceback."""
    cells = [nbformat.v4.new_code_cell(source)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    try:
        NotebookClient(notebook, kernel_name="python3", timeout=300).execute()
        raised = False
    except CellExecutionError:
        raised = True
    outputs = notebook.cells[0].outputs
    text = "".join(o.text for o in outputs if o.output_type == "stream")
    kept = '"output_type": "error"' in json.dumps(notebook.metadata.get("widgets", {}))
    return raised, [o.output_type for o in outputs], text, kept


print(*(f"{name} {importlib.metadata.version(name)} " for name in PRINTED))
seen = {}
for name, source in CELLS.items():
    raised, kinds, text, kept = seen[name] = run(source)
    print(f"  {name:14} raised: {raised!s:6} outputs: {kinds}, printed {text!r}, traceback in the metadata: {kept}")
plain = subprocess.run([sys.executable, "-c", CELLS["Output"]], capture_output=True, text=True)
print(f"  the Output cell in plain Python: exit {plain.returncode}, {plain.stderr.strip().splitlines()[-1]}")
assert seen["a plain error"][0] and seen["observe"][0] and plain.returncode == 1 and "AssertionError" in plain.stderr
for name in ("interact", "Output"):
    raised, kinds, _, _ = seen[name]
    assert not raised and "error" not in kinds, "the behaviour has changed"
assert seen["interact"][3] and seen["Output"][2] == "and on\n", "the behaviour has changed"
PY
"$here/venv/bin/pip" install -q --no-compile --disable-pip-version-check nbclient==0.11.0 ipywidgets==8.1.9 ipykernel==7.4.0 ipython==9.18.1
PATH="$here/venv/bin:$PATH" JUPYTER_PATH="$here/venv/share/jupyter" "$here/venv/bin/python" "$here/widgets.py" 2> "$here/said" || \
  { cat "$here/said"; exit 1; }
