"""Recipes: what a TOML file may say, what is laid over it, and what its hash depends on."""

from __future__ import annotations

from pathlib import Path

import pytest

import anybind
from anybind.errors import BadOption
from anybind.prompts import DEFAULT_TEMPLATES
from anybind.registry import find_part
from anybind_train.losses.weighted_sum import WeightedSum
from anybind_train.recipe import DatasetConfig, OptimiserConfig, ProbeConfig, Recipe, StudentConfig

SMALLEST = """
name = "r"
modality = "event"
epochs = 3
batch_size = 4
[[data]]
"""
SHIPPED = sorted((Path(__file__).resolve().parents[3] / "benchmarks" / "recipes").glob("*.toml"))


@pytest.fixture
def recipe_file(tmp_path):
    def write(text=SMALLEST):
        path = tmp_path / "recipe.toml"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def plan(recipe_file):
    """The smallest recipe with changes."""
    return lambda *changes: Recipe.from_toml(recipe_file(), changes)


def test_what_a_recipe_leaves_out_has_its_default(plan):
    given = plan()
    assert given == Recipe(name="r", modality="event", epochs=3, batch_size=4, data=(DatasetConfig(),))
    assert (given.losses, given.student, given.optimiser, given.probe) == (
        "paper",
        StudentConfig(),
        OptimiserConfig(),
        None,
    )
    assert given.templates == DEFAULT_TEMPLATES


def test_tables_become_what_they_describe(recipe_file):
    given = Recipe.from_toml(
        recipe_file("""
name = "r"
modality = "event"
epochs = 3
batch_size = 4
losses = [{ use = "cosine" }]
augment = { image = { flip = true } }
[student]
method = "lora"
targets = ["fc1", "fc2"]
options = { representation = "paper" }
[optimiser]
lr = 1
betas = [0, 0.9]
[[data]]
path = "a"
classes = "splits.json:seen"
[[data]]
path = "b"
classes = ["x", "y"]
shots = 2
[probe]
path = "b"
among = ["x", "z"]
held_out = true
""")
    )
    assert given.student == StudentConfig(method="lora", targets=("fc1", "fc2"), options={"representation": "paper"})
    assert given.optimiser == OptimiserConfig(lr=1.0, betas=(0.0, 0.9))
    assert all(isinstance(value, float) for value in (given.optimiser.lr, *given.optimiser.betas))
    assert given.data == (
        DatasetConfig(path="a", classes="splits.json:seen"),
        DatasetConfig(path="b", classes=("x", "y"), shots=2),
    )
    assert given.probe == ProbeConfig(path="b", candidate_labels=("x", "z"), held_out=True)
    assert given.losses == ({"use": "cosine"},)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("epoch=3", "unknown key 'epoch'; did you mean 'epochs'"),
        ("student.metod=full", "student has an unknown key 'metod'; did you mean 'method'"),
        ("optimiser.learning=1", "optimiser has an unknown key 'learning'"),
        ("data.0.shot=2", "data.0 has an unknown key 'shot'; did you mean 'shots'"),
        ("probe.evry=2", "probe has an unknown key 'evry'; did you mean 'every'"),
        ("epochs=many", "epochs: expected a whole number, got 'many'"),
        ("epochs=2.5", "epochs: expected a whole number, got 2.5"),
        ("epochs=true", "epochs: expected a whole number, got True"),
        ("name=3", "name: expected a text, got 3"),
        ("student=full", "student: expected a table, got 'full'"),
        ("data={}", "data: expected a list, got {}"),
        ("losses=3", "losses: expected a text or a list, got 3"),
        ("derive=3", "derive: expected a table, got 3"),
        ("cache_inputs=1", "cache_inputs: expected true or false, got 1"),
        ("student.train=visual", "student.train: expected a list, got 'visual'"),
        ("templates=[1]", "templates.0: expected a text, got 1"),
        ("optimiser.betas=[0.9,null]", "optimiser.betas.1: expected a number, got None"),
        ("probe=[]", "probe: expected a table, got []"),
    ],
)
def test_an_unknown_key_or_a_wrong_type_is_named_with_its_place(plan, change, problem):
    with pytest.raises(BadOption) as raised:
        plan(change)
    assert "recipe.toml" in str(raised.value)
    assert problem in str(raised.value)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("epochs=0", "epochs must be at least 1, got 0"),
        ("batch_size=0", "batch_size must be at least 1"),
        ("variants=0", "variants must be at least 1"),
        ("checkpoint_steps=0", "checkpoint_steps must be at least 1"),
        ("seed=-1", "seed must be at least 0, got -1"),
        (f"seed={2**32}", "seed must be below 2\\*\\*32"),
        ("student.method=lorra", "student.method must be one of full, lora, .*, got 'lorra'"),
        ("student.batch_norm=on", "student.batch_norm must be one of frozen, batch, got 'on'"),
        ("student.rank=0", "student.rank must be at least 1, got 0"),
        ("student.input_size=-8", "student.input_size must be at least 0"),
        ("optimiser.schedule=step", "optimiser.schedule must be one of cosine, constant, got 'step'"),
        ("optimiser.lr=0", "optimiser.lr must be above 0, got 0"),
        ("optimiser.lr=NaN", "optimiser.lr must be above 0, got nan"),
        ("optimiser.clip=-1", "optimiser.clip must be at least 0"),
        ("optimiser.weight_decay=-1", "optimiser.weight_decay must be at least 0"),
        ("optimiser.warmup_epochs=NaN", "optimiser.warmup_epochs must be at least 0"),
        ("optimiser.betas=[0.9]", "optimiser.betas must be two numbers"),
        ("optimiser.betas=[0.9,1.0]", "optimiser.betas must be two numbers"),
        ("data=[]", r"names no data: it needs at least one \[\[data\]\]"),
        ("data.0.shots=-1", "shots must be at least 0"),
        ("probe.every=0", "every must be at least 1"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(plan, change, problem):
    with pytest.raises(BadOption, match=problem):
        plan(change)


def test_inputs_cannot_be_kept_where_they_are_drawn_anew(plan):
    with pytest.raises(BadOption, match=r"cache_inputs keeps one input a version, but augment.event is drawn"):
        plan("cache_inputs=true", "augment.event.shift=3")
    assert plan("cache_inputs=true", "augment.image.flip=true").cache_inputs


@pytest.mark.parametrize("key", ["name", "modality", "epochs", "batch_size"])
def test_what_a_recipe_must_say_is_asked_for(recipe_file, key):
    text = "\n".join(line for line in SMALLEST.splitlines() if not line.startswith(key))
    with pytest.raises(BadOption, match=f"lacks the key '{key}'"):
        Recipe.from_toml(recipe_file(text))


def test_a_file_that_is_missing_or_no_toml_is_named(recipe_file, tmp_path):
    with pytest.raises(anybind.BadInput, match=r"absent\.toml: No such file"):
        Recipe.from_toml(tmp_path / "absent.toml")
    with pytest.raises(BadOption, match=r"recipe\.toml is no valid TOML: Invalid value"):
        Recipe.from_toml(recipe_file("name = ["))


def test_changes_are_laid_over_the_file(plan):
    given = plan("optimiser.lr=1e-5", "data.0.shots=2", "name=another one", 'losses=[{"use":"kl"}]', "probe.path=p")
    assert given.optimiser.lr == 1e-5
    assert given.data[0].shots == 2
    assert given.name == "another one"  # what is no JSON is the text itself
    assert given.losses == ({"use": "kl"},)
    assert given.probe == ProbeConfig(path="p")


def test_the_last_of_two_changes_counts(plan):
    assert plan("epochs=5", "epochs=7").epochs == 7


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("nonsense", "a change is given as KEY=VALUE, got 'nonsense'"),
        ("=3", "a change is given as KEY=VALUE, got '=3'"),
        ("data.1.shots=2", "there is no entry 1; a list's entries are numbered from 0"),
        ("data.first.shots=2", "there is no entry first"),
        ("data.².shots=2", "there is no entry ²"),
        ("data.shots=2", "data.shots names no key of a table"),
        ("name.x=1", "name.x names no key of a table"),
        ("name.x.y=1", "name.x.y names no key of a table"),
    ],
)
def test_a_change_that_fits_nowhere_is_refused(plan, change, problem):
    with pytest.raises(BadOption, match=problem):
        plan(change)


