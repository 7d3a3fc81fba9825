"""What a cell is known by: its question, its data, its encoders and its seed; and what is remembered of encoders."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from anybind import AnybindError, Binder, Binding
from anybind.plugin import Task, files, find_part, modalities, tables
from anybind_bench.suite import Question

FORMAT = 1
"""Of everything that is written into a results folder; a part of each cell's identity."""

WORDS = "text"
"""Tasks put class names into words without naming that modality: where a binding has it, it counts as taking part."""


def taking_part(task: Task, modality: str, binding: Binding) -> tuple[str, ...]:
    """The modalities whose encoders are known to take part in an answer before it is given."""
    words = (WORDS,) if WORDS in binding.encoders else ()
    return tuple(dict.fromkeys([*task.modalities(modality), *words]))


def cell_identity(
    question: Question, split_hash: str, binding: str, encoders: Mapping[str, str], seed: int
) -> tuple[str, dict[str, Any]]:
    """Hash of all that decides an answer, 12 hexadecimal digits, and what was hashed.

    Args:
        question: the question; its title, published numbers, ... do not count.
        split_hash: see `Dataset.split_hash`.
        binding: the binding's name.
        encoders: identity of every encoder that takes part, by modality.
        seed: of the task.
    """
    sources = {of: modalities.sources_of(of)[1:] for of in encoders}
    about = {
        "format": FORMAT,
        "task": question.task,
        "options": dict(question.options),
        "modality": question.modality,
        "dataset": question.dataset,
        "dataset_options": dict(question.dataset_options),
        "split_hash": split_hash,
        "binding": binding,
        "encoders": dict(sorted(encoders.items())),
        "derived": {
            of: {source: dict(modalities.find_modality(of).derivation(source)) for source in sources[of]}
            for of in sorted(sources)
            if sources[of]
        },
        "seed": seed,
    }
    return tables.settings_hash(about), about


class Remembered:
    """Identities of encoders by what their binding is made of, so that towers need not be loaded to know them.

    What is remembered holds as long as the binding, the files that its options name, the files of the packages that
    bring its encoders, and the installed distributions are as they were.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[str, dict[str, str]] = {}
        self._prints: dict[str, str] = {}

    def known(self, binding: Binding) -> Mapping[str, str]:
        """The identities that are remembered, by modality; often none."""
        mark = self._print(binding)
        if mark not in self._known:
            self._known[mark] = {}
            with contextlib.suppress(OSError, ValueError, TypeError):
                self._known[mark] = dict(json.loads((self.folder / f"{mark}.json").read_text(encoding="utf-8")))
        return self._known[mark]

    def learn(self, binder: Binder, modalities: Iterable[str]) -> dict[str, str]:
        """Identities as they are, by modality: loads the towers, and remembers.

        Raises:
            AnybindError: a tower cannot be loaded.
        """
        found = {of: binder.identity(of) for of in modalities}
        before = self.known(binder.binding)
        if not found.items() <= before.items():
            mark = self._print(binder.binding)
            self._known[mark] = {**before, **found}
            with files.atomic_path(self.folder / f"{mark}.json") as temporary:
                temporary.write_text(json.dumps(self._known[mark], sort_keys=True), encoding="utf-8")
        return found

    def _print(self, binding: Binding) -> str:
        known = self._prints.get(binding.name)
        if known is None:
            known = self._prints[binding.name] = fingerprint(binding)
        return known


def fingerprint(binding: Binding) -> str:
    """Hash of what a binding is made of on this machine, 12 hexadecimal digits; reads no file's contents."""
    uses = [("encoder", use) for use in binding.encoders.values()] + [("adapter", use) for use in binding.adapters]
    packages = {"anybind"}
    for kind, use in uses:
        with contextlib.suppress(AnybindError):  # a part that is not there is told of when it is to be used
            packages.add(find_part(kind, use.name).spec.target.partition(":")[0].partition(".")[0])
    named = {value for _, use in uses for value in use.options.values() if isinstance(value, str)}
    return tables.settings_hash(
        {
            "binding": asdict(binding),
            "files": {value: list(_named_files(value)) for value in sorted(named)},
            "packages": {name: package_stamp(name) for name in sorted(packages)},
            "distributions": sorted(
                {found.name for place in sys.path for found in Path(place or ".").glob("*.dist-info")}
            ),
        }
    )


def package_stamp(name: str) -> str:
    """Hash of names, sizes and times of a package's files, which it does not import."""
    try:
        found = importlib.util.find_spec(name)
    except ValueError:  # a module that was made on the spot, and is in no file
        found = None
    places = [] if found is None else list(found.submodule_search_locations or [found.origin or ""])
    return tables.settings_hash([stamp for place in places for stamp in _stamps(Path(place))])


def _named_files(value: str) -> Iterator[list[Any]]:
    """Stamps of the file or folder that an option may name; words are no folder, whatever the working folder holds."""
    path = Path(value.removeprefix("local-dir:"))
    if path.is_absolute() or value.startswith("local-dir:") or path.is_file():
        yield from _stamps(path)


def _stamps(path: Path) -> Iterator[list[Any]]:
    """Path, size and time of a file, or of each file in and below a folder; nothing where there is neither."""
    files = [path]
    if path.is_dir():
        files = sorted(Path(folder) / name for folder, _, names in os.walk(path) for name in names)
    for file in files:
        with contextlib.suppress(OSError, ValueError):
            about = file.stat()
            if file.suffix != ".pyc":
                yield [os.fspath(file), about.st_size, about.st_mtime_ns]
