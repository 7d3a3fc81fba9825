"""Recipes: parsing, overrides, errors, and the hash."""

from __future__ import annotations

from pathlib import Path

import pytest

import anybind
from anybind.errors import BadOption
from anybind.modality import check_augmentation
from anybind.prompts import DEFAULT_TEMPLATES
from anybind.registry import create_part, find_part
from anybind_train.input_augmentation import InputAugmentation
from anybind_train.losses.weighted_sum import PRESETS, WeightedSum
from anybind_train.recipe import DatasetConfig, OptimiserConfig, ProbeConfig, Recipe, StudentConfig

SMALLEST = """
name = "r"
modality = "event"
epochs = 3
batch_size = 4
[[data]]
"""
REPOSITORY = sorted((Path(__file__).resolve().parents[3] / "benchmarks" / "recipes").glob("*.toml"))


@pytest.fixture
def recipe_file(tmp_path):
    def write(text=SMALLEST):
        path = tmp_path / "recipe.toml"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def parse_recipe(recipe_file):
    """Return the smallest recipe with changes."""
    return lambda *changes: Recipe.from_toml(recipe_file(), changes)


def test_missing_keys_have_defaults(parse_recipe):
    recipe = parse_recipe()
    assert recipe == Recipe(name="r", modality="event", epochs=3, batch_size=4, data=(DatasetConfig(),))
    assert (recipe.losses, recipe.student, recipe.optimiser, recipe.probe) == (
        "paper",
        StudentConfig(),
        OptimiserConfig(),
        None,
    )
    assert recipe.templates == DEFAULT_TEMPLATES


