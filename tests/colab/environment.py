"""Makes .venv/colab: a Python like Colab's with Colab's versions of what the live figures need.

    python -m tests.colab.environment

prints the path of its Python. torch is left out (2 GB that the figures do not need, and a test that
they do not). colab-versions.txt has every version that we know of Colab; what Colab's list lacks,
pip chooses.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from book.tools import ROOT

VERSIONS = Path(__file__).with_name("colab-versions.txt")
FOLDER = ROOT / ".venv" / "colab"
WANTED = (3, 13)  # Colab's Python
INSTALLED = [
    "ipython", "ipykernel", "traitlets", "jupyter_client", "jupyter_core", "nbclient", "nbformat",
    "tornado", "psutil", "packaging", "numpy", "scipy", "matplotlib", "pillow",
]  # fmt: skip
# Without what they ask for: ipywidgets 7 wants the whole of Jupyter Notebook 6, which no test needs.
ALONE = ["ipywidgets", "anywidget"]
THEIR_NEEDS = ["psygnal", "typing_extensions", "ipython_genutils"]


class NoEnvironment(RuntimeError):
    """It could not be made; the message says why."""


def versions() -> dict[str, str]:
    """Colab's versions, by package name in lower case."""
    lines = [line.split("#")[0].strip() for line in VERSIONS.read_text().splitlines()]
    return {name.lower(): number for name, number in (x.split("==") for x in lines if x)}


def versions_date() -> str:
    """The day of Colab's list, from its first line."""
    found = re.search(r"\b20\d\d-\d\d-\d\d\b", VERSIONS.read_text().splitlines()[0])
    if not found:
        raise NoEnvironment(f"{VERSIONS.name} does not name its day in its first line")
    return found[0]


def nearest_python() -> str:
    """The installed Python nearest to Colab's: it, an older one that we support, else our own."""
    for minor in range(WANTED[1], 11, -1):
        name = f"python3.{minor}"
        pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
        places = [shutil.which(name), *pyenv.glob(f"versions/3.{minor}.*/bin/{name}")]
        for place in filter(None, places):  # pyenv's shims exist without working, so try
            tried = subprocess.run([place, "-c", "import ensurepip, venv"], capture_output=True)
            if tried.returncode == 0:
                return str(place)
    return sys.executable


def run(*command: object) -> None:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise NoEnvironment((lines or done.stderr.splitlines() or ["no message"])[0])


def make() -> Path:
    """Return the environment's Python; make the environment unless it is there and up to date."""
    constraint = ["-c", VERSIONS]
    return _make(FOLDER, [*constraint, *INSTALLED, *THEIR_NEEDS], [*constraint, "--no-deps", *ALONE])


def make_full() -> Path:
    """The same with every package of the list, torch included (4 GB and some minutes the first time).

    The list names builds of torch for Colab's GPUs (+cu128); any build of the same version will do.
    """
    folder = Path(os.environ.get("COLAB_ENV", FOLDER.with_name("colab-full")))
    return _make(folder, [f"{name}=={number.split('+')[0]}" for name, number in versions().items()])


def _make(folder: Path, *installs: list) -> Path:
    """Make an environment by these calls of pip, unless it was made by the same ones."""
    base = nearest_python()
    recipe = f"{base} {sys.executable} {installs}".encode() + VERSIONS.read_bytes()
    mark = hashlib.sha256(recipe).hexdigest()
    python, ready = folder / "bin" / "python", folder / ".ready"
    if python.exists() and ready.exists() and ready.read_text() == mark:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    run(base, "-m", "venv", folder)
    for arguments in installs:
        run(python, "-m", "pip", "install", "--disable-pip-version-check", "-q", *arguments)
    ready.write_text(mark)
    return python


if __name__ == "__main__":
    try:
        print(make())
    except NoEnvironment as error:
        sys.exit(f"No environment like Colab's: {error}")
