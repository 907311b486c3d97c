# make demo: the whole job on data that comes with the installation.
# make test: the whole suite, in two processes; in more with WORKERS=4, in one with WORKERS=0.
# make test COVERAGE=1: the same, and how much of the code the tests run, in build/coverage.txt; fails, and shows
#   the file, below the floor.
# make check: lint, types and the direction of imports.   make wheel: the wheel, into dist/.
# make docs: the outputs and tables in README.md and docs/ anew.
# make gpu: measures the project on an NVIDIA GPU in 9 minutes, or tiny on the CPU; gpu/gpu.md and gpu/gpu.json.
#   PYTHON=python3 make gpu NO_INSTALL=1 takes a Python that has PyTorch and ONNX Runtime, and needs no network.
# Each needs nothing but Python 3.11+ and make; all share one virtual environment.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
GPU_OUT ?= gpu
WORKERS ?= 2

# The two files that are left out are traced by torch.compile, which cannot trace what measures them.
MEASURE := -m slipcover --source cmfl_export,training,protocols,models_zoo \
	--omit training/model.py,training/spectrum.py --json --out build/coverage.json
# In a step of its own: the first one would forget what the processes of pytest have measured. The floor is in
# per cent of lines.
JUDGE := -m slipcover --merge build/coverage.json --out build/coverage.json --skip-covered --fail-under 90

# Each process takes whole files, as their tests share what is dear to make. Here and not in pyproject.toml, because
# one file is run sooner without them, and make gpu runs tests where pytest-xdist may be missing.
PROCESSES := -n $(WORKERS) --dist loadfile

.PHONY: demo test check docs gpu wheel install clean

demo: install
	rm -rf demo
	$(BIN)/cmfl demo -o demo

test: install
	$(if $(COVERAGE),mkdir -p build)
	$(BIN)/python $(if $(COVERAGE),$(MEASURE)) -m pytest $(PROCESSES)
	@$(if $(COVERAGE),$(BIN)/python $(JUDGE) > build/coverage.txt || { cat build/coverage.txt; exit 1; })

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

docs: install
	$(BIN)/python docs/build.py

gpu: $(if $(NO_INSTALL),,install)
	PYTHONPATH="$(CURDIR)$${PYTHONPATH:+:$$PYTHONPATH}" $(if $(NO_INSTALL),$(PYTHON),$(BIN)/python) \
		-m cmfl_export.bench.gpu_list --out $(GPU_OUT) $(GPU_OPTIONS)

wheel: install
	$(BIN)/python -m pip wheel --quiet --no-deps . -w dist

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) demo build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
