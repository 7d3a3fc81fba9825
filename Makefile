# The two commands of README: `make demo` and `make test`. Each makes its environment when it is missing or its inputs
# changed, and only then: a small one without torch for the demo, and one with everything for the rest.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO := .venv-demo
BENCH := $(VENV)/.bench
DOCS := $(VENV)/.docs

# What the long targets read: a folder with caltech101 and imagenet_samples; how many damaged files of each family.
DATA ?= ../shared/data
RUNS ?= runs
INPUTS ?= 100000

.PHONY: demo test check lint types imports pytest format docs fuzz mini-adapter mini-graphs mini-event event-figures mini-sound esc10 retrieval-mini depth-retrieval joint-retrieval ablation few-shot baselines robustness \
	bench-embed bench-events bench-filters bench-live bench-readers bench-video bench-simulation bench-train bench-sound bench-retrieval bench-index-formats bench-torch bench-decode bench-vad \
	bench-startup bench-inference memory vad-memory vad-ped2 parity bench-suite kill-embed kills look long oldest public-api tables clean

demo: $(DEMO)/.ready
	$(DEMO)/bin/anybind demo

test: lint types imports pytest

$(DEMO)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "anybind needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(DEMO)
	PIP_CONSTRAINT=constraints.txt $(DEMO)/bin/python -m pip install --disable-pip-version-check --no-compile --editable '.[mini]'
	touch $@

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "anybind needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --disable-pip-version-check --editable '.[mini-build,openvino,openclip,imagebind,languagebind,search,explain,speech,train,whisper,dev]'
	touch $@

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python tests/lint.py
	$(BIN)/python tests/lint_language.py

# What a change can be checked with again and again: no torch, no real data, nothing slow.
check: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder -m "not slow and not long and not torch and not data"

types: $(READY)
	$(BIN)/basedpyright

imports: $(READY)
	$(BIN)/lint-imports --no-logo

# One process a core, eight at most, a thread each: a file's tests stay together, since they share what is slow to make.
pytest: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder -m "not long"

# Tests of more than ten seconds, for what smaller ones also see: for a change of what they test, and before a release.
long: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m long

# The tests that are not slow on the oldest versions that pyproject.toml allows; test tools are the newest.
OLDEST := $(VENV)/oldest
EXTRAS := mini-build openvino openclip imagebind languagebind search sound-device explain speech train whisper rosbag mteb datasets exr hub

oldest:
	$(PYTHON) -m venv --clear $(OLDEST)
	$(OLDEST)/bin/python -m pip install --disable-pip-version-check uv
	$(OLDEST)/bin/uv pip compile -q --resolution lowest-direct --python $(OLDEST)/bin/python $(EXTRAS:%=--extra %) pyproject.toml -o $(OLDEST)/oldest.txt
	$(OLDEST)/bin/uv pip install -q --python $(OLDEST)/bin/python -c $(OLDEST)/oldest.txt -r $(OLDEST)/oldest.txt \
		aedat build expelliarmus faery faiss-cpu hypothesis ipykernel mcap nbclient packaging pytest pytest-xdist ruff 'setuptools>=77'
	$(OLDEST)/bin/uv pip install -q --python $(OLDEST)/bin/python --no-deps --editable .
	OMP_NUM_THREADS=1 $(OLDEST)/bin/python -m pytest -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder -m "not slow"

format: $(READY)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# The site in site/, from docs/: a warning of any kind is an error. Needs no network once its packages are there.
docs: $(DOCS)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

$(DOCS): $(READY)
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --disable-pip-version-check --editable '.[docs]'
	touch $@

# The list of public names, after one was added, changed or removed.
public-api: $(READY)
	$(BIN)/python tests/lint.py --write

# The tables of README and of pages, from benchmarks/results and the specs of parts.
tables: $(READY)
	$(BIN)/python docs/tables.py

# Makes the shipped adapter of the binding `mini` anew, from its classifier and its text encoder.
mini-adapter: $(READY)
	$(BIN)/python -m anybind_mini.build_adapter

