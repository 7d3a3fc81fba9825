"""The model card of a pack: `README.md` with the front matter of the Hugging Face hub."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from anybind_packs.card import PackCard

HUB_LICENCES = (
    "Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0",
    "CC-BY-NC-SA-4.0", "GPL-3.0", "LGPL-3.0", "MPL-2.0",
)  # fmt: skip
"""SPDX names that the hub's front matter has too, in lower case; others are `other`, with `license_name`."""


def write_model_card(path: Path, card: PackCard, description: str) -> None:
    """Write the model card of a pack, with a description of its own in Markdown."""
    lines = ["---", *_format_front_matter(card), "---", "", f"# {card.name}", "", card.summary, ""]
    lines += [*_format_facts(card), "", *_format_use(card), ""]
    if card.metrics:
        lines += ["## Metrics", "", "| metric | value |", "|---|---:|"]
        lines += [f"| {_escape_cell(name)} | {value:.4g} |" for name, value in card.metrics.items()]
        lines += [""]
    lines += [description.strip(), ""] if description.strip() else []
    path.write_text("\n".join(lines), encoding="utf-8")


def _format_front_matter(card: PackCard) -> Iterator[str]:
    """Yield lines of YAML; texts are quoted as in JSON, which YAML contains."""
    identifier = next((each for each in HUB_LICENCES if each.lower() == card.licence.lower()), "")
    yield f"license: {identifier.lower() or 'other'}"
    if not identifier:
        yield f"license_name: {json.dumps(card.licence)}"
    yield "library_name: anybind"
    repositories = {part.repository for base in card.bases for part in base.encoders.values()}
    origins = sorted(each for each in repositories if each.count("/") == 1 and ":" not in each)
    if origins:
        yield f"base_model: {json.dumps(origins)}"
    yield f"tags: {json.dumps(['anybind', 'anybind-pack', *filter(None, [card.part.modality])])}"


def _format_facts(card: PackCard) -> Iterator[str]:
    yield "| | |"
    yield "|---|---|"
    for name, value in card.describe().items():
        yield f"| {name} | {_escape_cell(value)} |"
    for base in card.bases:
        for modality, part in base.encoders.items():
            terms = f", {part.licence}" if part.licence else ""
            yield f"| {modality} encoder of {base.binding} | {part.encoder}, weights {part.weights_hash}{terms} |"


def _format_use(card: PackCard) -> Iterator[str]:
    yield "```python"
    yield "import anybind"
    yield ""
    yield 'binder = anybind.load("hf:ORG/NAME")  # this repository, or pack:DIR'
    if card.part.modality:
        yield f'embeddings = binder.embed("{card.part.modality}", ["file"])'
    yield "```"


def _escape_cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
