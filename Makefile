# Two commands on a fresh machine (python3 >= 3.11 and make): `make demo` and `make test`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: demo paper test test-gpu test-lowest lint soak dist docs clean
demo: $(VENV)/.ready
	$(BIN)/opty demo

# Every listing, figure and equation of Guzzi et al. 2022, at a reduced size: figures into docs/paper, numbers and times into benchmarks/results.
paper: $(VENV)/.ready-test
	MPLBACKEND=Agg $(BIN)/python examples/paper/run.py

# The test run takes every core; BLAS threads under it would only fight over them. Devices are hidden, so that it is the
# same on every machine: a state sits on a GPU where there is one, and many tests take theirs for NumPy arrays.
# Bytecode is kept: hundreds of tests start Python, or import the GPU backend anew.
test: $(VENV)/.ready-test lint
	CUDA_VISIBLE_DEVICES= OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MPLBACKEND=Agg PYTHONDONTWRITEBYTECODE= \
		$(BIN)/python -m pytest -n auto --dist worksteal -m "not slow"

# Those that are marked as slow too.
test-all: $(VENV)/.ready-test lint
	CUDA_VISIBLE_DEVICES= OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MPLBACKEND=Agg PYTHONDONTWRITEBYTECODE= \
		$(BIN)/python -m pytest -n auto --dist worksteal

# The tests on a device, in one process. CuPy has to be there: .venv/bin/pip install -e '.[cuda12x]', or [cuda13x].
test-gpu: $(VENV)/.ready-test
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MPLBACKEND=Agg $(BIN)/python -m pytest -m gpu

lint: $(VENV)/.ready-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# Mutated files against every reader, 20,000 for each format: some four hours of a core that does nothing
# else. Bad ones are kept in the temporary folder.
soak: $(VENV)/.ready-test
	OMP_NUM_THREADS=1 $(BIN)/python tests/io/fuzzing.py --files 20000

# The tests with the oldest versions that pyproject.toml allows, in an environment of its own. What these take from the
# newest versions of their own dependencies may be deprecated there. One of them changes the locale to one of ASCII only,
# which UTF-8 mode leaves without effect.
test-lowest: $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python build/lowest
	VIRTUAL_ENV=build/lowest $(BIN)/uv pip install --quiet --resolution lowest-direct -e '.[test]'
	CUDA_VISIBLE_DEVICES= OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MPLBACKEND=Agg PYTHONUTF8=1 \
		build/lowest/bin/python -m pytest -n auto --dist worksteal -m "not slow" -W ignore::DeprecationWarning

# The wheel and the sdist, each installed in a bare environment, and the demo run there.
dist: $(BIN)/python
	$(BIN)/python packaging/check_distributions.py

# The documentation as a site, examples run: build/docs/docs/index.html. A warning is an error.
docs: $(VENV)/.ready-docs
	OMP_NUM_THREADS=1 MPLBACKEND=Agg $(BIN)/python -m sphinx -q -W --keep-going -c docs . build/docs

clean:
	rm -rf $(VENV) build dist *.egg-info docs/reference docs/gallery docs/notebooks

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "opty needs Python 3.11 or newer, this is %s: make PYTHON=python3.12" % sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[all]'
	touch $@

$(VENV)/.ready-test: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	touch $@ $(VENV)/.ready

$(VENV)/.ready-docs: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[docs]'
	touch $@ $(VENV)/.ready
