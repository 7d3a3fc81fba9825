# The two commands of README: `make demo` and `make test`. Both make the environment when it is missing or its
# inputs changed, and only then.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BENCH := $(VENV)/.bench

# What the long targets read: a folder with caltech101 and imagenet_samples; recordings to damage, and for how long.
DATA ?= ../shared/data
RUNS ?= runs
FILES ?= $(wildcard $(DATA)/events/*.*)
SECONDS ?= 600

.PHONY: demo test lint types imports pytest format fuzz mini-adapter mini-picture mini-event mini-sound ablation few-shot \
	bench-embed bench-events bench-readers bench-video bench-train clean

demo: $(READY)
	$(BIN)/anybind demo

test: lint types imports pytest

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "anybind needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --disable-pip-version-check --editable '.[mini,openclip,imagebind,languagebind,search,train,dev]'
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

# The same of the network that makes pictures of events, and of the event tower: both take minutes to hours.
mini-picture: $(READY)
	$(BIN)/python -m anybind_mini.build_event_picture --data $(DATA)

mini-event: $(READY)
	$(BIN)/anybind train benchmarks/recipes/mini-event.toml --data $(DATA) -o $(RUNS)/mini-event
	$(BIN)/python -m anybind_mini.ship $(RUNS)/mini-event

mini-sound: $(READY)
	$(BIN)/anybind train benchmarks/recipes/mini-sound.toml --data $(DATA) -o $(RUNS)/mini-sound
	$(BIN)/python -m anybind_mini.ship $(RUNS)/mini-sound

# Figure 4 of the paper, and few-shot learning, with mini's towers.
ablation: $(READY)
	$(BIN)/python benchmarks/ablation.py --data $(DATA) --output $(RUNS)/ablation

few-shot: $(READY)
	$(BIN)/python benchmarks/few_shot.py --data $(DATA) --output $(RUNS)/few-shot

# Damages recordings and reads them, for as long as SECONDS says.
fuzz: $(READY)
	$(BIN)/python tests/fuzz_readers.py $(FILES) --seconds $(SECONDS)

# Our rates beside those of other packages, in one process; they write benchmarks/results.
bench-events: $(BENCH)
	$(BIN)/python benchmarks/events_rate.py

bench-readers: $(BENCH)
	$(BIN)/python benchmarks/readers_rate.py

bench-video: $(READY)
	$(BIN)/python benchmarks/video_rate.py

bench-train: $(READY)
	$(BIN)/python benchmarks/train_rate.py

$(BENCH): $(READY)
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --disable-pip-version-check --editable '.[bench]'
	touch $@

clean:
	rm -rf $(VENV) build dist core/*.egg-info *.egg-info .pytest_cache .ruff_cache
