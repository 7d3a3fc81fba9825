"""Build `definitions.zip` from the noun files of WordNet 3.0.

    python -m anybind.build_definitions FOLDER [FILE]

FOLDER has `data.noun` and `index.noun`, in Debian `/usr/share/wordnet` of the package `wordnet-base`. The archive has a
table for each first letter: lines of a noun and its definitions, separated by tabs, sorted.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from zipfile import ZIP_LZMA, ZipFile, ZipInfo

from anybind.commandline import print_text
from anybind.definitions import FILE, format_name

FIELDS = {"05": 0, "06": 0, "08": 1, "17": 1, "19": 1, "20": 1, "13": 2, "18": 3, "27": 3}
"""Order of the senses of a noun by their lexicographer file: animals (05) and artifacts (06); body parts, natural
objects, phenomena and plants; food (13); people (18) and substances. Nouns of other files are not visible things."""
MAX_SENSES = 3


def build_tables(folder: Path) -> dict[str, str]:
    """Build the texts of the archive by name: WordNet's licence, and the table of each first letter.

    Args:
        folder: with `data.noun` and `index.noun`, whose formats are in WordNet's manual page wndb(5WN).
    """
    lines = (folder / "data.noun").read_text().splitlines()
    notice = [line[4:].rstrip() for line in lines if line.startswith("  ")]
    senses: dict[str, tuple[int, str]] = {}
    for line in lines:
        if not line.startswith("  "):
            offset, field = line.split(maxsplit=2)[:2]
            if field in FIELDS:
                senses[offset] = (FIELDS[field], line.split(" | ", 1)[1].split('; "')[0].strip().rstrip(";"))
    rows = []
    for noun, offsets in _read_index(folder / "index.noun"):
        visible = sorted((offset for offset in offsets if offset in senses), key=lambda offset: senses[offset][0])
        if visible:
            rows.append("\t".join([noun, *(senses[offset][1] for offset in visible[:MAX_SENSES])]))
    tables = {format_name(letter): [*group] for letter, group in itertools.groupby(sorted(rows), lambda row: row[0])}
    return {name: "\n".join(table) + "\n" for name, table in {"LICENSE.txt": notice, **tables}.items()}


def _read_index(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Read each noun and the offsets of its senses, the most frequent first."""
    for line in path.read_text().splitlines():
        if not line.startswith("  "):
            fields = line.split()
            n_senses = int(fields[2])
            yield fields[0].replace("_", " "), fields[-n_senses:]


def write_tables(tables: Mapping[str, str], path: Path) -> None:
    """Write texts to an archive, the same bytes each time."""
    with ZipFile(path, "w") as archive:
        for name, text in tables.items():
            archive.writestr(ZipInfo(name), text, ZIP_LZMA)


def main() -> None:
    """Write the archive."""
    path = Path(sys.argv[2]) if len(sys.argv) > 2 else FILE
    write_tables(build_tables(Path(sys.argv[1])), path)
    print_text(f"wrote {path}, {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
