"""Identities of a binding's encoders, remembered on disk so that a resumed run loads no encoder to compare them."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from anybind import AnybindError, Binder, Binding, EmbeddingStore, load
from anybind.plugin import files, find_part, tables


class BindingEncoders:
    """The encoders of one binding, loaded when they are needed.

    What is remembered of them holds as long as the binding, the files that its options name, and the plugins that bring
    its encoders (versions and files) are unchanged.

    Attributes:
        changed: an encoder was loaded whose identity is not the remembered one; whoever relied on that resets it.
    """

    def __init__(self, binding: Binding, folder: Path, device: str, store: EmbeddingStore | None) -> None:
        self.binding, self.device, self.store = binding, device, store
        self.changed = False
        self._file = folder / f"{fingerprint(binding)}.json"
        self._binder: Binder | None = None
        self._verified: dict[str, str] = {}
        self._remembered: dict[str, str] = {}
        with contextlib.suppress(OSError, ValueError, TypeError):
            self._remembered = dict(json.loads(self._file.read_text(encoding="utf-8")))

    @property
    def known(self) -> Mapping[str, str]:
        """Identities by modality, as far as they are known without loading an encoder."""
        return {**self._remembered, **self._verified}

    @property
    def binder(self) -> Binder:
        if self._binder is None:
            self._binder = load(self.binding, device=self.device, store=self.store)
        return self._binder

    def identify(self, modalities: Collection[str]) -> dict[str, str]:
        """Load the encoders of some modalities; returns their identities, and remembers them.

        Raises:
            AnybindError: an encoder cannot be loaded.
        """
        loaded = {each: self.binder.identity(each) for each in modalities if each not in self._verified}
        if any(self._remembered.get(each, identity) != identity for each, identity in loaded.items()):
            self._remembered, self.changed = {}, True
        self._verified |= loaded
        if not loaded.items() <= self._remembered.items():
            self._remembered |= self._verified
            with files.atomic_path(self._file) as temporary:
                temporary.write_text(json.dumps(self._remembered, sort_keys=True), encoding="utf-8")
        return {each: self._verified[each] for each in modalities}

    def release(self) -> tuple[int, int]:
        """Free the encoders; returns how many items were embedded, and how many came from the store."""
        counts, self._binder = (None if self._binder is None else self._binder.counts), None
        return (counts.computed, counts.cached) if counts else (0, 0)


def fingerprint(binding: Binding) -> str:
    """Hash of what a binding consists of on this machine, 12 hexadecimal digits; reads no file's contents."""
    uses = [("encoder", use) for use in binding.encoders.values()] + [("adapter", use) for use in binding.adapters]
    found = []
    for kind, use in uses:
        with contextlib.suppress(AnybindError):  # reported when the part is used
            found.append(find_part(kind, use.name))
    packages = {"anybind", *(part.spec.target.partition(":")[0].partition(".")[0] for part in found)}
    named = sorted({value for _, use in uses for value in use.options.values() if isinstance(value, str)})
    paths = {value: Path(value.removeprefix("local-dir:")) for value in named}
    # A word is no folder, whatever the working folder holds.
    paths = {
        value: path
        for value, path in paths.items()
        if path.is_absolute() or value.startswith("local-dir:") or path.is_file()
    }
    versions = dict.fromkeys(sorted({"anybind", *(part.distribution for part in found)}), "")
    for name in versions:
        with contextlib.suppress(PackageNotFoundError):  # a plugin that was registered at run time
            versions[name] = version(name)
    return tables.hash_settings(
        {
            "binding": asdict(binding),
            "files": {value: list(_stamps(paths[value])) if value in paths else [] for value in named},
            "packages": {name: package_stamp(name) for name in sorted(packages)},
            "versions": versions,
        }
    )


def package_stamp(name: str) -> str:
    """Hash of names, sizes and times of a package's files, without importing it."""
    try:
        found = importlib.util.find_spec(name)
    except ValueError:  # a module that was created at run time and has no file
        found = None
    places = [] if found is None else list(found.submodule_search_locations or [found.origin or ""])
    return tables.hash_settings([stamp for place in places for stamp in _stamps(Path(place))])


def _stamps(path: Path) -> Iterator[list[object]]:
    """Path, size and time of a file, or of each file in and below a folder; nothing where there is neither."""
    paths = [path]
    if path.is_dir():
        paths = sorted(Path(folder) / name for folder, _, names in os.walk(path) for name in names)
    for file in paths:
        with contextlib.suppress(OSError, ValueError):
            status = file.stat()
            if file.suffix != ".pyc":
                yield [os.fspath(file), status.st_size, status.st_mtime_ns]
