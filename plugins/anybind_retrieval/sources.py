"""Files and texts to index, and which of them changed since they were embedded."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from anybind import AnybindError
from anybind.plugin import BadInput, BadOption, Item, errors, files, modalities, readers, windows
from anybind_retrieval.fragments import WHOLE_FILE
from anybind_retrieval.index import EntryKey, Index, IndexEntry, make_absolute

TEXT = "text"


@dataclass(frozen=True)
class IndexSources:
    """Files and folders to index.

    Attributes:
        paths: files and folders.
        texts: text files; each line is an entry.
        encoder_modalities: modality that files are embedded as, by the modality of the files.
        options: part of each recording, and its windows; modalities without windows ignore it.
        reader_options: options for the readers that take them, JSON-like.
        other_files: files that are not indexed, such as a query, whose readers may be those that take these options.
    """

    paths: Sequence[str]
    texts: Sequence[str]
    encoder_modalities: Mapping[str, str]
    options: windows.WindowOptions = field(default_factory=windows.WindowOptions)
    reader_options: Mapping[str, object] = field(default_factory=dict)
    other_files: Collection[str] = ()

    def __post_init__(self) -> None:
        """Write out the settings of filters and convert reader options to JSON's types, as entries have both.

        Another default or camera file of filters gives other entries.

        Raises:
            BadOption: a reader option that is not JSON-like.
        """
        object.__setattr__(self, "options", self.options.resolve_filters())
        try:
            stored = json.loads(json.dumps(dict(self.reader_options)))
        except TypeError as error:
            raise BadOption(f"reader_options: expected JSON-like values for an index: {error}") from error
        object.__setattr__(self, "reader_options", stored)

    def get_windows(self, modality: str) -> windows.WindowOptions:
        """Return the options for files of a modality: those of derived samples and of images are the default."""
        target = self.encoder_modalities[modality]
        return self.options if modality == target and modalities.has_windows(target) else windows.WindowOptions()

    def list_files(self) -> dict[str, bool]:
        """Return absolute paths of all files, with True for files given by path and False for files of a folder."""
        paths: dict[str, bool] = {}
        modalities = [modality for modality in self.encoder_modalities if modality != TEXT]
        for path in self.paths:
            if Path(path).is_dir():
                for file in readers.list_samples(path, modalities):
                    paths.setdefault(make_absolute(file), False)
            else:
                paths[make_absolute(path)] = True
        return paths

    def select_entries(self, index: Index) -> dict[tuple[str, EntryKey], IndexEntry]:
        """Return the entries of an index that lie in these sources, by modality and key."""
        texts, roots = set(map(make_absolute, self.texts)), list(map(make_absolute, self.paths))

        def covers(entry: IndexEntry) -> bool:
            if entry.fragment is None:
                return entry.path in texts
            return any(entry.path == root or entry.path.startswith(root.rstrip(os.sep) + os.sep) for root in roots)

        return {
            (modality, entry.key): entry
            for modality in index.card.encoders
            if modality in self.encoder_modalities
            for entry in index.list_entries(modality)
            if covers(entry)
        }

    def find_changes(
        self, stored: Mapping[tuple[str, EntryKey], IndexEntry], on_bad: errors.OnBad | None
    ) -> tuple[dict[str, list[IndexEntry]], set[tuple[str, EntryKey]]]:
        """Return the entries to embed, by modality, and the keys of unchanged entries, whose files are not opened."""
        pending: dict[str, list[IndexEntry]] = {}
        unchanged: set[tuple[str, EntryKey]] = set()
        by_path: dict[str, list[tuple[str, IndexEntry]]] = {}
        for (modality, _), entry in stored.items():
            by_path.setdefault(entry.path, []).append((modality, entry))
        paths = self.list_files()
        items = [Item(path, Path(path)) for path in (*paths, *self.other_files)]
        for item in readers.add_options(items, self.reader_options)[: len(paths)]:
            path, is_explicit = item.id, paths[item.id]
            try:
                entry = IndexEntry.from_file(path)
                matches = {
                    (modality, other.key)
                    for modality, other in by_path.get(path, ())
                    if replace(other, text="") == entry and self._has_options(modality, other, item.options)
                }
                unchanged |= matches
                if not matches and (modality := self._infer_modality(path, is_explicit)):
                    text = str(replace(WHOLE_FILE, reader_options=item.options))
                    pending.setdefault(modality, []).append(replace(entry, text=text))
            except AnybindError as error:
                if on_bad is None:
                    raise
                on_bad(files.portable_name(path), error)
        for entry in self._read_lines():
            if entry == stored.get((TEXT, entry.key)):
                unchanged.add((TEXT, entry.key))
            else:
                pending.setdefault(TEXT, []).append(entry)
        return pending, unchanged

    def _has_options(self, modality: str, entry: IndexEntry, reader_options: Mapping[str, object]) -> bool:
        """Return whether a stored entry of a file was made with the present options."""
        fragment, options = entry.fragment, self.get_windows(modality)
        return fragment is not None and (fragment.options, fragment.reader_options) == (options, reader_options)

    def _infer_modality(self, path: str, is_explicit: bool) -> str:
        """Return the modality of a file; an empty text for a file of a folder that has none of the modalities."""
        inferred = readers.find_reader(path, options=self.reader_options).spec.modality
        if inferred in self.encoder_modalities:
            return inferred
        for modality in self.encoder_modalities:  # a 16-bit gray image is a depth map if only depth is indexed
            if readers.find_reader(path, modality).spec.modality == modality:
                return modality
        if is_explicit:
            expected = ", ".join(self.encoder_modalities)
            raise BadInput(f"{files.portable_name(path)}: expected a file of {expected}, got {inferred}")
        return ""

    def _read_lines(self) -> Iterator[IndexEntry]:
        """Yield an entry for each distinct line of each text file."""
        for path in map(make_absolute, self.texts):
            file_entry = IndexEntry.from_file(path)
            try:
                lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                name = files.portable_name(path)
                raise BadInput(f"cannot read {name} as UTF-8 text, one text per line: {error}") from error
            for line in dict.fromkeys(line.strip() for line in lines):
                if line:
                    yield replace(file_entry, text=line)
