# Everything starts here: `make up` runs Wend, `make demo` shows it, `make test` checks it. Each sets itself up.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
JOBS ?= 3

# Wend and its tests start many processes: where Python may keep no bytecode, each of them compiles everything anew.
export PYTHONDONTWRITEBYTECODE =

bin := $(VENV)/bin
pip := $(bin)/python -m pip install --disable-pip-version-check --no-input --timeout 60 --retries 8 --quiet
compile := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header

.PHONY: help
help: ## Say what there is to make, and the variables
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20
	@echo
	@echo "Variables (make test ARGS='-k clicks'):"
	@echo "  PYTHON=python3    the Python to make the environment with, 3.11 or newer"
	@echo "  VENV=.venv        where the environment is"
	@echo "  JOBS=3            processes that run the tests"
	@echo "  ARGS=             further arguments for up, demo, test, chaos, bench and migration"

# -- the environment ------------------------------------------------------------------------------------------

# What a step made is known by a stamp that is newer than what it was made from: a second `make setup` does nothing.
made_venv := $(VENV)/.made-venv
made_run := $(VENV)/.made-run
made_wend := $(VENV)/.made-wend
made_dev := $(VENV)/.made-dev

.PHONY: setup
setup: $(made_wend) ## Make the environment that Wend runs in
	@:

$(made_venv):
	@command -v $(PYTHON) >/dev/null || { \
	  echo "There is no $(PYTHON) here. Install Python 3.11 or newer, or name one: make setup PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Wend needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) -V 2>&1)." \
	    "Install a newer one, or name it: make setup PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make environments: its venv package is missing." \
	    "On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "Making the environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(made_run): requirements/run.txt $(made_venv)
	@echo "Installing what Wend runs on (about a minute the first time)"
	@$(pip) --require-hashes -r requirements/run.txt
	@touch $@

$(made_wend): pyproject.toml $(made_run)
	@$(pip) --no-deps --no-build-isolation -e .
	@touch $@

$(made_dev): requirements/dev.txt $(made_wend)
	@echo "Installing what the tests need"
	@$(pip) --require-hashes -r requirements/dev.txt
	@touch $@

# -- running --------------------------------------------------------------------------------------------------

.PHONY: up demo bench
up: setup ## Run Wend: Temporal with its UI, the API, the worker, a mail and SMS sink
	@exec $(bin)/wend up $(ARGS)

demo: setup ## Take some hundred made-up people through the reference journey, and check the figures
	@exec $(bin)/wend demo $(ARGS)

bench: setup ## Measure against hand-written floors
	@exec $(bin)/python -m bench $(ARGS)

# -- checking -------------------------------------------------------------------------------------------------

.PHONY: test lint types contracts compiled pytest
test: $(made_dev) ## Check everything: style, types, architecture, tests
	@$(MAKE) -j2 types lint contracts compiled
	@$(MAKE) pytest

lint: $(made_dev) ## Check style and the ban list
	@$(bin)/ruff check .

types: $(made_dev) ## Check types
	@$(bin)/mypy

contracts: $(made_dev) ## Check who imports whom
	@$(bin)/lint-imports --no-logo

compiled: $(made_dev) # What the tests import, compiled by one process before several of them would do it at once
	@said=$$($(bin)/python -m pytest --collect-only -qq -p no:cacheprovider 2>&1) || { echo "$$said" >&2; exit 1; }

pytest: $(made_dev) ## Run the tests alone (ARGS='tests/unit -k clicks')
	@$(bin)/python -m tools.judge --numprocesses=$(JOBS) --dist=worksteal $(ARGS)

.PHONY: chaos chaos-quick
chaos: $(made_dev) ## Kill, freeze and cut parts of the whole system by plan, and compare (two to three hours on two cores; ARGS='--seed 7')
	@$(bin)/python -m tests.chaos --proof $(ARGS)

chaos-quick: $(made_dev) ## The same in two minutes
	@$(bin)/python -m tests.chaos --quick $(ARGS)

# -- changing -------------------------------------------------------------------------------------------------

.PHONY: lock migration clean
lock: ## Compile the two locks anew from pyproject.toml; needs uv (ARGS=--upgrade moves to the newest)
	@command -v uv >/dev/null || { echo "The locks are compiled with uv: pip install uv" >&2; exit 1; }
	@$(compile) $(ARGS) pyproject.toml requirements/build.in -o requirements/run.txt
	@$(compile) $(ARGS) -c requirements/run.txt --group dev pyproject.toml requirements/build.in -o requirements/dev.txt

migration: $(made_dev) ## Write the migration to the tables as they are now (ARGS='what changes')
	@$(bin)/python -m tools.migration $(ARGS)

clean: ## Remove the environment and everything made on the way; the state in .wend stays
	rm -rf $(VENV) build dist reports .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
