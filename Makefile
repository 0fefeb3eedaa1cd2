# Two commands are the whole set-up; neither needs root rights:
#
#   make book    the environment, every notebook executed, the pages in _build/html
#   make test    the environment, the book, and every check that our continuous integration runs
#
# `make help` lists the rest. Needs make and Python 3.11 or newer (another one: make book PYTHON=python3.12).

PYTHON ?= python3
BIN    := .venv/bin
HTML   := _build/html
UV     := uv==0.13.9
NAME_OF_BOOK := flat-and-robust

# Notebooks run with the environment's own Python and import sam_edu from this folder, whatever else is
# installed on the machine.
export PYTHONPATH := $(CURDIR)
export JUPYTER_PREFER_ENV_PATH := 1
unexport JUPYTER_PATH
# Sums depend on how many numbers a processor adds at once, and a training with a turning point in it ends elsewhere
# then: 46 % under an attack on one machine was 51 % on another. With AVX2, which both have, they agree.
ifeq ($(shell uname -m),x86_64)
export ATEN_CPU_CAPABILITY := avx2
export ONEDNN_MAX_CPU_ISA := AVX2
export MKL_CBWR := AVX2
endif
# Images of machines often set it. Then every kernel and every test's process compiles torch's modules again: executing
# all chapters takes a fifth less time without.
unexport PYTHONDONTWRITEBYTECODE
# The networks of the book are small: one thread is as fast as two, and sums keep their order on every machine.
export OMP_NUM_THREADS := 1

# Tests share the cores; `make unit SHARED=` runs them one after the other. worksteal: each core begins with a
# stretch of the list, so that what the tests of a file share is made once and not on every core.
SHARED ?= -n auto --maxprocesses=4 --dist worksteal
# A test in Chromium waits for frames and for what the page still does, so four of them share two cores.
BROWSERS ?= -n 4
# Where tests that measure times are: to look for them in all tests takes half a minute. Those of pages and figures
# mostly wait for frames, each on a core of its own; the others are alone.
FRAMED := tests/book tests/widgets
TIMED := tests/test_import.py tests/tools/test_prose.py tests/toy/test_conventions.py

# The JavaScript that we wrote, but for book/tools/print/page.js, which is one function and ends without a semicolon.
SCRIPTS := 'sam_edu/**/*.js' 'book/assets/js/*.js' 'book/template/*.js' 'tests/**/*.js' 'benchmarks/*.js'

.DEFAULT_GOAL := help
.PHONY: help env book execute pages test lint types unit colab lab colab-full notebooks browser timing zip pdf outputs page format lock \
        chapter release address clean

help:        ## list these commands
	@sed -n 's/^\([a-z-]*\):.*## /  make \1|/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-18s %s\n", $$1, $$2}'

# --- the environment ------------------------------------------------------------------------------------
# .ci/requirements.lock names every package with its version, so there is nothing to choose (--no-deps). uv
# downloads and unpacks several at a time: one minute where pip takes four, which follows where uv fails (uv
# does not read pip.conf, so it knows no mirror that stands there).
# .venv/.ready holds a fingerprint of the lock that was installed: a new lock is installed, an old one is not
# installed twice.

env:         ## create .venv, or bring it up to date with the lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "This book needs Python 3.11 or newer, and '$(PYTHON)' is not: try  make book PYTHON=python3.12"; exit 1; }
	@want=$$($(PYTHON) -m book.tools.pages.fingerprint .ci/requirements.lock pyproject.toml); \
	if [ "$$(cat .venv/.ready 2>/dev/null)" != "$$want" ]; then \
	  echo "==> Installing the environment into .venv (the first time about 6 GB on Linux and some minutes)"; \
	  $(PYTHON) -m venv .venv && \
	  { $(BIN)/python -m pip install --disable-pip-version-check -q --no-deps $(UV) && \
	    $(BIN)/uv pip install --python $(BIN)/python --no-deps -r .ci/requirements.lock || \
	    $(BIN)/python -m pip install --disable-pip-version-check --no-deps -r .ci/requirements.lock; } && \
	  $(BIN)/python -m pip install --disable-pip-version-check -q --no-deps --no-build-isolation -e . && \
	  echo "$$want" > .venv/.ready; \
	fi

# --- the book -------------------------------------------------------------------------------------------

book: env pages ## execute the notebooks, build the pages, check them
	@echo "==> Open  $(HTML)/index.html  in a browser (no server and no network needed)"

