# Every target does its own set-up: a virtual environment in .venv, redone when what is built or installed changes.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The constraints stand on every install line: they, and never pip, choose the build of torch.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# Further words for pytest, as in `make test ARGS="-k defocus"`.
ARGS ?=
# What an installation depends on; Python files are used where they stand.
BUILT := pyproject.toml constraints.txt CMakeLists.txt $(wildcard native/*)
# Two workers with one thread each; without this every worker would start a thread per core.
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
WORKERS ?= 2

.PHONY: help demo test test-slow lint format types examples docs bench check clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(VENV)/.installed-demo  ## the main job, end to end: an annotated dataset and a fit, with pictures
	$(BIN)/python examples/demo.py

test: $(VENV)/.installed-dev  ## the tests and the examples in docstrings
	$(ONE_THREAD) $(BIN)/python -m pytest -q -n $(WORKERS) $(ARGS)

test-slow: $(VENV)/.installed-dev  ## the tests that take longer
	$(ONE_THREAD) $(BIN)/python -m pytest -q -n $(WORKERS) -m slow $(ARGS)

examples: $(VENV)/.installed-dev  ## every file in examples/
	$(BIN)/python -m pytest -q -m example tests/test_repository.py $(ARGS)

lint: $(VENV)/.installed-dev  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.installed-dev  ## let ruff repair what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.installed-dev  ## pyright
	$(BIN)/pyright --warnings

docs: $(VENV)/.installed-docs  ## the documentation, in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo "site/index.html"

bench: $(VENV)/.installed-dev  ## the benchmarks, as ratios in one run
	for name in physics wave generate fluorescence; do echo "== benchmarks.$$name"; $(ONE_THREAD) $(BIN)/python -m benchmarks.$$name; done

check: lint types test examples  ## what has to pass before a change goes in

clean:  ## remove what these targets made
	rm -rf $(VENV) site out demo-out build dist .pytest_cache .ruff_cache .hypothesis
	find . -type d -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "expected Python 3.11 or newer, got %d.%d; name one, as in: make PYTHON=python3.12" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)

# The interpreter is an order-only prerequisite: it is a link, and its date is that of the system's Python.
$(VENV)/.installed-demo: $(BUILT) | $(BIN)/python
	$(INSTALL) -e ".[plot]"
	@touch $@

$(VENV)/.installed-dev: $(BUILT) | $(BIN)/python
	$(INSTALL) -e ".[dev]"
	@touch $@

$(VENV)/.installed-docs: $(BUILT) | $(BIN)/python
	$(INSTALL) -e ".[docs]"
	@touch $@
