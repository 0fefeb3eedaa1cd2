"""What makes, checks and publishes the book; every tool runs from the repository's root.

``pages``    executes the notebooks, keeps and names their results, checks the built pages
``print``    the PDF
``publish``  the archive, the release, the repository's address
``author``   a new chapter, the linter of the prose, one figure again
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]  # the repository
