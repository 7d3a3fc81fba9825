"""The files and texts that an index shall hold, and which of them changed since they were embedded."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from anybind import AnybindError
from anybind.plugin import BadInput, errors, files, readers
from anybind_retrieval.index import Entry, Index, Key, absolute

TEXT = "text"


@dataclass(frozen=True)
class Wanted:
    """What an index shall hold of the places that a user names.

    Attributes:
        paths: files and folders.
        texts: files that hold a text a line.
        kinds: kinds of file, and what each is embedded as.
    """

    paths: Sequence[str]
    texts: Sequence[str]
    kinds: Mapping[str, str]

    def files(self) -> dict[str, bool]:
        """Absolute paths of all files, and whether each was named itself rather than found in a folder."""
        found: dict[str, bool] = {}
        of_files = [kind for kind in self.kinds if kind != TEXT]
        for path in self.paths:
            if Path(path).is_dir():
                for each in readers.list_samples(path, of_files):
                    found.setdefault(absolute(each), False)
            else:
                found[absolute(path)] = True
        return found

    def known_entries(self, index: Index) -> dict[tuple[str, Key], Entry]:
        """The entries of an index that are in these places: those that go when they are not there any more."""
        texts, roots = set(map(absolute, self.texts)), list(map(absolute, self.paths))

        def covers(entry: Entry) -> bool:
            if entry.text:
                return entry.path in texts
            return any(entry.path == root or entry.path.startswith(root.rstrip(os.sep) + os.sep) for root in roots)

        kinds = [kind for kind in index.card.shelves if kind in self.kinds]
        return {(kind, entry.key): entry for kind in kinds for entry in index.entries(kind) if covers(entry)}

    def find_changes(
        self, known: Mapping[tuple[str, Key], Entry], on_bad: errors.OnBad | None
    ) -> tuple[dict[str, list[Entry]], set[tuple[str, Key]]]:
        """The entries to embed by kind, and the keys of those that did not change: their files are not even opened."""
        todo: dict[str, list[Entry]] = {}
        same: set[tuple[str, Key]] = set()
        for path, named in self.files().items():
            try:
                entry = Entry.of_file(path)
                held = {(kind, entry.key) for kind in self.kinds if known.get((kind, entry.key)) == entry}
                same |= held
                if not held and (kind := self._kind(path, named)):
                    todo.setdefault(kind, []).append(entry)
            except AnybindError as error:
                if on_bad is None:
                    raise
                on_bad(files.portable_name(path), error)
        for entry in self._lines():
            if entry == known.get((TEXT, entry.key)):
                same.add((TEXT, entry.key))
            else:
                todo.setdefault(TEXT, []).append(entry)
        return todo, same

    def _kind(self, path: str, named: bool) -> str:
        """What a file holds; empty for one that lies in a folder and holds something else than was asked for."""
        held = readers.find_reader(path).spec.modality
        if held in self.kinds:
            return held
        for kind in self.kinds:  # a picture in 16-bit gray is a depth map where depth alone is asked for
            if readers.find_reader(path, kind).spec.modality == kind:
                return kind
        if named:
            raise BadInput(f"{files.portable_name(path)} holds {held}; what was asked for is {', '.join(self.kinds)}")
        return ""

    def _lines(self) -> Iterator[Entry]:
        """An entry for every line, without doubles, of the files of texts."""
        for path in map(absolute, self.texts):
            about = Entry.of_file(path)
            try:
                lines = Path(path).read_text(encoding="utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                name = files.portable_name(path)
                raise BadInput(f"cannot read {name} as UTF-8 text, a text a line: {error}") from error
            for line in dict.fromkeys(line.strip() for line in lines):
                if line:
                    yield replace(about, text=line)
