# make demo | test | check | docs | oracles: all there is, and CI runs the same.  One .venv serves every target.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What is imported is compiled once and kept, even where the environment forbids it: the tests start hundreds of processes,
# and 10 of the 16 seconds of the processor that each would need for torch and timm are compiling (AVX2 core, Zen 3).
export PYTHONDONTWRITEBYTECODE :=

.PHONY: setup demo test oracles check types form processor docs

setup: $(VENV)/installed

# No module is compiled before it is imported: of 220 MB of sources less than half ever is.
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt --editable ".[all,dev]"
	touch $@

# What annotation programs' own code says of the forms that Tarsia reads and writes (tests/oracles), and a store as S3.
ORACLES ?= .oracles
oracles: $(ORACLES)/installed

$(ORACLES)/installed: tests/oracles/requirements.txt
	$(PYTHON) -m venv $(ORACLES)
	$(ORACLES)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps -r $<
	touch $@

demo: setup
	$(BIN)/tarsia demo

test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# The processor's tests once more, with torch held to what most machines have.
AVX2 := ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2

check: setup
	$(MAKE) --no-print-directory -j 2 types form

types: setup
	$(BIN)/mypy

form: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python docs/reference.py --check
	$(MAKE) --no-print-directory processor

processor: setup
	$(AVX2) OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m processor $$(grep -rlF pytest.mark.processor tests)

docs: setup
	$(BIN)/python docs/reference.py
