"""Loading of files and samples in worker threads, and encoding of batches."""

from __future__ import annotations

import contextlib
import os
import queue
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from anybind.contents import content_key
from anybind.discovery import describe_exception
from anybind.encoder import Encoder
from anybind.errors import AnybindError, BadInput, OnBad, PluginError
from anybind.files import FileMark, get_file_mark, portable_name
from anybind.item import Item
from anybind.modality import Modality, derive, describe_type, list_sources
from anybind.part import takes_option
from anybind.prefetch import prefetch
from anybind.reader import SampleFile, find_reader, read
from anybind.registry import find_part, list_parts, list_plugins
from anybind.spec import EncoderSpec, ModalitySpec, ReaderSpec

if TYPE_CHECKING:
    from anybind.decoding import DecodingPool
    from anybind.store import EmbeddingStore, StoreTable

OnInvalid = Callable[[int, str, AnybindError], None]
"""Called with the number, the id and the error of an invalid item; raises unless invalid items are skipped."""


def report_invalid(on_bad: OnBad | None, number: int, id: str, error: AnybindError) -> None:
    """Call `on_bad` with an invalid item; without it, raise the error."""
    if on_bad is None:
        raise error
    on_bad(id, error)


def iterate_items(modality: Modality[object], items: object) -> Iterable[object]:
    """Return the items unchanged; a single path, sample, `Item` or invalid object becomes a list of one.

    Bytes and mappings are invalid objects: as a list they would be numbers and keys.
    """
    single = str | os.PathLike | Item | bytes | bytearray | memoryview | Mapping
    if isinstance(items, single) or not isinstance(items, Iterable) or modality.accepts(items):
        return [items]
    return items


def list_items(modality: Modality[object], items: object) -> list[object]:
    """Return the items as a list; see `iterate_items`."""
    return list(iterate_items(modality, items))


@dataclass(frozen=True)
class LoadedItem:
    """An item between its file and its embedding.

    Attributes:
        number: position among all items.
        id: the item's id.
        prepared: input of the encoder; None once the embedding is computed.
        key: store key of its content; None if it has none, or without a store.
        mark: mark of its file when the file was hashed; None if it is not a file.
        vector: (d,) float32, in the encoder's own space; None until it is computed or read from the store.
        cached: whether the vector was read from the store.
        error: the error of an invalid item.
    """

    number: int
    id: str
    prepared: object = None
    key: bytes | None = None
    mark: FileMark | None = None
    vector: np.ndarray | None = None
    cached: bool = False
    error: AnybindError | None = None


def to_item(modality: Modality[object], number: int, item: object) -> Item:
    """Convert a path or a sample to an item, whose id is the path, the text itself, or `event[3]`."""
    if isinstance(item, Item):
        return item
    if isinstance(item, str) and modality.accepts(item):
        return Item(str(item), str(item))  # a NumPy string is stored as what it equals
    return Item(portable_name(item) if isinstance(item, str | os.PathLike) else f"{modality.name}[{number}]", item)


