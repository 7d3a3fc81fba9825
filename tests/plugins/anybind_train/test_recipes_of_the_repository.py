"""The recipes in benchmarks/recipes are recipes."""

from __future__ import annotations

from pathlib import Path

import pytest

from anybind.registry import create_part, find_part
from anybind_train.losses.weighted_sum import WeightedSum
from anybind_train.recipe import Recipe

FOLDER = Path(__file__).parents[3] / "benchmarks" / "recipes"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_a_recipe_can_be_read_and_names_what_there_is(path: Path) -> None:
    recipe = Recipe.from_toml(path)
    assert recipe.name == path.stem
    WeightedSum.from_recipe(recipe.losses)
    for used in (*recipe.data, *([recipe.probe] if recipe.probe else [])):
        find_part("dataset", used.dataset)
    options = recipe.student.options
    if "representation" in options:
        create_part("representation", options["representation"], **options.get("options", {}))


def test_every_recipe_that_the_project_promises_is_there() -> None:
    promised = {"paper-pretrain-b32", "paper-pretrain-l14", "author-code-b32", "few-shot", "fine-tune", "mini-event"}
    assert promised <= {path.stem for path in FOLDER.glob("*.toml")}
