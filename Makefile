# The two commands of README: `make demo` and `make test`. Both make the environment when it is missing or its
# inputs changed, and only then.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test lint types imports pytest format mini-adapter bench-embed clean

demo: $(READY)
	$(BIN)/anybind demo

test: lint types imports pytest

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "anybind needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --disable-pip-version-check --editable '.[mini,openclip,train,dev]'
	touch $@

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(READY)
	$(BIN)/basedpyright

imports: $(READY)
	$(BIN)/lint-imports --no-logo

pytest: $(READY)
	$(BIN)/python -m pytest

format: $(READY)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# Makes the shipped adapter of the binding `mini` anew, from the two packages that carry its towers.
mini-adapter: $(READY)
	$(BIN)/python -m anybind_mini.build_adapter

# What embedding through a binding costs over the bare towers; writes benchmarks/results/embed.json.
bench-embed: $(READY)
	$(BIN)/python benchmarks/embed_rate.py

clean:
	rm -rf $(VENV) build dist core/*.egg-info *.egg-info .pytest_cache .ruff_cache