@dataclass(frozen=True)
class Loader:
    """A loader of numbered items: returns stored embeddings or inputs of the encoder; called in worker threads.

    With a pool, files are read and preprocessed in its processes, for which these threads wait.
    """

    modality: Modality[object]
    encoder: Encoder
    derive_seed: int | None
    table: StoreTable | None = None
    pool: DecodingPool | None = None

    def find_stored(self, numbered: tuple[int, Item]) -> LoadedItem | None:
        """Return the stored embedding of a text or of a file whose hash is cached: faster than a worker thread."""
        if self.table is None or not isinstance(numbered[1].source, str | os.PathLike):
            return None
        loaded = self.look_up(numbered, read=False)
        return loaded if loaded.cached else None

    def look_up(self, numbered: tuple[int, Item], read: bool = True) -> LoadedItem:
        """Compute the item's store key and read its embedding, if stored.

        Args:
            numbered: the number and the item.
            read: hash its file if the hash is not cached; otherwise there is no key.
        """
        number, item = numbered
        key = mark = None
        if self.table is None:
            return LoadedItem(number, item.id)
        source, options = item.source, item.options
        if not isinstance(source, str | os.PathLike) or self.modality.accepts(source):
            key = content_key("sample", source)
        elif mark := _find_mark(source):
            with contextlib.suppress(OSError):  # reading the file reports the error
                if (hashed := self.table.store.hash_file(source, mark, read)) is not None:
                    # The suffix is part of the key, since the choice of the reader depends on it.
                    ending = os.path.splitext(source)[1].lower()  # noqa: PTH122 (many times a second)
                    key = content_key("file", ending, hashed, *([dict(options)] if options else []))
        value = None if key is None else self.table.get(key)
        vector = None if value is None else np.frombuffer(value, "<f4")
        return LoadedItem(number, item.id, None, key, mark, vector, vector is not None)

    def __call__(self, numbered: tuple[int, Item]) -> LoadedItem:
        """Return the item with its stored embedding, its encoder input, or the error of its reader or encoder."""
        item, loaded = numbered[1], self.look_up(numbered)
        if loaded.cached:
            return loaded
        try:
            prepared = self._prepare(item)
        except AnybindError as error:
            described = error if item.id in str(error) else _set_cause(type(error)(f"{item.id}: {error}"), error)
            return replace(loaded, error=described)
        except Exception as error:  # a bug of a plugin becomes an error of the item, so that --skip-invalid skips it
            failure = PluginError(f"{item.id}: its reader or encoder failed: {describe_exception(error)}")
            return replace(loaded, error=_set_cause(failure, error))
        # A file that was written in between gets no key: the sample may differ from the hashed content.
        changed = loaded.mark is not None and loaded.mark != _find_mark(item.source)
        return replace(loaded, prepared=prepared, key=None if changed else loaded.key)

    def _prepare(self, item: Item) -> object:
        source = item.source
        if self.pool is not None and isinstance(source, str | os.PathLike) and not self.modality.accepts(source):
            return self.pool.prepare(item, self.derive_seed)
        sample = self.load_sample(item)
        self.modality.check(sample)
        return self.encoder.preprocess(sample)

    def load_sample(self, item: Item) -> object:
        """Read the item's file, or derive the sample from one of another modality."""
        source, name = item.source, self.modality.name
        if self.modality.accepts(source):
            return self.modality.as_sample(source)
        if not isinstance(source, str | os.PathLike):
            if self.derive_seed is not None:
                return derive(name, source, seed=self.derive_seed)
            raise BadInput(f"expected a path or {self._describe_sample()}, got {describe_type(source)}")
        path = Path(source)
        reader = source.reader if isinstance(source, SampleFile) else None
        if reader is None or reader.spec.modality != name:
            reader = find_reader(path, name, item.options)
        actual = reader.spec.modality
        if actual not in list_sources(name):
            raise self._refuse(path, actual)
        hints = self.encoder.reader_options if actual == name else {}
        method = reader.instance.read
        savings = {key: value for key, value in hints.items() if takes_option(method, key)}
        sample = read(path, reader=reader, **{**savings, **item.options})
        if actual == name or (self.derive_seed is None and self.modality.accepts(sample)):
            return sample
        if self.derive_seed is None:
            raise self._refuse(path, actual)
        return derive(name, sample, source=actual, seed=self.derive_seed)

    def _describe_sample(self) -> str:
        """Return the words for a sample of the modality in an error message."""
        words = self.modality.sample_type
        return f"a sample of {self.modality.name}" + (f" ({words})" if words else "")

    def _refuse(self, path: Path, actual: str) -> BadInput:
        name = self.modality.name
        derivable = actual in list_sources(name)
        hint = f"derive_seed=0 derives {name} from it" if derivable else f"{name} cannot be derived from it"
        return BadInput(f"{path} holds {actual}, not {name}; {hint}")


def _find_mark(source: str | os.PathLike[str]) -> FileMark | None:
    with contextlib.suppress(OSError, ValueError):  # reading the file reports the error
        return get_file_mark(source)
    return None


def _set_cause(error: AnybindError, cause: Exception) -> AnybindError:
    error.__cause__ = cause
    return error


