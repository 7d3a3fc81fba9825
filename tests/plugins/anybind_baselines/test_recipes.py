"""The recipes of EventCLIP and EventBind: published settings, and a fit by a recipe."""

from __future__ import annotations

from pathlib import Path

import pytest

from anybind import BadInput
from anybind.errors import BadOption
from anybind.plugin import Head
from anybind_train import train
from anybind_train.recipe import Recipe

pytestmark = pytest.mark.torch

RECIPES = Path(__file__).parents[3] / "benchmarks" / "recipes"
PHOTOS = ("data.0.dataset=folder", "data.0.path=photos", "data.0.options={}", "data.0.shots=2")
PROBE = ("probe.dataset=folder", "probe.path=photos", "probe.options={}")


def test_the_recipes_have_the_published_settings() -> None:
    student = Recipe.from_toml(RECIPES / "eventclip.toml").student
    assert (student.head, student.method) == ("eventclip", "linear-probe")
    published = {"residual": 0.8, "epochs": 50, "lr": 1e-4, "batch_size": 32}
    assert published.items() <= student.head_options.items()
    recipe = Recipe.from_toml(RECIPES / "eventbind.toml")
    assert (recipe.epochs, recipe.batch_size) == (30, 64)
    assert (recipe.optimiser.lr, recipe.optimiser.weight_decay) == (1e-6, 0.05)
    assert (recipe.student.method, recipe.teacher) == ("joint", "image")


def test_a_recipe_fits_eventclip(clip: str, photos: Path, tmp_path: Path) -> None:
    options = 'student.head_options={"epochs": 3, "width": 8, "heads": 2}'
    overrides = (*PHOTOS, *PROBE, options, f"binding=eventclip:{clip},count=400")
    result = train(RECIPES / "eventclip.toml", photos.parent, tmp_path / "run", overrides=overrides)
    head = Head.find(tmp_path / "run" / "head.safetensors")
    assert head.name == "eventclip"
    assert head.settings["width"] == 8
    assert result.record["n"] == 6  # two shots of three classes, of four images each


def test_a_recipe_with_a_head_of_another_target_is_an_error(clip: str, photos: Path, tmp_path: Path) -> None:
    overrides = (*PHOTOS, *PROBE, "student.head=event-rate", "student.head_options={}", f"binding=eventclip:{clip}")
    with pytest.raises((BadOption, BadInput), match="event-rate"):
        train(RECIPES / "eventclip.toml", photos.parent, tmp_path / "run", overrides=overrides)