def test_tables_are_parsed_into_dataclasses(recipe_file):
    recipe = Recipe.from_toml(
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
candidate_labels = ["x", "z"]
held_out = true
""")
    )
    assert recipe.student == StudentConfig(method="lora", targets=("fc1", "fc2"), options={"representation": "paper"})
    assert recipe.optimiser == OptimiserConfig(lr=1.0, betas=(0.0, 0.9))
    assert all(isinstance(value, float) for value in (recipe.optimiser.lr, *recipe.optimiser.betas))
    assert recipe.data == (
        DatasetConfig(path="a", classes="splits.json:seen"),
        DatasetConfig(path="b", classes=("x", "y"), shots=2),
    )
    assert recipe.probe == ProbeConfig(path="b", candidate_labels=("x", "z"), held_out=True)
    assert recipe.losses == ({"use": "cosine"},)


@pytest.mark.parametrize(
    ("change", "message"),
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
        ("skip_invalid=1.5", "skip_invalid: expected a fraction from 0 to below 1, got 1.5"),
        ("student.train=visual", "student.train: expected a list, got 'visual'"),
        ("templates=[1]", "templates.0: expected a text, got 1"),
        ("optimiser.betas=[0.9,null]", "optimiser.betas.1: expected a number, got None"),
        ("probe=[]", "probe: expected a table, got []"),
    ],
)
def test_an_error_names_the_file_and_the_key(parse_recipe, change, message):
    with pytest.raises(BadOption) as raised:
        parse_recipe(change)
    assert "recipe.toml" in str(raised.value)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("epochs=0", "epochs: expected at least 1, got 0"),
        ("batch_size=0", "batch_size: expected at least 1"),
        ("variants=0", "variants: expected at least 1"),
        ("checkpoint_steps=0", "checkpoint_steps: expected at least 1"),
        ("seed=-1", "seed: expected at least 0, got -1"),
        (f"seed={2**32}", "seed: expected a number below 2\\*\\*32"),
        ("student.method=lorra", "student.method: expected one of full, lora, .*, got 'lorra'"),
        ("student.batch_norm=on", "student.batch_norm: expected one of frozen, batch, got 'on'"),
        ("student.rank=0", "student.rank: expected at least 1, got 0"),
        ("student.input_size=-8", "student.input_size: expected at least 0"),
        ("optimiser.schedule=step", "optimiser.schedule: expected one of cosine, constant, got 'step'"),
        ("optimiser.lr=0", "optimiser.lr: expected a number above 0, got 0"),
        ("optimiser.lr=NaN", "optimiser.lr: expected a number above 0, got nan"),
        ("optimiser.lr=Infinity", "optimiser.lr: expected a number above 0, got inf"),
        ("optimiser.base_batch=-1", "optimiser.base_batch: expected at least 0"),
        ("optimiser.momentum_target=1", "optimiser.momentum_target: expected m from 0 to below 1, got 1.0"),
        ("optimiser.momentum_target=-0.1", "optimiser.momentum_target: expected m from 0 to below 1"),
        ("optimiser.clip=-1", "optimiser.clip: expected at least 0"),
        ("optimiser.weight_decay=-1", "optimiser.weight_decay: expected at least 0"),
        ("optimiser.warmup_epochs=NaN", "optimiser.warmup_epochs: expected at least 0"),
        ("optimiser.betas=[0.9]", "optimiser.betas: expected two numbers"),
        ("optimiser.betas=[0.9,1.0]", "optimiser.betas: expected two numbers"),
        ("data=[]", r"recipe: expected at least one table \[\[data\]\], got none"),
        ("data.0.shots=-1", "shots: expected at least 0"),
        ("probe.every=0", "every: expected at least 1"),
    ],
)
def test_an_invalid_value_is_rejected(parse_recipe, change, message):
    with pytest.raises(BadOption, match=message):
        parse_recipe(change)


def test_inputs_with_an_augmentation_each_epoch_cannot_be_cached(parse_recipe):
    with pytest.raises(BadOption, match=r"cache_inputs: not supported with augment.event: inputs differ in each epoch"):
        parse_recipe("cache_inputs=true", "augment.event.shift=3")
    with pytest.raises(BadOption, match="cache_inputs: not supported with augment_input"):
        parse_recipe("cache_inputs=true", "augment_input.flip=true")
    assert parse_recipe("cache_inputs=true", "augment.image.flip=true").cache_inputs


def test_a_momentum_target_has_no_weight_decay(parse_recipe):
    with pytest.raises(BadOption, match="momentum_target: its update has no weight decay"):
        parse_recipe("optimiser.momentum_target=0.9", "optimiser.weight_decay=0.1")


@pytest.mark.parametrize("key", ["name", "modality", "epochs", "batch_size"])
def test_a_missing_required_key_is_named(recipe_file, key):
    text = "\n".join(line for line in SMALLEST.splitlines() if not line.startswith(key))
    with pytest.raises(BadOption, match=f"lacks the key '{key}'"):
        Recipe.from_toml(recipe_file(text))


def test_a_missing_or_invalid_file_is_named(recipe_file, tmp_path):
    with pytest.raises(anybind.BadInput, match=r"absent\.toml: No such file"):
        Recipe.from_toml(tmp_path / "absent.toml")
    with pytest.raises(BadOption, match=r"recipe\.toml.*TOML"):
        Recipe.from_toml(recipe_file("name = ["))


def test_overrides_replace_keys_of_the_file(parse_recipe):
    recipe = parse_recipe(
        "optimiser.lr=1e-5", "data.0.shots=2", "name=another one", 'losses=[{"use":"kl"}]', "probe.path=p"
    )
    assert recipe.optimiser.lr == 1e-5
    assert recipe.data[0].shots == 2
    assert recipe.name == "another one"  # not JSON: the text itself
    assert recipe.losses == ({"use": "kl"},)
    assert recipe.probe == ProbeConfig(path="p")


def test_the_last_of_two_overrides_wins(parse_recipe):
    assert parse_recipe("epochs=5", "epochs=7").epochs == 7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("nonsense", "--set: expected KEY=VALUE, got 'nonsense'"),
        ("=3", "--set: expected KEY=VALUE, got '=3'"),
        ("data.1.shots=2", "data.1.shots: expected an index from 0 to 0, got 1"),
        ("data.first.shots=2", "expected an index from 0 to 0, got first"),
        ("data.².shots=2", "expected an index from 0 to 0, got ²"),
        ("data.shots=2", "data.shots: not a key of a table"),
        ("name.x=1", "name.x: not a key of a table"),
        ("name.x.y=1", "name.x.y: not a key of a table"),
    ],
)
def test_an_invalid_override_is_rejected(parse_recipe, change, message):
    with pytest.raises(BadOption, match=message):
        parse_recipe(change)


def test_the_hash_ignores_keys_that_do_not_affect_the_weights(parse_recipe):
    assert parse_recipe().hash == parse_recipe("name=x", "summary=y", "checkpoint_steps=7").hash


@pytest.mark.parametrize(
    "change",
    [
        "optimiser.lr=2e-4",
        "epochs=4",
        "seed=1",
        "losses=author-code",
        "losses=author-code-mended",
        "losses=paper-zscl",
        "optimiser.momentum_target=0.9",
        "optimiser.base_batch=256",
        "augment_input.flip=true",
        "data.0.limit=5",
        "student.ema_decay=0.9",
        "augment.image.flip=true",
        "derive.threshold=0.3",
        "derive_each_epoch=true",
        "skip_invalid=0.1",
        "probe.path=p",
        "precision=bf16-mixed",
    ],
)
def test_the_hash_depends_on_keys_that_affect_the_weights(parse_recipe, change):
    assert parse_recipe().hash != parse_recipe(change).hash


def test_the_hash_ignores_the_order_of_keys_and_the_format_of_numbers(recipe_file):
    first = Recipe.from_toml(recipe_file(SMALLEST + "shots = 2\nlimit = 9\n[optimiser]\nlr = 1\nclip = 2.0\n"))
    text = 'batch_size = 4\nepochs = 3\nmodality = "event"\nname = "r"\n[optimiser]\nclip = 2\nlr = 1.0\n[[data]]\n'
    assert first.hash == Recipe.from_toml(recipe_file(text + "limit = 9\nshots = 2\n")).hash


def test_the_hash_is_stable(recipe_file):
    """States, results and the cards of shipped weights were written with these hashes."""
    text = SMALLEST + "[student]\n{0} = 0.9\n{1} = true\n[probe]\n{2} = ['a']\ntask_options = {{ {2} = ['a'] }}\n"
    soft = ("losses=paper-zscl",)  # the preset `paper` of these hashes
    assert Recipe.from_toml(recipe_file(), soft).hash == "3f799de7530b"
    path = recipe_file(text.format("ema_decay", "pretrained", "candidate_labels"))
    assert Recipe.from_toml(path, soft).hash == "009c3135935b"


def test_presets_that_changed_their_meaning_have_new_hashes(parse_recipe):
    hashes = {parse_recipe(f"losses={name}").hash for name in PRESETS}
    assert len(hashes) == len(PRESETS)
    assert not hashes & {"7ac24c81b7ef"}  # `author-code` before it was literal
    assert parse_recipe("losses=paper").hash != "3f799de7530b"
    expanded = [{"use": term.use, "weight": term.weight, **term.options} for term in PRESETS["paper-zscl"]]
    assert all("target" not in table for table in expanded)  # written without it, its tables keep their hashes


@pytest.mark.parametrize("path", REPOSITORY, ids=lambda path: path.stem)
def test_the_recipes_of_the_repository_are_valid(path):
    recipe = Recipe.from_toml(path)
    assert recipe.name == path.stem
    assert recipe.teacher or "teacher" not in WeightedSum.from_recipe(recipe.losses).needs
    find_part("binding", recipe.binding.partition(":")[0])
    for config in (*recipe.data, *([recipe.probe] if recipe.probe else [])):
        find_part("dataset", config.dataset)
    for modality, options in recipe.augment.items():
        check_augmentation(modality, options)
    InputAugmentation.from_table(recipe.augment_input)
    options = recipe.student.options
    if "representation" in options:
        create_part("representation", options["representation"], **options.get("options", {}))


def test_the_documented_recipes_exist():
    names = {"paper-pretrain-b32", "paper-pretrain-l14", "author-code-b32", "author-code-mended-b32"}
    names |= {"few-shot", "fine-tune", "mini-event"}
    assert names <= {path.stem for path in REPOSITORY}
