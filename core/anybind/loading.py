"""From files and samples to batches of what an encoder takes: read in threads, handed on in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from anybind.dataset import Item
from anybind.encoder import Encoder
from anybind.errors import AnybindError, BadInput, PluginError
from anybind.files import name_of_path
from anybind.modality import Modality, derive
from anybind.reader import find_reader, read

OnBad = Callable[[str, AnybindError], None]
"""Told of an item that could not be used: its id, and what was wrong."""


@dataclass(frozen=True)
class Loader:
    """From an item to what the encoder's weights take; runs in worker threads."""

    kind: Modality
    encoder: Encoder
    derive_seed: int | None

    def __call__(self, number: int, item: Any) -> tuple[str, Any]:
        id = self.id_of(number, item)
        try:
            sample = self.sample(item)
            self.kind.check(sample)
            return id, self.encoder.preprocess(sample)
        except AnybindError as error:
            if id in str(error):
                raise
            raise type(error)(f"{id}: {error}") from error
        except Exception as error:  # a stranger's bug: told with the item, so that --skip-bad can go on past it
            told = " ".join(f"{type(error).__name__}: {error}".split())
            raise PluginError(f"{id}: its reader or encoder failed: {told}") from error

    def id_of(self, number: int, item: Any) -> str:
        if isinstance(item, Item):
            return item.id
        if isinstance(item, str | os.PathLike):
            return item if isinstance(item, str) and self.kind.accepts(item) else name_of_path(item)
        return f"{self.kind.name}[{number}]"

    def sample(self, item: Any) -> Any:
        options: Mapping[str, Any] = {}
        if isinstance(item, Item):
            item, options = item.source, item.options
        if self.kind.accepts(item):
            return item
        if not isinstance(item, str | os.PathLike):
            if self.derive_seed is not None:
                return derive(self.kind.name, item, seed=self.derive_seed)
            raise BadInput(f"a {type(item).__name__} is neither a path nor a sample of {self.kind.name}")
        path = Path(item)
        reader = find_reader(path, self.kind.name)
        found = reader.spec.gives
        if found == self.kind.name:
            return read(path, reader=reader.name, **options)
        if self.derive_seed is None:
            raise BadInput(
                f"{path} holds {found}, not {self.kind.name}; derive_seed=0 makes {self.kind.name} from it where it can"
            )
        return derive(self.kind.name, read(path, reader=reader.name, **options), source=found, seed=self.derive_seed)


def in_order(load: Loader, items: Iterable[Any], ahead: int, on_bad: OnBad | None) -> Iterator[tuple[str, Any]]:
    """Load items in threads, a few ahead of their use, and hand them out in order."""
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        waiting: deque[tuple[str, Future[tuple[str, Any]]]] = deque()
        coming = enumerate(items)

        def send_one() -> None:
            for number, item in coming:
                waiting.append((load.id_of(number, item), pool.submit(load, number, item)))
                return

        try:
            for _ in range(ahead):
                send_one()
            while waiting:
                id, future = waiting.popleft()
                send_one()
                try:
                    yield future.result()
                except AnybindError as error:
                    if on_bad is None:
                        raise
                    on_bad(id, error)
        finally:
            for _, future in waiting:
                future.cancel()


def encoded(
    encoder: Encoder, batch: list[tuple[str, Any]], on_bad: OnBad | None
) -> Iterator[tuple[list[str], np.ndarray]]:
    """Ids and vectors of a batch; one by one where it holds a sample that has no vector, to name that one."""
    try:
        yield [id for id, _ in batch], encoder.encode([prepared for _, prepared in batch])
        return
    except BadInput:
        pass
    for id, prepared in batch:
        try:
            yield [id], encoder.encode([prepared])
        except BadInput as error:
            named = BadInput(f"{id}: {error}")
            if on_bad is None:
                raise named from error
            on_bad(id, named)


def batched(pairs: Iterator[tuple[str, Any]], size: int) -> Iterator[list[tuple[str, Any]]]:
    """The pairs, `size` at a time; the last batch may be shorter."""
    batch: list[tuple[str, Any]] = []
    for pair in pairs:
        batch.append(pair)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
