"""Definitions of nouns for visible things, from WordNet 3.0 (Princeton University).

`definitions.zip` has the definitions of each noun of WordNet's files for animals, artifacts, body parts, food, natural
objects, people, phenomena, plants and substances, and WordNet's licence: a table for each first letter, since one of
all would take a tenth of a command for one image. `python -m anybind.build_definitions` makes it.
"""

from __future__ import annotations

import bisect
import functools
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

FILE = Path(__file__).with_name("definitions.zip")
ARTICLES = ("a ", "an ", "the ")
PLURALS = (("ies", "y"), ("es", ""), ("s", ""))


def find_definitions(name: str) -> tuple[str, ...]:
    """Find the definitions of a noun, at most three: animals and artifacts first, then in WordNet's order.

    Case, an article and a regular plural are ignored; () for other words.

    >>> find_definitions("Okapis")
    ('similar to the giraffe but smaller with much shorter neck and stripe on the legs',)
    """
    for form in _list_forms(name):
        lines = _read_lines(form[:1])
        row = bisect.bisect_left(lines, f"{form}\t")
        if row < len(lines) and lines[row].startswith(f"{form}\t"):
            return tuple(lines[row].split("\t")[1:])
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
def _read_lines(letter: str) -> list[str]:
    """Read the lines of the nouns with a first letter, sorted; none for other characters."""
    with ZipFile(FILE) as archive:
        name = format_name(letter)
        return archive.read(name).decode().splitlines() if name in archive.namelist() else []


def format_name(letter: str) -> str:
    """Return the name in the archive of the table of a first letter, by its code point."""
    return f"{ord(letter):04x}.tsv" if letter else ""
