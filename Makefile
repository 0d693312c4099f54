# Every target sets up what it needs from nothing: `make demo` on a fresh clone is enough.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
STAMP_DEV := .venv/.installed-dev
# Every file that is installed is the one that its hash in requirements*.txt names, and what has no
# wheel (deepspeed) is built with the setuptools of these lists. They are whole, so that nothing is
# resolved here; `pip check` says where one is not.
# Warnings of pip about mirrors and upgrades say nothing about this project.
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet --require-hashes --no-deps \
	--no-build-isolation

.PHONY: setup lock demo dashboard parcels test test-unit lint clean

setup: $(STAMP)

# The CPU build of torch where one is offered, else PyPI's, which on Linux brings CUDA.
$(STAMP): requirements.txt requirements-torch.txt requirements-torch-cpu.txt
	$(PYTHON) -m venv .venv
	$(PIP) -r requirements-torch-cpu.txt || $(PIP) -r requirements-torch.txt
	$(PIP) -r requirements.txt
	$(BIN)/python -m pip check
	touch $@

$(STAMP_DEV): $(STAMP) requirements-dev.txt
	$(PIP) -r requirements-dev.txt
	$(BIN)/python -m pip check
	touch $@

# Writes requirements*.txt anew from the names in pyproject.toml; versions stay as they are, unless
# UPGRADE is --upgrade or --upgrade-package NAME. Then commit what has changed. The hashes are those
# of PyPI; it does not have torch's CPU build, so this is to be called where pip finds that.
UPGRADE ?=
NEW := .venv/lock
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-annotate --no-header
lock: $(STAMP_DEV)
	rm -rf $(NEW) && mkdir $(NEW)
	cat requirements.txt requirements-dev.txt requirements-torch.txt > $(NEW)/all.txt
	$(COMPILE) $(UPGRADE) --group run --group dev -o $(NEW)/all.txt
	$(COMPILE) --group run -c $(NEW)/all.txt -o $(NEW)/run.txt
	$(BIN)/pip download --quiet --no-deps -d $(NEW) \
		"$$(sed -n 's/^\(torch==[^ ]*\).*/\1+cpu/p' $(NEW)/all.txt)"
	for file in requirements*.txt; do echo '# Written by `make lock`.' > $$file; done
	awk '/^[a-z]/ {name = $$1} NR == FNR {run[name]; next} \
		{part = name ~ /^(torch=|setuptools=|nvidia|cuda|triton)/ ? "-torch" : name in run ? "" : "-dev"; \
		print >> ("requirements" part ".txt")}' $(NEW)/run.txt $(NEW)/all.txt
	awk '/^[a-z]/ {kept = /^setuptools=/} kept' requirements-torch.txt >> requirements-torch-cpu.txt
	echo "$$(sed -n 's/^\(torch==[^ ]*\).*/\1+cpu/p' $(NEW)/all.txt)" \
		"--hash=sha256:$$(sha256sum $(NEW)/torch-*.whl | cut -c -64)" >> requirements-torch-cpu.txt

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

# In two processes: unit tests of one thread each, of which one that hangs is named and ended; of
# Ray's tests, those that share a run or a server stay together.
UNIT := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --timeout 120 \
	-m "not integration and not gpu" tests

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
