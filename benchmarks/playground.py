"""An epoch of the playground beside an epoch of TensorFlow.js, in one headless Chromium, in turn.

    python -m benchmarks.playground [--rounds 15] [--save]

installs @tensorflow/tfjs and its WebAssembly backend by npm in a temporary folder (or takes them from the
folder $TFJS), serves both from this machine, and prints milliseconds per epoch of digits (21 batches of 64)
and ratios. ``--save`` writes benchmarks/playground.json. Needs npm, Chromium and playwright, which no reader
of the book does.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any

from sam_edu import data
from sam_edu.widgets.base import bundle
from tests.browser import chromium

HERE = Path(__file__).parent
RESULTS = HERE / "playground.json"
PACKAGES = ("@tensorflow/tfjs@4.22.0", "@tensorflow/tfjs-backend-wasm@4.22.0")
BACKENDS = ("cpu", "wasm")
PAGE = """<!doctype html><meta charset="utf-8"><title>epochs</title><link rel="icon" href="data:,">
<script src="tf.min.js"></script><script src="tf-backend-wasm.min.js"></script>"""


def serve(folder: Path) -> http.server.ThreadingHTTPServer:
    """A server on this machine for one folder: WebAssembly is not loaded from file:// pages."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def fill(folder: Path) -> None:
    """Our modules and theirs side by side."""
    installed = os.environ.get("TFJS")
    if not installed:
        subprocess.run(["npm", "install", "--silent", "--ignore-scripts", *PACKAGES], cwd=folder, check=True)
    modules = Path(installed or folder) / "node_modules/@tensorflow"
    shutil.copy(modules / "tfjs/dist/tf.min.js", folder)
    for file in (modules / "tfjs-backend-wasm/dist").glob("*"):
        if file.suffix == ".wasm" or file.name == "tf-backend-wasm.min.js":
            shutil.copy(file, folder)
    (folder / "math.js").write_text(bundle("playground_math.js"), encoding="utf-8")
    shutil.copy(HERE / "playground.js", folder)
    (folder / "index.html").write_text(PAGE, encoding="utf-8")


def measure(rounds: int) -> dict[str, Any]:
    """Times of every case, round by round, the losses at the end, and the browser's version."""
    digits = data.load("digits")
    with tempfile.TemporaryDirectory() as name, chromium() as browser:
        fill(Path(name))
        server = serve(Path(name))
        tab = browser.new_page()
        tab.goto(f"http://127.0.0.1:{server.server_address[1]}/index.html")
        found = tab.evaluate(
            """async ({ x, y, backends, rounds }) => {
              const math = await import("./math.js"), { compare } = await import("./playground.js");
              tf.wasm.setWasmPaths(location.origin + "/");
              const data = { features: 64, classes: 10 };
              Object.assign(data, { trainX: Float32Array.from(x), trainY: Int32Array.from(y) });
              return { ...(await compare(math, tf, data, backends, rounds)), tfjs: tf.version.tfjs }; }""",
            {"x": digits.train_x.flatten().tolist(), "y": digits.train_y.tolist(), "backends": BACKENDS,
             "rounds": rounds},
        )  # fmt: skip
        found["chromium"] = browser.version
        server.shutdown()
    return found


def summary(found: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Best and median milliseconds, and the median over the rounds of the ratio to our SGD epoch."""
    base = found["times"]["playground sgd"]
    return {
        name: {
            "best_ms": round(min(times), 1),
            "median_ms": round(statistics.median(times), 1),
            "times_ours": round(statistics.median(t / b for t, b in zip(times, base, strict=True)), 2),
            "best_ratio": round(min(times) / min(base), 2),
        }
        for name, times in found["times"].items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--save", action="store_true", help=f"write {RESULTS.name}")
    options = parser.parse_args()
    found = measure(options.rounds)
    rows = summary(found)
    print(f"Chromium {found['chromium']}, TensorFlow.js {found['tfjs']}, {options.rounds} rounds")
    print(f"{'':20} {'best':>8} {'median':>8} {'ratio':>7} {'of bests':>9}   last loss")
    for name, row in rows.items():
        print(
            f"{name:20} {row['best_ms']:5.0f} ms {row['median_ms']:5.0f} ms {row['times_ours']:7.2f} "
            f"{row['best_ratio']:9.2f}   {found['losses'][name]:.4f}"
        )
    if options.save:
        saved = {
            "chromium": found["chromium"],
            "tfjs": found["tfjs"],
            "rounds": options.rounds,
            "cases": rows,
        }
        RESULTS.write_text(json.dumps(saved, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
