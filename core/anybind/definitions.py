"""Definitions of nouns for visible things, from WordNet 3.0 (Princeton University).

`definitions.tsv.xz` has the definitions of each noun of WordNet's files for animals, artifacts, body parts, food,
natural objects, people, phenomena, plants and substances, with WordNet's licence in its first lines. `python -m
anybind.build_definitions` makes it.
"""

from __future__ import annotations

import bisect
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
    lines = _read_lines()
    for form in _list_forms(name):
        line = lines[min(bisect.bisect_left(lines, f"{form}\t"), len(lines) - 1)]
        if line.startswith(f"{form}\t"):
            return tuple(line.split("\t")[1:])
    return ()


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
def _read_lines() -> list[str]:
    """Read the lines of the nouns, sorted; parsing 78,000 of them would take longer than a command for one image."""
    lines = lzma.decompress(FILE.read_bytes()).decode().splitlines()
    return lines[next(number for number, line in enumerate(lines) if not line.startswith("#")) :]