# Results of notebooks are kept in _build/.jupyter_cache, which looks at the notebooks only: forget them when
# the library, its records, the lock or the settings change. --all: else a page keeps the old value of a number
# that another notebook has glued anew.
execute:
	@$(PYTHON) -m book.tools.pages.fingerprint --keep _build/.inputs --else-remove _build/.jupyter_cache \
	  sam_edu .ci/requirements.lock _config.yml
	@echo "==> Executing the chapters that have changed"
	$(BIN)/python -m book.tools.pages.execute _build/.jupyter_cache notebooks/*.md
pages: execute
	@echo "==> Building the pages"
	$(BIN)/jupyter-book build . -W -n --keep-going --all
	@echo "==> Checking the pages"
	$(BIN)/python -m book.tools.pages.check_book $(HTML)

# --- the checks -----------------------------------------------------------------------------------------

# The quickest first. Then what keeps two cores busy by itself, one after the other: four processes on two cores
# need a third more time for the same work. What keeps one core busy runs beside it. Chromium follows on the
# finished pages, and what measures times comes last, when nothing else runs.
test: env lint ## everything that continuous integration runs
	@$(MAKE) --no-print-directory -j2 types execute colab
	@$(MAKE) --no-print-directory -j2 pages unit notebooks
	@$(MAKE) --no-print-directory browser
	@$(MAKE) --no-print-directory timing
	@echo "==> All checks have passed"

lint:        ## style (ruff; for JavaScript oxlint with ESLint's rules and oxfmt with Prettier's layout)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/oxlint --deny-warnings -c .ci/oxlintrc.json sam_edu tests book/tools book/assets/js
	$(BIN)/oxfmt --check -c .ci/oxfmtrc.json $(SCRIPTS)
types:       ## type hints (mypy)
	$(BIN)/mypy
unit:        ## the library, the theorems' witnesses, the repository itself
	$(BIN)/python -m pytest -q $(SHARED) -m "not timing" tests --ignore=tests/book --ignore=tests/colab --ignore=tests/lab
colab:       ## the live figures under Google Colab's versions (makes .venv/colab the first time)
	$(BIN)/python -m pytest -q tests/colab
lab:         ## four chapters opened in JupyterLab as a reader has it (makes .venv/lab the first time)
	$(BIN)/python -m pytest -q tests/lab
# Needs network and 5 GB the first time, and takes about 15 minutes: before a release and once a week, not in `make test`.
colab-full:  ## every notebook, run as Colab runs it; writes book/colab_pass.json, which the pages show
	$(BIN)/python -m tests.colab.full
notebooks: pages ## the notebooks that readers open are what the build makes: text, code and outputs
	$(BIN)/python -m book.tools.edition.drift
# The pages that are opened are those of the archive, unpacked: what a reader gets is what was tried.
browser: export BOOK_HTML := $(CURDIR)/_build/pocket/$(NAME_OF_BOOK)
browser:     ## every page of the unpacked archive, opened offline in Chromium
	@rm -rf _build/pocket
	@$(BIN)/python -m book.tools.publish.archive $(HTML) _build/pocket/$(NAME_OF_BOOK).zip
	@$(BIN)/python -m zipfile -e _build/pocket/$(NAME_OF_BOOK).zip _build/pocket
	$(BIN)/python -m pytest -q $(BROWSERS) --dist loadgroup -m "not timing" tests/book
timing: export BOOK_HTML := $(CURDIR)/_build/pocket/$(NAME_OF_BOOK)
timing:      ## how fast figures answer and the library loads, when nothing else runs (after `make browser`)
	$(BIN)/python -m pytest -q -n 2 --dist loadgroup -m timing $(FRAMED)
	$(BIN)/python -m pytest -q -m timing $(TIMED)

# --- the book to take along -----------------------------------------------------------------------------

zip: book    ## the book as one archive that opens from disk: _build/flat-and-robust.zip
	$(BIN)/python -m book.tools.publish.archive $(HTML) _build/$(NAME_OF_BOOK).zip

# Chromium prints the pages and pypdf joins them, so no TeX is needed. Not part of `make test`, which prints two pages.
pdf: book    ## the book as one PDF, figures as strips: _build/flat-and-robust.pdf
	$(BIN)/python -m book.tools.print.make_pdf $(HTML) _build/$(NAME_OF_BOOK).pdf

# --- for authors ----------------------------------------------------------------------------------------

outputs: book ## after a change to a chapter: make its page and save the notebook that readers open
	$(BIN)/python -m book.tools.edition.drift --save

# A table of contents of its own; links to chapters that are not in it are warnings here.
page:        ## make page PAGE=15_my_topic : this chapter alone, in seconds, in _build/page
	@test -f "notebooks/$(PAGE).md" || { echo "There is no notebooks/$(PAGE).md: make page PAGE=15_my_topic"; exit 1; }
	@$(MAKE) -s env
	@mkdir -p _build/page
	@printf 'format: jb-book\nroot: book/notation\nchapters:\n  - file: notebooks/$(PAGE)\n  - file: book/bibliography\n' \
	  > _build/page/_toc.yml
	$(BIN)/jupyter-book build . --toc _build/page/_toc.yml --path-output _build/page --all
	@echo "==> Open  _build/page/_build/html/notebooks/$(PAGE).html"

format:      ## let ruff order the imports and lay out the code, and oxfmt lay out the JavaScript
	$(BIN)/ruff check --fix-only --select I . && $(BIN)/ruff format .
	$(BIN)/oxfmt -c .ci/oxfmtrc.json $(SCRIPTS)

lock:        ## after a change to requirements.txt: choose all versions anew
	@test -x $(BIN)/uv || { $(PYTHON) -m venv .venv && $(BIN)/python -m pip install -q --no-deps $(UV); }
	$(BIN)/uv pip compile requirements.txt --override .ci/overrides.txt --universal --python-version 3.11 \
	  --no-annotate --custom-compile-command "make lock" -q -o .ci/requirements.lock

chapter:     ## make chapter NAME=15_my_topic : a new chapter with a live figure, from book/template
	@$(PYTHON) -m book.tools.author.new_chapter $(NAME)

release:     ## make release VERSION=1.2.3 : check, build, test, pack, commit, tag (pushes nothing; DRY=1 only shows)
	@$(PYTHON) -m book.tools.publish.release $(VERSION) $(if $(DRY),--dry-run)

address:     ## make address URL=https://github.com/owner/repo : the repository has moved
	$(PYTHON) -m book.tools.publish.address $(URL)

clean:       ## remove the built pages and the kept results (not .venv)
	rm -rf _build
