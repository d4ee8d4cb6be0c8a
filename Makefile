# Everything below happens in .venv; nothing else on the machine is touched.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
# Two workers on two cores must not fight for threads.
export OMP_NUM_THREADS := 1
export TF_NUM_INTRAOP_THREADS := 1
export TF_NUM_INTEROP_THREADS := 1

.PHONY: help demo test lint bench clean

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

.venv/search.stamp: pyproject.toml constraints.txt
	@echo "== installing crest[search] into .venv (some minutes the first time)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[search]'
	@touch $@

.venv/dev.stamp: .venv/search.stamp
	@echo "== installing the test tools into .venv"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[search,dev]'
	@touch $@

demo: .venv/search.stamp ## install, then search for a network on an emulated board
	@echo "== crest search examples/quickstart.yaml"
	@$(BIN)/crest search examples/quickstart.yaml

test: .venv/dev.stamp ## lint, type check and run the tests
	@echo "== ruff, mypy"
	@$(MAKE) --no-print-directory lint
	@echo "== pytest"
	@$(BIN)/python -m pytest

lint: .venv/dev.stamp ## ruff and mypy only
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: .venv/dev.stamp ## run the benchmarks
	@for script in benchmarks/[a-z]*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

clean: ## remove the environment and caches, keep the runs
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
