"""Sets of words for what is normal and what is not, as the head `zero-shot` compares windows with."""

from __future__ import annotations

import importlib.resources
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path

from anybind.plugin import BadOption, errors, prompts, tables

SHIPPED = ("general", "ucf-crime", "xd-violence")


@dataclass(frozen=True)
class PromptSet:
    """Words for what is normal and what is not.

    Attributes:
        normal, abnormal: class names, or whole phrases; at least one of each, all different.
        templates: sentences with `{}` where they go.

    Raises:
        BadOption: one of them is empty, a word stands twice, or a template has no `{}`.
    """

    normal: Sequence[str]
    abnormal: Sequence[str]
    templates: Sequence[str] = prompts.DEFAULT_TEMPLATES

    def __post_init__(self) -> None:
        for name in ("normal", "abnormal", "templates"):
            given = getattr(self, name)
            listed = [given] if isinstance(given, str) else given
            if not isinstance(listed, Sequence) or not all(isinstance(text, str) and text.strip() for text in listed):
                raise BadOption(f"prompts: {name} must be a list of texts, got {given!r}")
            if not listed:
                raise BadOption(f"prompts: {name} is empty; give at least one text")
            object.__setattr__(self, name, tuple(listed))
        prompts.check_templates(self.templates)
        words = [*self.normal, *self.abnormal]
        for word in words:
            if words.count(word) > 1:
                raise BadOption(f"prompts: {word!r} stands twice among what is normal and what is not")


def read_prompt_set(source: str | os.PathLike[str]) -> PromptSet:
    """A set that comes with anybind (`general`, `ucf-crime`, `xd-violence`), or a TOML or JSON file of one.

    A file has the lists `normal` and `abnormal`, and may have `templates`.

    Raises:
        UnknownName: no such set.
        BadInput: the file cannot be read.
        BadOption: it holds something else.
    """
    text = os.fspath(source)
    if text in SHIPPED:
        place: Path | Traversable = importlib.resources.files("anybind_vad.heads").joinpath(f"{text}.toml")
    elif text.endswith((".toml", ".json")):
        place = Path(text)
    else:
        near = errors.suggest_names(text, SHIPPED)
        raise errors.UnknownName(
            f"there is no set of prompts {text!r}, and no file of one ends so (.toml, .json){near}"
        )
    table = tables.read_json(Path(text), BadOption) if text.endswith(".json") else tables.read_toml(place)
    return tables.parse_table(PromptSet, table, text)