def test_the_hash_leaves_out_what_shapes_no_weight(plan):
    assert plan().hash == plan("name=x", "summary=y", "checkpoint_steps=7").hash


@pytest.mark.parametrize(
    "change",
    [
        "optimiser.lr=2e-4",
        "epochs=4",
        "seed=1",
        "losses=author-code",
        "data.0.limit=5",
        "student.ema_decay=0.9",
        "augment.image.flip=true",
        "derive.threshold=0.3",
        "probe.path=p",
        "precision=bf16-mixed",
    ],
)
def test_the_hash_tells_apart_what_shapes_the_weights(plan, change):
    assert plan().hash != plan(change).hash


def test_the_hash_does_not_depend_on_the_order_of_keys_or_the_way_a_number_is_written(recipe_file):
    first = Recipe.from_toml(recipe_file(SMALLEST + "shots = 2\nlimit = 9\n[optimiser]\nlr = 1\nclip = 2.0\n"))
    text = 'batch_size = 4\nepochs = 3\nmodality = "event"\nname = "r"\n[optimiser]\nclip = 2\nlr = 1.0\n[[data]]\n'
    assert first.hash == Recipe.from_toml(recipe_file(text + "limit = 9\nshots = 2\n")).hash


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_recipes_that_are_shipped_make_sense(path):
    given = Recipe.from_toml(path)
    needs = WeightedSum.from_recipe(given.losses).needs
    assert given.teacher or "teacher" not in needs
    assert given.name == path.stem
    find_part("binding", given.binding)
