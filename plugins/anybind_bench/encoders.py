"""Identities of a binding's encoders, cached on disk so that a resumed run compares them without loading encoders."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from anybind import AnybindError, Binder, Binding, Result, load
from anybind.plugin import files, find_part, tables

DERIVATION = re.compile(r"~[0-9a-f]{12}(?=\+|$)")
"""The hash of how samples were derived from another modality, in the identity of embeddings; it has the seed."""
LoadBinder = Callable[[Binding], Binder]
"""Loads a binding with a device, a store and options; see `anybind.load`."""


def merge_identities(first: str, second: str) -> str | None:
    """Merge the identities of one modality in two results of a binding; return None if they are two encoders.

    Zero-shot results have the encoder with its adapters, few-shot ones the encoder alone; results on simulated events
    have the hash of the simulation and its seed, which is left out here.

    Returns:
        the identity of the encoder, with its adapters if one of the two has them.
    """
    short, long = sorted((DERIVATION.sub("", first), DERIVATION.sub("", second)), key=len)
    return long if long == short or long.startswith(f"{short}+") else None


def merge_encoders(results: Iterable[Result]) -> dict[str, str]:
    """Merge the encoders of results of one binding, by modality.

    Raises:
        ValueError: two encoders of a modality.
    """
    encoders: dict[str, str] = {}
    for result in results:
        for modality, identity in result.encoders.items():
            merged = merge_identities(encoders.get(modality, identity), identity)
            if merged is None:
                raise ValueError(f"results of two {modality} encoders ({encoders[modality]} and {identity})")
            encoders[modality] = merged
    return encoders


class BindingEncoders:
    """The encoders of one binding, loaded on demand.

    Cached identities are valid while the binding, the files named by its options and the plugins of its encoders
    (versions and files) are unchanged.

    Attributes:
        identities_changed: a loaded encoder's identity differs from the cached one; callers that used the cache reset
            it.
    """

    def __init__(self, binding: Binding, folder: Path, load_binder: LoadBinder = load) -> None:
        self.binding, self.load_binder = binding, load_binder
        self.identities_changed = False
        precision = load_binder(binding).options.precision
        lossy = "" if precision == "fp32" else f"-{precision}"
        self._file = folder / f"{hash_binding(binding)}{lossy}.json"
        self._binder: Binder | None = None
        self._verified: dict[str, str] = {}
        self._cached: dict[str, str] = {}
        with contextlib.suppress(OSError, ValueError, TypeError):
            self._cached = dict(json.loads(self._file.read_text(encoding="utf-8")))

    @property
    def identities(self) -> Mapping[str, str]:
        """Identities by modality, as far as available without loading an encoder."""
        return {**self._cached, **self._verified}

    @property
    def binder(self) -> Binder:
        if self._binder is None:
            self._binder = self.load_binder(self.binding)
        return self._binder

    def identify(self, modalities: Collection[str]) -> dict[str, str]:
        """Load the encoders of some modalities; cache and return their identities.

        Raises:
            AnybindError: an encoder cannot be loaded.
        """
        loaded = {each: self.binder.identity(each) for each in modalities if each not in self._verified}
        if any(self._cached.get(each, identity) != identity for each, identity in loaded.items()):
            self._cached, self.identities_changed = {}, True
        self._verified |= loaded
        if not loaded.items() <= self._cached.items():
            self._cached |= self._verified
            with files.atomic_path(self._file) as temporary:
                temporary.write_text(json.dumps(self._cached, sort_keys=True), encoding="utf-8")
        return {each: self._verified[each] for each in modalities}

    def release(self) -> tuple[int, int]:
        """Free the encoders; return the numbers of computed embeddings and of cache hits."""
        counts, self._binder = (None if self._binder is None else self._binder.counts), None
        return (counts.computed, counts.cached) if counts else (0, 0)


def hash_binding(binding: Binding) -> str:
    """Hash a binding's configuration, packages and files (size and time, not contents): 12 hexadecimal digits."""
    uses = [("encoder", use) for use in binding.encoders.values()] + [("adapter", use) for use in binding.adapters]
    parts = []
    for kind, use in uses:
        with contextlib.suppress(AnybindError):  # reported on first use of the part
            parts.append(find_part(kind, use.name))
    packages = {"anybind", *(part.spec.target.partition(":")[0].partition(".")[0] for part in parts)}
    texts = sorted({value for _, use in uses for value in use.options.values() if isinstance(value, str)})
    paths = {value: Path(value.removeprefix("local-dir:")) for value in texts}
    # A plain word is an option value, even if the working folder has a subfolder of that name.
    paths = {
        value: path
        for value, path in paths.items()
        if path.is_absolute() or value.startswith("local-dir:") or path.is_file()
    }
    versions = dict.fromkeys(sorted({"anybind", *(part.distribution for part in parts)}), "")
    for name in versions:
        with contextlib.suppress(PackageNotFoundError):  # a plugin registered at run time
            versions[name] = version(name)
    return tables.hash_settings(
        {
            "binding": asdict(binding),
            "files": {value: list(_list_stamps(paths[value])) if value in paths else [] for value in texts},
            "packages": {name: hash_package(name) for name in sorted(packages)},
            "versions": versions,
        }
    )


def hash_package(name: str) -> str:
    """Hash names, sizes and times of a package's files without importing it."""
    try:
        spec = importlib.util.find_spec(name)
    except ValueError:  # a module created at run time, without a file
        spec = None
    locations = [] if spec is None else list(spec.submodule_search_locations or [spec.origin or ""])
    return tables.hash_settings([stamp for place in locations for stamp in _list_stamps(Path(place))])


def _list_stamps(path: Path) -> Iterator[list[object]]:
    """Yield path, size and time of a file, or of each file below a folder; nothing if the path is missing."""
    paths = [path]
    if path.is_dir():
        paths = sorted(Path(folder) / name for folder, _, names in os.walk(path) for name in names)
    for file in paths:
        with contextlib.suppress(OSError, ValueError):
            status = file.stat()
            if file.suffix != ".pyc":
                yield [os.fspath(file), status.st_size, status.st_mtime_ns]
