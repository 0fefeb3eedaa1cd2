#!/usr/bin/env bash
# Tests that are marked to share a worker are spread over all workers, and nothing is said.
#
# Seen with pytest 9.2.0 and pytest-xdist 3.8.0: with `-n 2 --dist loadgroup`, six tests of one xdist_group run in both
# workers; with pytest 8.4.2 and the same pytest-xdist they run in one. pytest-xdist writes the group into the attribute
# `_nodeid` of a test, which this pytest no longer reads.
# Why it matters here: what a group shares (an open page, an archive, a server) is made once per worker, and tests that
# must not run side by side do. Each page of the book was opened by up to four workers.
# Fails if the group keeps to one worker with the newer pytest, or is spread with the older one.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cat > "$here/test_group.py" <<'PY'
import os
import time

import pytest


@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("number", range(6))
def test_shared(number):
    print("ran in", os.environ["PYTEST_XDIST_WORKER"])
    time.sleep(0.3)
PY
workers() { # of pytest $1: how many workers the group has used
  python3 -m venv "$here/venv-$1"
  "$here/venv-$1/bin/pip" install -q --disable-pip-version-check "pytest==$1" pytest-xdist==3.8.0
  (cd "$here" && "venv-$1/bin/python" -m pytest -rP -p no:cacheprovider -n 2 --dist loadgroup test_group.py) |
    grep -o "^ran in gw[0-9]" | sort -u | wc -l
}
new=$(workers 9.2.0)
old=$(workers 8.4.2)
echo "pytest-xdist 3.8.0, one group: $new workers with pytest 9.2.0, $old with pytest 8.4.2"
test "$new" -eq 2 && test "$old" -eq 1
