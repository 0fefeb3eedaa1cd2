"""Runs every notebook from top to bottom as Google Colab would, and writes down that it did.

    python -m tests.colab.full                    all notebooks; book/colab_pass.json is written anew
    python -m tests.colab.full 07 13              those whose names begin so
    python -m tests.colab.full --check            runs nothing; lists the notebooks that have changed since

What runs is the last commit. A notebook starts in an empty folder, in an environment with every version that
we know of Colab (torch included: some gigabytes), and its first cell really installs: pip is led to this
repository instead of GitHub, by git's own setting. Before anything else that cell is run alone, and no
package that was there may have changed. Chapter 13 keeps its records in Google Drive, for which a folder
stands in. COLAB_ENV names the folder of the environment, if not .venv/colab-full, and
PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu finds a torch without CUDA.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from book._ext.colab_pass import RECORD, code_hash, is_fresh, load
from book.tools import ROOT
from tests.colab import environment

INSIDE = Path(__file__).with_name("inside.py")
STAND_IN = Path(__file__).with_name("stand_in")
OURS = {"sam-edu", "torchattacks", "pyautoattack"}
SETTINGS = {"13_papers_protocol": {'PLACE = "temporary"': 'PLACE = "drive"'}}
REPOSITORY = "https://github.com/flat-and-robust/flat-and-robust.git"


def commit_of(folder: Path) -> tuple[Path, dict[str, str]]:
    """A clone of the last commit, and the settings with which git finds it under the book's address."""
    subprocess.run(["git", "clone", "-q", "--no-hardlinks", str(ROOT), str(folder / "tree")], check=True)
    leads = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"url.file://{folder}/tree.insteadOf"}
    return folder / "tree", leads | {"GIT_CONFIG_VALUE_0": REPOSITORY}


def inside(python: Path, leads: dict[str, str], *task: object, timeout: int = 7200) -> dict:
    """What inside.py finds, started in an empty folder with nothing of the caller's environment."""
    kept = {k: v for k, v in os.environ.items() if k in ("HOME", "LANG", "TMPDIR", "OMP_NUM_THREADS")}
    kept |= {k: v for k, v in os.environ.items() if k.startswith("PIP_")}
    path = f"{python.parent}:{os.environ['PATH']}"
    with tempfile.TemporaryDirectory() as empty:
        done = subprocess.run(
            [str(python), "-B", str(INSIDE), *map(str, task)],
            capture_output=True,
            text=True,
            cwd=empty,
            timeout=timeout,
            env=kept | leads | {"PATH": path, "JUPYTER_PREFER_ENV_PATH": "1"},
        )
    if done.returncode:
        raise RuntimeError(re.sub(r"\x1b\[[\d;]*m", "", done.stderr)[-3000:])
    return json.loads(done.stdout.splitlines()[-1])


def installed(python: Path) -> dict[str, str]:
    """Names and versions, as pip freeze has them."""
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "list", "--format=json"]
    done = subprocess.run(pip, check=True, capture_output=True, text=True)
    return {
        package["name"].lower().replace("_", "-"): package["version"] for package in json.loads(done.stdout)
    }


def first_cell_changes_nothing(python: Path, leads: dict[str, str], notebook: Path) -> None:
    """Run the first cell alone; raise if a package that was there is another now."""
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "-q", "uninstall", "-y", *OURS]
    subprocess.run(pip, check=True, capture_output=True)
    before = installed(python)
    found = inside(python, leads, "cell", notebook)
    after = installed(python)
    changed = {name for name in before if after.get(name) != before[name]}
    if changed or set(after) - set(before) != OURS:
        new = sorted(set(after) - set(before))
        raise RuntimeError(
            f"the first cell changed {sorted(changed)}, brought {new}; it says {found['outputs']}"
        )
    print(f"The first cell brings {sorted(OURS)} and leaves {len(before)} packages as they were.", flush=True)


def run(python: Path, leads: dict[str, str], notebook: Path) -> dict:
    """Run one notebook; raise at its first error."""
    found = inside(python, leads, "whole", notebook, json.dumps(SETTINGS.get(notebook.stem, {})))
    if found["views"] != found["managed"]:
        raise RuntimeError("a live figure was not announced to Colab")
    return found


def main(arguments: list[str]) -> int:
    record = load()
    everything = sorted((ROOT / "notebooks").glob("*.ipynb"))
    if "--check" in arguments:
        stale = [notebook.stem for notebook in everything if not is_fresh(notebook, record)]
        print(
            "\n".join(f"{name} has changed since it ran: make colab-full" for name in stale) or "all have run"
        )
        return bool(stale)
    python, failed = environment.make_full(), []
    with tempfile.TemporaryDirectory() as folder:
        tree, leads = commit_of(Path(folder))
        chosen = [
            notebook
            for notebook in sorted((tree / "notebooks").glob("*.ipynb"))
            if not arguments or notebook.name.startswith(tuple(arguments))
        ]
        if not chosen:
            sys.exit(f"No notebook's name begins with {' or '.join(arguments)}")
        first_cell_changes_nothing(python, leads, chosen[0])
        versions = environment.versions_date()
        if record.get("versions_of") != versions:
            record = {"versions_of": versions, "notebooks": {}}
        for notebook in chosen:
            try:
                found = run(python, leads, notebook)
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                print(f"{notebook.stem}: FAILED, {error}", flush=True)
                record["notebooks"].pop(notebook.stem, None)
                failed.append(notebook.stem)
                continue
            today = datetime.datetime.now(datetime.UTC).date().isoformat()
            entry = {"date": today, "seconds": round(found["seconds"]), "code": code_hash(notebook)}
            record["notebooks"][notebook.stem] = entry
            record |= {"python": found["python"], "packages": found["packages"]}
            print(f"{notebook.stem}: {found['seconds']:.0f} s, {found['views']} live figures", flush=True)
            ordered = dict(sorted(record["notebooks"].items()))
            RECORD.write_text(json.dumps(record | {"notebooks": ordered}, indent=1) + "\n", encoding="utf-8")
    return bool(failed)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (environment.NoEnvironment, RuntimeError) as error:
        sys.exit(f"The pass has stopped: {error}")
