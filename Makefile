# make demo: the whole job on data that comes with the installation.   make test: the whole suite.
# make test COVERAGE=1: the same, and how much of the code the tests run; fails below the floor.
# make check: lint, types and the direction of imports.   make wheel: the wheel, into dist/.
# make docs: the outputs and tables in README.md and docs/ anew.
# Each needs nothing but Python 3.11+ and make; both share one virtual environment.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# The two files that are left out are traced by torch.compile, which cannot trace what measures them.
MEASURE := -m slipcover --source cmfl_export,training,protocols,models_zoo \
	--omit training/model.py,training/spectrum.py --skip-covered --fail-under 80

.PHONY: demo test check docs wheel install clean

demo: install
	rm -rf demo
	$(BIN)/cmfl demo -o demo

test: install
	$(BIN)/python $(if $(COVERAGE),$(MEASURE)) -m pytest

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

docs: install
	$(BIN)/python docs/build.py

wheel: install
	$(BIN)/python -m pip wheel --quiet --no-deps . -w dist

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) demo build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
