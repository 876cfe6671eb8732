# `make` lists the targets; each works alone on a machine with only python3 (3.11 or newer) and make.
PYTHON ?= python3
BIN := .venv/bin
OUT ?= .
MODEL ?= checkpoints/fruits-small

.PHONY: help setup run test long wheel mutants faults runtimes gpu sample page docs

help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

setup: .venv/ready ## Make .venv and install everything into it

.venv/ready: pyproject.toml
	@echo "Installing everything into .venv: about 7 GB, most of it torch's libraries for GPUs; 3 to 15 minutes."
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check --editable '.[dev]'
	@touch $@

run: setup ## Train on the embedded pictures, by features and from scratch; then the shipped model identifies a handful
	$(BIN)/fruitcnn train dataset/sample --recipe features
	@echo
	$(BIN)/fruitcnn train dataset/sample --recipe quick
	@echo
	$(BIN)/fruitcnn models
	@echo
	$(BIN)/fruitcnn identify dataset/sample/*/*_00[01].jpg

test: setup ## Lint, types, tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal

long: setup ## The long tests that `make test` leaves out, but those of `make faults`
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m long --ignore tests/faults tests

wheel: setup ## Build wheel and sdist into dist/, check them, and use the wheel in a bare environment outside of here
	$(BIN)/python -m tests.wheel

mutants: setup ## Change one behaviour at a time; each change must fail the test that names it (SAMPLE=10 for a few)
	$(BIN)/python -m tests.mutants $(if $(SAMPLE),--sample $(SAMPLE))

faults: setup ## Every kind of fault that docs/reliability.md promises to survive, the long ones too
	FAULT_TABLE=1 $(BIN)/python -m pytest -q -m 'long or not long' tests/faults

runtimes: setup ## Every program of examples/, each in an environment of its own; the tables of docs/runtimes.md (half an hour)
	$(BIN)/python -m tests.runtimes.table
	$(BIN)/python -m tests.runtimes.photographs

docs: setup ## The site of the documentation, in build/docs
	$(BIN)/python docs/generate.py
	$(BIN)/sphinx-build -W --keep-going -q -b html docs build/docs
	@echo build/docs/index.html

gpu: ## All that needs a GPU, in at most eight minutes, by $(PYTHON) where that has torch and Keras: a table in $OUT
	@if $(PYTHON) -c 'import torch, keras, lightning' 2> /dev/null; \
	then OUT=$(OUT) PYTHONPATH="$$PWD:$$PYTHONPATH" $(PYTHON) benchmarks/gpu.py; \
	else $(MAKE) setup && OUT=$(OUT) $(BIN)/python benchmarks/gpu.py; fi

page: setup ## The browser page of $MODEL, built into build/page and served on http://127.0.0.1:8000 (needs npm)
	$(BIN)/fruitcnn export $(MODEL) --to build --format page --force
	$(BIN)/python -m http.server --bind 127.0.0.1 --directory build/page 8000

sample: setup ## Draw the embedded pictures again, in build/sample
	$(BIN)/python -m dataset.drawing build/sample --per-class 100 --size 160 --seed 0
