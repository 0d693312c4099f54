# Every target sets up what it needs from nothing: `make demo` on a fresh clone is enough.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
STAMP_DEV := .venv/.installed-dev
# Warnings of pip about mirrors and upgrades say nothing about this project.
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt

.PHONY: setup demo dashboard parcels test test-unit lint clean

setup: $(STAMP)

# torch first, alone and pinned: where a CPU build is offered it is taken, and no other package
# then pulls the CUDA build in.
$(STAMP): requirements.txt constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) torch
	$(PIP) -r requirements.txt
	touch $@

$(STAMP_DEV): $(STAMP) requirements-dev.txt
	$(PIP) -r requirements-dev.txt
	touch $@

# All seven stages on drawn faces, no download: minutes on two cores. Result: runs/demo/report/index.html
demo: $(STAMP)
	$(BIN)/python workflows/full.py --config workflows/configs/demo.yaml --run runs/demo

# TensorBoard over all stages of a run, the search's trials in its HParams tab; for this machine
# alone (loopback). It prints its address, and takes the next free port where 6006 is in use.
RUN ?= runs/demo
dashboard: $(STAMP)
	$(BIN)/tensorboard --logdir '$(RUN)' --host 127.0.0.1

# For a GPU machine without a network (docs/gpu.md): packages, Ray, and the clips of the runs named.
FACES ?=
parcels: $(STAMP)
	$(BIN)/python workflows/gpu.py pack $(if $(FACES),--run $(FACES))

# In two processes: unit tests of one thread each; of Ray's tests, those that share a run or a
# server stay together.
UNIT := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not integration and not gpu" tests

test: $(STAMP_DEV)
	$(UNIT)
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "integration or gpu" tests

test-unit: $(STAMP_DEV)
	$(UNIT)

lint: $(STAMP_DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

clean:
	rm -rf .venv runs .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -exec rm -rf {} +