# What embedding through a binding costs over the bare towers; writes benchmarks/results/embed.json.
bench-embed: $(READY)
	$(BIN)/python benchmarks/embed_rate.py

# Trains mini's event encoder, in two runs of about 15 minutes on two busy cores and the teacher's embeddings: DATA as benchmarks/recipes/mini-event.toml describes it.
mini-event: $(READY)
	$(BIN)/anybind train benchmarks/recipes/mini-event.toml --data $(DATA) -o $(RUNS)/mini-event
	$(BIN)/anybind train benchmarks/recipes/mini-event-noise.toml --data $(DATA) -o $(RUNS)/mini-event-noise \
		--set student.weights=$(RUNS)/mini-event/last.safetensors
	$(BIN)/python -m anybind_mini.ship $(RUNS)/mini-event $(RUNS)/mini-event-noise

# Zero-shot accuracy of mini's event encoder on simulated saccades, general motion and noise: CLASSES=held-out or unseen.
CLASSES ?= held-out
event-figures: $(READY)
	$(BIN)/python benchmarks/mini_event.py --data $(DATA) --classes $(CLASSES) --output benchmarks/results/mini_event_$(CLASSES).json

# The weights and ONNX graphs of mini's image and text encoders, from the packages that carry them.
mini-graphs: $(READY)
	$(BIN)/python -m anybind_mini.build_graphs

# The audio encoder, from YAMNet's weights and the names of its classes.
mini-sound: $(READY)
	$(BIN)/python -m anybind_mini.build_sound --yamnet $(DATA)/yamnet

# Figure 4 of the paper, and few-shot learning, with mini's towers.
ablation: $(READY)
	$(BIN)/python benchmarks/ablation.py --data $(DATA) --runs $(RUNS)/ablation

few-shot: $(READY)
	$(BIN)/python benchmarks/few_shot.py --data $(DATA) --runs $(RUNS)/few-shot

# EventCLIP, EventBind and heads with 0, 1, 2 and 5 shots, on simulated recordings with mini's towers.
baselines: $(READY)
	$(BIN)/python benchmarks/baselines.py --data $(DATA) --runs $(RUNS)/baselines

# Zero-shot classification of sounds with mini, and retrieval across modalities.
esc10: $(READY)
	$(BIN)/python benchmarks/esc10.py --data $(DATA)/esc10 --others $(DATA)/animal_sounds $(DATA)/gcompris_instruments

retrieval-mini: $(READY)
	$(BIN)/python benchmarks/retrieval_mini.py --data $(DATA)

depth-retrieval: $(READY)
	$(BIN)/python benchmarks/depth_retrieval.py --data $(DATA)

joint-retrieval: $(READY)
	$(BIN)/python benchmarks/joint_retrieval.py --data $(DATA)

# Recognition by the length of windows, on simulated recordings.
.PHONY: window-choice
window-choice: $(READY)
	$(BIN)/python benchmarks/window_choice.py --data $(DATA)

# Reads INPUTS damaged files of every family of formats, or of FAMILIES=image,sound; those that break a rule are saved in
# $(RUNS)/fuzz. FILES=... damages these files instead.
fuzz: $(READY)
	PYTHONPATH=tests $(BIN)/python -m helpers.fuzz_readers $(FILES) --inputs $(INPUTS) $(if $(FAMILIES),--families $(FAMILIES)) \
		--findings $(RUNS)/fuzz --output $(RUNS)/fuzz.json

# Accuracy of mini on corrupted recordings, with and without filters; writes benchmarks/results/robustness.json.
robustness: $(READY)
	$(BIN)/python benchmarks/robustness.py --data $(DATA) --runs $(RUNS)/robustness

# Our rates beside those of other packages, in one process; they write benchmarks/results.
bench-events: $(BENCH)
	RAYON_NUM_THREADS=1 POLARS_MAX_THREADS=1 OMP_NUM_THREADS=1 $(BIN)/python benchmarks/events_rate.py

bench-filters: $(BENCH)
	RAYON_NUM_THREADS=1 OMP_NUM_THREADS=1 $(BIN)/python benchmarks/filters_rate.py

