"""Prompt sets for normal and abnormal scenes, for the head `zero-shot`."""

from __future__ import annotations

import importlib.resources
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path

from anybind.plugin import BadOption, errors, prompts, tables

BUNDLED = ("general", "ucf-crime", "xd-violence")


@dataclass(frozen=True)
class PromptSet:
    """Class names of normal and abnormal scenes, and prompt templates.

    Attributes:
        normal, abnormal: class names or phrases; at least one of each, all different.
        templates: prompt templates with `{}` for the class name.

    Raises:
        BadOption: a list is empty, a class name is repeated, or a template has no `{}`.
    """

    normal: Sequence[str]
    abnormal: Sequence[str]
    templates: Sequence[str] = prompts.DEFAULT_TEMPLATES

    def __post_init__(self) -> None:
        for name in ("normal", "abnormal", "templates"):
            value = getattr(self, name)
            texts = [value] if isinstance(value, str) else value
            if not isinstance(texts, Sequence) or not all(isinstance(text, str) and text.strip() for text in texts):
                raise BadOption(f"prompts: {name}: expected a list of texts, got {value!r}")
            if not texts:
                raise BadOption(f"prompts: {name} is empty; give at least one text")
            object.__setattr__(self, name, tuple(texts))
        prompts.check_templates(self.templates)
        names = [*self.normal, *self.abnormal]
        for name in names:
            if names.count(name) > 1:
                raise BadOption(f"prompts: expected different class names, got {name!r} twice")


def read_prompt_set(source: str | os.PathLike[str]) -> PromptSet:
    """Read a bundled prompt set (`general`, `ucf-crime`, `xd-violence`), or one from a TOML or JSON file.

    A file has the lists `normal` and `abnormal`, and optionally `templates`.

    Raises:
        UnknownName: no such set.
        BadInput: the file is not readable.
        BadOption: the file is not a prompt set.
    """
    text = os.fspath(source)
    if text in BUNDLED:
        path: Path | Traversable = importlib.resources.files("anybind_vad.heads").joinpath(f"{text}.toml")
    elif text.endswith((".toml", ".json")):
        path = Path(text)
    else:
        suggestion = errors.suggest_names(text, BUNDLED)
        raise errors.UnknownName(f"expected a prompt set or a .toml or .json file, got {text!r}{suggestion}")
    table = tables.read_json(Path(text), BadOption) if text.endswith(".json") else tables.read_toml(path)
    return tables.parse_table(PromptSet, table, text)
