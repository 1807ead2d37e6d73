# Two commands do everything on a machine with Python 3.11: `make demo` and `make test`.
PYTHON ?= python3.11
# Where PyTorch comes from. Empty: pip's own index (on Linux that is a CUDA build; several GB).
# CPU: TORCH_INDEX=https://download.pytorch.org/whl/cpu   GPU: TORCH_INDEX=https://download.pytorch.org/whl/cu130
TORCH_INDEX ?=
TORCH = torch==2.13.0
VENV = .venv
BIN = $(VENV)/bin
READY = $(VENV)/.ready
PIP = $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast lint bench system-deps lock clean

help: ## show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(READY) ## make .venv with everything, in exact versions (TORCH_INDEX=… for another PyTorch)

$(READY): requirements.lock pyproject.toml
	@echo "Setting up $(VENV): about 1 to 5 minutes and 3 GB, mostly PyTorch."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "… $(TORCH)"; $(PIP) install --no-compile $(TORCH) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))
	@echo "… the other packages, checked against their hashes"
	@$(PIP) install --no-compile --no-deps --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $(READY)

demo: $(READY) ## the main job on eight accident reports: ingest, pairs, index, tune, ask, compare
	@$(BIN)/fieldguide demo demo

test: $(READY) ## all tests
	@$(BIN)/python -m pytest

test-fast: $(READY) ## the tests that need no weights
	@$(BIN)/python -m pytest -m "not slow"

lint: $(READY) ## ruff, mypy --strict, the import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(READY) ## every script in bench/, at its quick size (BENCH_DATA=DIR: the folder with the data sets)
	@for script in $(wildcard bench/*.py); do echo "== $$script"; $(BIN)/python $$script --quick $(if $(BENCH_DATA),--data $(BENCH_DATA)) || exit 1; done

system-deps: ## packages of the system that some tests need (Debian; as root)
	@command -v tesseract >/dev/null || { apt-get update -q && apt-get install -y -q tesseract-ocr; }

lock: ## write requirements.lock anew from what .venv holds
	@$(BIN)/python -m pip freeze --exclude-editable | grep -v '^torch==' > .lock.in
	@echo "# Exact versions of everything but PyTorch (see the Makefile). Made by \`make lock\`." > .lock.out
	@uv pip compile --quiet --no-deps --generate-hashes --no-annotate --no-header --python-version 3.11 .lock.in >> .lock.out
	@mv .lock.out requirements.lock; rm .lock.in

clean: ## remove .venv and the demo's workspace
	@rm -rf $(VENV) demo
