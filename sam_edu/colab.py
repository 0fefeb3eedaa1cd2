"""What a notebook needs in Google Colab beside this library: the packages that attack.

Colab brings everything else. The packages are installed without what they ask for, because their pins are
older than what Colab ships.
"""

from __future__ import annotations

import subprocess

ATTACKS = ("torchattacks==3.5.1", "pyautoattack==0.2.0")


def install() -> None:
    """Install the packages that attack, and nothing else.

    Raises
    ------
    RuntimeError
        If pip cannot, with what it said.
    """
    done = subprocess.run(["pip", "install", "-q", "--no-deps", *ATTACKS], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"pip could not install {' and '.join(ATTACKS)}:\n{done.stderr.strip()}")
