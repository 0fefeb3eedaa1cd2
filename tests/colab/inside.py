"""What is run by the Python of an environment under test, and written down for the test to compare.

    python inside.py figures             every figure in this process: module, style, state
    python inside.py kernel              every figure in a kernel in which google.colab is imported
    python inside.py notebook PATH       the notebook's cells in a kernel; its last error, if any
    python inside.py cell PATH           the notebook's first code cell, google.colab imported
    python inside.py whole PATH JSON     all its cells, google.colab imported, texts replaced as JSON says

Prints JSON. Needs no torch and no pytest.
"""

import json
import resource
import sys
from pathlib import Path

STAND_IN = Path(__file__).with_name("stand_in")
VIEW = "application/vnd.jupyter.widget-view+json"
PREPARE = f"""
import sys
sys.path.insert(0, {str(STAND_IN)!r})
import google.colab.output
"""
COLAB = f"""
import sys
sys.path.append({str(STAND_IN)!r})
import google.colab.output
"""
ABOUT = """
import importlib.metadata as meta, json, platform
names = ["anywidget", "ipywidgets", "matplotlib", "numpy", "scikit-learn", "scipy", "torch"]
print(json.dumps({"python": platform.python_version(), "packages": {n: meta.version(n) for n in names}}))
"""
VERSIONS = """
import json, importlib.metadata as meta
names = ["anywidget", "ipykernel", "ipython", "ipywidgets", "matplotlib", "numpy", "traitlets"]
print(json.dumps({"python": sys.version_info[:2], "torch": "torch" in sys.modules,
                  "calls": google.colab.output.calls, **{n: meta.version(n) for n in names}}))
"""


def own_state(state):
    """A figure's own traits as JSON shows them; binary ones by their length and sum."""
    foreign = {"layout", "comm", "tabbable", "tooltip", "keys"}
    result = {}
    for name, value in state.items():
        if name.startswith("_") or name in foreign:
            continue
        data = bytes(value) if isinstance(value, (bytes, memoryview)) else None
        result[name] = value if data is None else ["bytes", len(data), sum(data)]
    return json.loads(json.dumps(result, allow_nan=False))


def figures():
    """Every figure, made in this process."""
    from tests.figures import MAKE

    made = {name: make() for name, make in MAKE.items()}
    return {
        "torch": "torch" in sys.modules,
        "figures": {
            name: {"esm": str(w._esm), "css": str(w._css), "state": own_state(w.get_state())}
            for name, w in made.items()
        },
    }


def execute(cells, timeout=120):
    """Run code cells in a fresh kernel of this very environment; return the executed notebook."""
    from nbclient import NotebookClient
    from nbformat import v4

    notebook = v4.new_notebook(cells=[v4.new_code_cell(source) for source in cells])
    return NotebookClient(notebook, kernel_name="python3", timeout=timeout).execute()


def kernel():
    """Every figure, made and displayed in a kernel with Colab's module imported."""
    from tests.figures import MAKE

    made = execute([PREPARE + "from tests.figures import MAKE", *(f"MAKE[{n!r}]()" for n in MAKE), VERSIONS])
    *shown, last = made.cells[1:]
    states = made.metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
    result = {}
    for name, cell in zip(MAKE, shown):  # noqa: B905 (as many as there are)
        (output,) = cell.outputs
        entry = states[output["data"][VIEW]["model_id"]]
        result[name] = {
            "mimes": sorted(output["data"]),
            "text": output["data"]["text/plain"],
            "metadata": output["metadata"],
            "module": entry["state"]["_model_module"],
            "esm": entry["state"]["_esm"],
            "css": entry["state"]["_css"],
            "state": own_state(entry["state"]),
            "buffers": sorted(b["path"][0] for b in entry.get("buffers", [])),
        }
    return {"about": json.loads(last.outputs[0]["text"]), "figures": result}


def code_cells(path):
    cells = json.loads(Path(path).read_text(encoding="utf-8"))["cells"]
    return ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]


def notebook(path):
    """The notebook's code in a kernel, without Colab's module."""
    done = execute(code_cells(path))
    views = sum(VIEW in o.get("data", {}) for c in done.cells for o in c.get("outputs", []))
    errors = [o for c in done.cells for o in c.get("outputs", []) if o["output_type"] == "error"]
    return {"cells": len(done.cells), "views": views, "errors": errors}


def cell(path):
    """The first code cell as Colab runs it."""
    done = execute([PREPARE, code_cells(path)[0]])
    return {"outputs": done.cells[1].outputs}


def whole(path, changes):
    """The notebook from top to bottom as Colab runs it, its first cell included; stops at an error."""
    cells = code_cells(path)
    for old, new in json.loads(changes).items():
        assert any(old in source for source in cells), f"{old} does not occur in {path}"
        cells = [source.replace(old, new) for source in cells]
    done = execute([COLAB, *cells, ABOUT], timeout=3000)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)  # of the kernel; hardly depends on what else runs
    seconds = used.ru_utime + used.ru_stime
    shown = [o for c in done.cells for o in c.get("outputs", []) if VIEW in o.get("data", {})]
    managed = sum("colab" in o["metadata"].get(VIEW, {}) for o in shown)
    about = json.loads(done.cells[-1].outputs[0]["text"])
    return {"seconds": seconds, "views": len(shown), "managed": managed, **about}


if __name__ == "__main__":
    tasks = {"figures": figures, "kernel": kernel, "notebook": notebook, "cell": cell, "whole": whole}
    print(json.dumps(tasks[sys.argv[1]](*sys.argv[2:])))
