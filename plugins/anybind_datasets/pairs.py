"""What data sets of pairs share: lists from a data file, parts, items that can be had in several modalities."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from anybind.plugin import BadOption, Item, errors


def load_lists(module_file: str) -> dict[str, Any]:
    """The JSON file of lists that lies beside a module under the same name."""
    return json.loads(Path(module_file).with_suffix(".json").read_text(encoding="utf-8"))


def in_first_asked(held: Mapping[str, Item], asked: Sequence[str]) -> Item:
    """An item that can be had in several modalities: as the first asked for, with the others as its partners."""
    first, partners = held[asked[0]], {kind: item for kind, item in held.items() if kind != asked[0]}
    return replace(first, partners=partners)


def chosen_parts(split: str, parts: Sequence[str]) -> Sequence[str]:
    """The parts that a split stands for: one of them, or `all`; raises `BadOption` for any other."""
    if split not in (*parts, "all"):
        raise BadOption(f"there is no split {split!r}{errors.nearest(split, [*parts, 'all'])}")
    return parts if split == "all" else [split]