# RECORDING=..., RATE=..., SECONDS=..., WINDOW=..., STRIDE=..., CHART=docs/images/live.png; latencies depend on what else runs.
bench-live: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/live.py $(RECORDING) --rate $(or $(RATE),2e6) --seconds $(or $(SECONDS),60) \
		--window $(or $(WINDOW),100ms) --stride $(or $(STRIDE),100ms) $(addprefix --chart ,$(CHART))

bench-readers: $(BENCH)
	$(BIN)/python benchmarks/readers_rate.py

bench-video: $(READY)
	$(BIN)/python benchmarks/video_rate.py

bench-simulation: $(READY)
	$(BIN)/python benchmarks/simulation_rate.py

bench-train: $(READY)
	$(BIN)/python benchmarks/train_rate.py

bench-sound: $(READY)
	$(BIN)/python benchmarks/sound_rate.py

bench-retrieval: $(READY)
	$(BIN)/python benchmarks/retrieval_rate.py

# Ways to store vectors in an index, the torch path, and decoding in processes: the tables of "Speed up inference".
bench-index-formats: $(READY)
	$(BIN)/python benchmarks/index_formats.py --data $(DATA)

bench-torch: $(READY)
	$(BIN)/python benchmarks/torch_inference.py

bench-decode: $(READY)
	$(BIN)/python benchmarks/decode_rate.py --data $(DATA)

bench-inference: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/inference.py --data $(DATA)

bench-vad: $(READY)
	$(BIN)/python benchmarks/vad_rate.py

# Processor seconds of whole commands, in the environment of the demo; needs nothing else.
bench-startup: $(DEMO)/.ready
	$(DEMO)/bin/python benchmarks/startup.py

# Peak memory of an hour-long film beside that of a short one, and the heads side by side on UCSD Ped2.
vad-memory: $(READY)
	$(BIN)/python benchmarks/vad_memory.py

vad-ped2: $(READY)
	$(BIN)/python benchmarks/vad_ped2.py --data $(DATA)/ucsd_ped2 --store $(RUNS)/vad-ped2 --docs docs/images

# Peak memory of small files that declare gigabytes, read and embedded.
memory: $(READY)
	$(BIN)/python benchmarks/memory.py --output benchmarks/results/memory.json

# Kills embed and index again and again: at most a batch a kill is computed twice, and no output changes.
kill-embed: $(READY)
	$(BIN)/python benchmarks/kill_embed.py --output $(RUNS)/kill_embed.json

# Kills commands inside their writes: outputs stay whole, restarted runs end with the same bytes, nothing is left.
kills: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/kills.py --output $(RUNS)/kills.json

# The suite that needs no data, twice: the second run takes all embeddings from the store.
bench-suite: $(READY)
	$(BIN)/python benchmarks/suite_rate.py

# Opens pages in headless Chromium: errors, anything cut off; screenshots go to $(RUNS)/looks.
PAGES ?= $(wildcard anybind-demo/index.html $(RUNS)/*.html)

look: $(READY)
	$(BIN)/python benchmarks/browser_look.py $(PAGES) --output $(RUNS)/looks

# Our towers of ImageBind and LanguageBind beside upstream's packages, which have an environment of their own.
PARITY := $(VENV)/parity

parity: $(READY) $(PARITY)/.ready
	$(BIN)/python benchmarks/parity/run.py --data $(DATA) --upstream $(PARITY)/bin/python

$(PARITY)/.ready: $(READY) benchmarks/parity/requirements.txt benchmarks/parity/upstream.txt
	$(PYTHON) -m venv $(PARITY)
	$(PARITY)/bin/python -m pip install --disable-pip-version-check -r benchmarks/parity/requirements.txt
	$(PARITY)/bin/python -m pip install --disable-pip-version-check --no-deps -r benchmarks/parity/upstream.txt
	touch $@

$(BENCH): $(READY)
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --disable-pip-version-check --editable '.[bench]'
	touch $@

clean:
	rm -rf $(VENV) $(DEMO) build dist site core/*.egg-info *.egg-info .pytest_cache .ruff_cache
