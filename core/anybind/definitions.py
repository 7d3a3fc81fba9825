"""Definitions of nouns for visible things, from WordNet 3.0 (Princeton University).

`definitions.tsv.xz` has the definition of each noun of WordNet's files for animals, artifacts, body parts, food,
natural objects, people, phenomena, plants and substances, with WordNet's licence in its first lines. `python -m
anybind.build_definitions` makes it.
"""

from __future__ import annotations

import functools
import lzma
from collections.abc import Iterator
from pathlib import Path

FILE = Path(__file__).with_name("definitions.tsv.xz")
ARTICLES = ("a ", "an ", "the ")
PLURALS = (("ies", "y"), ("es", ""), ("s", ""))


def find_definitions(name: str) -> tuple[str, ...]:
    """Find the definitions of a noun, at most three: animals and artifacts first, then in WordNet's order.

    Case, an article and a regular plural are ignored; () for other words.

    >>> find_definitions("Okapis")
    ('similar to the giraffe but smaller with much shorter neck and stripe on the legs',)
    """
    table = _read_table()
    return next((table[form] for form in _list_forms(name) if form in table), ())


def _list_forms(name: str) -> Iterator[str]:
    """List the forms of a name to look for, its own first."""
    form = " ".join(name.lower().replace("_", " ").split())
    form = next((form.removeprefix(article) for article in ARTICLES if form.startswith(article)), form)
    yield form
    for ending, singular in PLURALS:
        if form.endswith(ending):
            yield form.removesuffix(ending) + singular
    yield form.replace("-", " ")
    yield form.replace(" ", "")


@functools.cache
def _read_table() -> dict[str, tuple[str, ...]]:
    """Read the definitions of each noun."""
    ranked: dict[str, list[tuple[str, str]]] = {}
    for line in lzma.decompress(FILE.read_bytes()).decode().splitlines():
        if not line.startswith("#"):
            definition, nouns = line.split("\t")
            for noun in nouns.split("|"):
                ranked.setdefault(noun[1:], []).append((noun[0], definition))
    return {noun: tuple(definition for _, definition in sorted(pairs)) for noun, pairs in ranked.items()}
