"""Executes the chapters whose results are not in the cache, several at a time.

    python -m book.tools.pages.execute _build/.jupyter_cache notebooks/*.md

The build would do the same, one after the other; afterwards it finds all results in its cache (MyST-NB's,
which looks at the code cells only). Exit status 1 if a notebook fails, with its traceback.
"""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn, JupyterCacheAbstract
from jupyter_cache.executors.utils import single_nb_execution

from book.tools.edition import chapter
from book.tools.pages import made

CELL_SECONDS = 600  # as in _config.yml
Executed = tuple[nbformat.NotebookNode, float, str]


def waiting(cache: JupyterCacheAbstract, paths: list[Path]) -> list[Path]:
    """Those that are not in the cache, the largest first: they tend to take longest."""
    new = []
    for path in paths:
        try:
            cache.match_cache_notebook(chapter.read(path))
        except KeyError:
            new.append(path)
    return sorted(new, key=lambda path: -path.stat().st_size)


def execute(path: Path) -> Executed:
    """The notebook with its outputs, the seconds that it took, and its traceback or nothing."""
    notebook = chapter.read(path)
    started = time.perf_counter()
    result = single_nb_execution(
        notebook,
        cwd=str(path.parent.resolve()),
        timeout=CELL_SECONDS,
        allow_errors=False,
        meta_override=True,
        record_timing=True,
    )
    trouble = result.exc_string or repr(result.err) if result.err is not None else ""
    return notebook, time.perf_counter() - started, trouble


def main(folder: str, *names: str) -> int:
    cache = get_cache(folder)
    paths = waiting(cache, [Path(name) for name in names])
    jobs = max(1, min(len(paths), os.cpu_count() or 1))
    failed = 0
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        running = {pool.submit(execute, path): path for path in paths}
        for count, done in enumerate(as_completed(running), 1):
            path, (notebook, seconds, trouble) = running[done], done.result()
            left = f"{count} of {len(paths)}"
            if trouble:
                failed += 1
                print(f"{trouble}\n{path} failed after {seconds:.0f} s ({left})", file=sys.stderr, flush=True)
                continue
            made.note(Path(folder), notebook)
            record = cache.add_nb_to_project(str(path), read_data={"name": "myst_nb_md", "type": "plugin"})
            bundle = CacheBundleIn(notebook, record.uri, data={"execution_seconds": seconds})
            cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
            print(f"{path}: executed in {seconds:.0f} s ({left})", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
