"""Files that make a run's folder self-describing: `result.json`, and `binding.toml`, the base with the student."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from anybind import Binder, Binding
from anybind.plugin import files
from anybind_train.recipe import PROMPT_METHODS, Recipe

if TYPE_CHECKING:
    from anybind_train.metrics_log import RunRecord

BINDING = "binding.toml"
BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
"""Keys that TOML takes without quotes."""


class BaseRecord(TypedDict):
    """The base that a student was trained for.

    Attributes:
        binding: name of the binding.
        modality: modality of the student.
        teacher: modality of the teacher; empty without one.
        identity: identity of the teacher's encoder; empty without one.
        space: name, dimension and backbone of the student's space.
    """

    binding: str
    modality: str
    teacher: str
    identity: str
    space: Mapping[str, str | int]


def describe_base(binder: Binder, recipe: Recipe) -> BaseRecord:
    """Describe the base of a run by its binding, its teacher's identity and the student's space."""
    space = binder.encoder(recipe.modality).space
    return {
        "binding": binder.name,
        "modality": recipe.modality,
        "teacher": recipe.teacher,
        "identity": binder.encoder(recipe.teacher).identity if recipe.teacher else "",
        "space": {"name": space.name, "dim": space.dim, "backbone": space.backbone},
    }


def describe_recipe(recipe: Recipe) -> dict[str, object]:
    """Return the keys of a recipe, with those that its file leaves out, JSON-like."""
    return json.loads(json.dumps(dataclasses.asdict(recipe)))


def write_run_files(folder: Path, result: RunRecord, binding: Binding, recipe: Recipe, weights: str) -> None:
    """Write `result.json`, and `binding.toml` if a binding file can express the run.

    It cannot with learned prompts, or with options that were passed as objects from Python.

    Args:
        folder: the run's folder.
        result: the summary of the run.
        binding: the run's binding, with the student's options.
        recipe: the recipe.
        weights: file name of the student's weights in the folder.
    """
    with files.atomic_path(folder / "result.json") as temporary:
        temporary.write_text(json.dumps(result, indent=1))
    if recipe.student.method in PROMPT_METHODS:
        return
    try:
        text = _format_binding(binding, recipe, weights)
    except (TypeError, ValueError):
        return
    with files.atomic_path(folder / BINDING) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _format_binding(binding: Binding, recipe: Recipe, weights: str) -> str:
    """Format the binding file: the encoders of a binding, and the student with its weights."""
    student = binding.encoders[recipe.modality]
    trained = Binding.configure(student.name, **{**student.options, "weights": f"./{weights}"})
    lines = [
        f"name = {json.dumps(f'{binding.name}+{recipe.name}')}",
        f"summary = {json.dumps(f'{binding.name} with the {recipe.modality} encoder of the recipe {recipe.name}')}",
        *([f"space = {json.dumps(binding.space)}"] if binding.space else []),
    ]
    for modality, part in {**binding.encoders, recipe.modality: trained}.items():
        lines += ["", f"[encoders.{modality}]", *_format_part(part.name, part.options)]
    for part in binding.adapters:
        lines += ["", "[[adapters]]", *_format_part(part.name, part.options)]
    return "\n".join([*lines, ""])


def _format_part(name: str, part_options: Mapping[str, object]) -> list[str]:
    return _format_pairs({"use": name, **part_options})


def _format_pairs(table: Mapping[str, object]) -> list[str]:
    pairs = ((str(key), value) for key, value in table.items() if value is not None)
    return [f"{key if BARE_KEY.fullmatch(key) else json.dumps(key)} = {_format_value(value)}" for key, value in pairs]


def _format_value(value: object) -> str:
    """Format a value as TOML, whose texts and numbers are those of JSON; raise `TypeError` for other objects."""
    if isinstance(value, Mapping):
        return f"{{ {', '.join(_format_pairs(value))} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_format_value, value))}]"
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