def open_table(store: EmbeddingStore, encoder: Encoder, name: str, identity: str, device: str) -> StoreTable:
    """Open the table of stored embeddings of one encoder, type of device and version of the plugins it uses."""
    modality = encoder.modality
    sources = list_sources(modality)
    used = {find_part(ModalitySpec, modality).plugin, find_part(EncoderSpec, name).plugin}
    used |= {part.plugin for part in list_parts(ReaderSpec) if part.spec.modality in sources}
    description = {
        "encoder": identity,
        "modality": modality,
        "class": name,
        "dim": encoder.space.dim,
        "device": device.partition(":")[0],
        "plugins": {each.name: f"{each.distribution} {each.version}" for each in list_plugins() if each.name in used},
    }
    return store.table(description, name)


def load_batches(
    load: Loader, items: Iterable[tuple[int, Item]], size: int, workers: int, on_invalid: OnInvalid
) -> Generator[list[LoadedItem]]:
    """Load numbered items in worker threads, two batches ahead, and yield batches of the valid ones."""
    batch: list[LoadedItem] = []
    with contextlib.closing(
        prefetch(load, items, workers=workers, queue_size=max(2 * size, workers), compute_inline=load.find_stored)
    ) as results:
        for loaded in results:
            if loaded.error is not None:
                on_invalid(loaded.number, loaded.id, loaded.error)
                continue
            batch.append(loaded)
            if len(batch) == size:
                yield batch
                batch = []
    if batch:
        yield batch


def encode_batches(
    encoders: Sequence[Encoder], batches: Iterable[list[LoadedItem]], on_invalid: OnInvalid
) -> Generator[list[LoadedItem]]:
    """Encode batches, in order, and yield their items with vectors, without the invalid ones.

    Args:
        encoders: copies of one encoder on several devices: each encodes a batch at a time, in a thread of its own.
        batches: batches of `load_batches`.
        on_invalid: called in the calling thread.
    """
    if len(encoders) == 1:
        for batch in batches:
            yield encode_batch(encoders[0], batch, on_invalid)
        return
    idle: queue.SimpleQueue[Encoder] = queue.SimpleQueue()
    for encoder in encoders:
        idle.put(encoder)

    def encode(batch: list[LoadedItem]) -> tuple[list[LoadedItem], list[tuple[int, str, AnybindError]]]:
        invalid: list[tuple[int, str, AnybindError]] = []
        encoder = idle.get()
        try:
            return encode_batch(encoder, batch, lambda *each: invalid.append(each)), invalid
        finally:
            idle.put(encoder)

    with contextlib.closing(prefetch(encode, batches, workers=len(encoders), queue_size=len(encoders))) as results:
        for encoded, invalid in results:
            for each in invalid:
                on_invalid(*each)
            yield encoded


def _encode(encoder: Encoder, inputs: list[object]) -> np.ndarray:
    """Encode a batch to (n, d) float32; raise `PluginError` for an unexpected error or a result of another shape."""
    who = f"the {encoder.modality} encoder {type(encoder).__module__}.{type(encoder).__qualname__}"
    try:
        vectors = np.asarray(encoder.encode(inputs), np.float32)
    except (AnybindError, MemoryError, Warning):
        raise
    except Exception as error:
        raise PluginError(f"{who} failed: {describe_exception(error)}") from error
    if vectors.shape != (expected := (len(inputs), encoder.space.dim)):
        raise PluginError(f"{who}: expected vectors of shape {expected}, got {vectors.shape}")
    return vectors


def encode_batch(encoder: Encoder, batch: list[LoadedItem], on_invalid: OnInvalid) -> list[LoadedItem]:
    """Encode a batch and return its items with vectors, without the invalid ones."""
    missing = [each for each in batch if not each.cached]
    vectors: dict[int, np.ndarray] = {}
    try:
        rows = _encode(encoder, [each.prepared for each in missing]) if missing else ()
        vectors = {each.number: row for each, row in zip(missing, rows, strict=True)}
    except BadInput:  # encode one by one to find the invalid ones
        for each in missing:
            try:
                vectors[each.number] = _encode(encoder, [each.prepared])[0]
            except BadInput as error:
                on_invalid(each.number, each.id, _set_cause(BadInput(f"{each.id}: {error}"), error))
    encoded = [each if each.cached else replace(each, prepared=None, vector=vectors.get(each.number)) for each in batch]
    return [each for each in encoded if each.vector is not None]
