"""`Binder`: a binding at work - loads towers when they are needed and embeds files or samples."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from anybind.adapter import Adapter
from anybind.binding import Binding, Use, find_binding
from anybind.dataset import Item
from anybind.embeddings import Embeddings
from anybind.encoder import Encoder
from anybind.errors import AnybindError, BadInput, BadOption, SpaceMismatch, UnknownName, nearest
from anybind.modality import Modality, derive, find_modality
from anybind.progress import progress_bar
from anybind.reader import find_reader, read
from anybind.registry import create
from anybind.space import Space

OnBad = Callable[[str, AnybindError], None]
"""Told of an item that could not be used: its id, and what was wrong."""


class Binder:
    """A binding at work. Encoders are loaded at their first use, one modality at a time.

    Attributes:
        binding: what it was made from.
        device: where towers run, as torch names it.
    """

    def __init__(self, binding: Binding, device: str = "cpu") -> None:
        self.binding = binding
        self.device = device
        self._encoders: dict[str, Encoder] = {}
        self._loading: list[str] = []
        self._adapters: list[Adapter] | None = None

    def __repr__(self) -> str:
        return f"Binder({self.name!r}: {', '.join(self.modalities)})"

    @property
    def name(self) -> str:
        """Name of the binding."""
        return self.binding.name

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities it can embed."""
        return tuple(self.binding.encoders)

    def encoder(self, of: str) -> Encoder:
        """The encoder of a modality, loaded at the first call.

        Raises:
            UnknownName: the binding has no encoder for it.
            MissingExtra, WeightsMismatch, BadInput, BadOption: it could not be loaded.
        """
        if of not in self.binding.encoders:
            near = nearest(of, self.binding.encoders)
            raise UnknownName(f"binding {self.name!r} has no encoder for {of!r}{near}")
        if of in self._loading:
            raise BadOption(f"binding {self.name!r}: {' -> '.join([*self._loading, of])} refer to each other")
        if of not in self._encoders:
            self._loading.append(of)
            try:
                self._encoders[of] = self._load_encoder(of, self.binding.encoders[of])
            finally:
                self._loading.pop()
        return self._encoders[of]

    def _load_encoder(self, of: str, use: Use) -> Encoder:
        options = {key: self._resolve(value) for key, value in use.options.items()}
        encoder = create("encoder", use.name, **options).to(self.device)
        if encoder.modality != of:
            raise BadOption(f"binding {self.name!r}: the encoder {use.name!r} embeds {encoder.modality}, not {of}")
        return encoder

    def _resolve(self, value: Any) -> Any:
        return self.encoder(value[1:]) if isinstance(value, str) and value.startswith("@") else value

    def route(self, of: str) -> list[Adapter]:
        """The adapters, in order, that lead from a modality's own space to the common one; often none.

        Raises:
            SpaceMismatch: no chain of the binding's adapters leads there.
        """
        start = self.encoder(of).space
        goal = self.binding.space or self.encoder(self.modalities[0]).space.name
        paths: deque[list[Adapter]] = deque([[]])
        seen = {start}
        while paths:
            path = paths.popleft()
            here = path[-1].target if path else start
            if here.name == goal:
                return path
            for adapter in self.adapters:
                if adapter.source == here and adapter.target not in seen:
                    seen.add(adapter.target)
                    paths.append([*path, adapter])
        raise SpaceMismatch(f"binding {self.name!r}: no adapter leads {of} from {start} to {goal!r}")

    @property
    def adapters(self) -> list[Adapter]:
        """The binding's adapters, loaded at the first call."""
        if self._adapters is None:
            self._adapters = [create("adapter", use.name, **use.options) for use in self.binding.adapters]
        return self._adapters

    def space(self, of: str) -> Space:
        """The common space, as reached from a modality."""
        route = self.route(of)
        return route[-1].target if route else self.encoder(of).space

    def identity(self, of: str) -> str:
        """Identity of a modality's encoder and of the adapters behind it."""
        return "+".join([self.encoder(of).identity, *(adapter.identity for adapter in self.route(of))])

    def embed(
        self,
        of: str,
        items: Iterable[Any],
        *,
        batch_size: int = 32,
        derive_seed: int | None = None,
        on_bad: OnBad | None = None,
    ) -> Embeddings:
        """Embed files or samples of one modality into the common space.

        Args:
            of: the modality.
            items: paths, samples or `Item`s, or a single one. For `text`, strings are the texts themselves.
            batch_size: how many go through the tower at once; it does not change the vectors.
            derive_seed: turn files of another modality into this one with this seed (a picture into an
                event recording); without it such files are refused.
            on_bad: told of items that cannot be used, which are then left out; without it the first
                one raises.

        Returns:
            one row an item, in order, with paths (or texts, `Item.id`, or `event[3]`) as ids.

        Raises:
            BadInput: an item is missing, unreadable, empty or of another modality.
        """
        encoder, route, kind = self.encoder(of), self.route(of), find_modality(of)
        if isinstance(items, str | os.PathLike | Item) or kind.accepts(items):
            items = [items]
        load = _Loader(kind, encoder, derive_seed)
        listed = list(items)
        ids: list[str] = []
        batches: list[np.ndarray] = []
        with progress_bar(len(listed), f"embedding {of}") as advance:
            for batch in _batched(_in_order(load, listed, ahead=2 * batch_size, on_bad=on_bad), batch_size):
                for batch_ids, batch_vectors in _encoded(encoder, batch, on_bad):
                    ids += batch_ids
                    batches.append(batch_vectors)
                advance(len(batch))
        vectors = np.concatenate(batches) if batches else np.empty((0, encoder.space.dim), np.float32)
        scale = encoder.logit_scale
        embeddings = Embeddings(vectors, encoder.space, of, tuple(ids), encoder.identity, scale)
        for adapter in route:
            embeddings = adapter(embeddings)
        return embeddings


@dataclass(frozen=True)
class _Loader:
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

    def id_of(self, number: int, item: Any) -> str:
        if isinstance(item, Item):
            return item.id
        if isinstance(item, str | os.PathLike):
            return os.fspath(item)
        return f"{self.kind.name}[{number}]"

    def sample(self, item: Any) -> Any:
        if isinstance(item, Item):
            item = item.source
        if self.kind.accepts(item):
            return item
        if not isinstance(item, str | os.PathLike):
            raise BadInput(f"a {type(item).__name__} is neither a path nor a sample of {self.kind.name}")
        path = Path(item)
        found = find_reader(path).spec.gives
        if found == self.kind.name:
            return read(path)
        if self.derive_seed is None:
            raise BadInput(
                f"{path} holds {found}, not {self.kind.name}; derive_seed=0 makes {self.kind.name} from it where it can"
            )
        return derive(self.kind.name, read(path), source=found, seed=self.derive_seed)


def _in_order(load: _Loader, items: list[Any], ahead: int, on_bad: OnBad | None) -> Iterator[tuple[str, Any]]:
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


def _encoded(
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
            if on_bad is None:
                raise BadInput(f"{id}: {error}") from error
            on_bad(id, error)


def _batched(pairs: Iterator[tuple[str, Any]], size: int) -> Iterator[list[tuple[str, Any]]]:
    batch: list[tuple[str, Any]] = []
    for pair in pairs:
        batch.append(pair)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def load(binding: str | os.PathLike[str] | Binding = "mini", *, device: str = "cpu") -> Binder:
    """A binder by the binding's name, by the path of its TOML file, or from a `Binding`.

    Args:
        binding: for instance `mini`, `clip-vit-b-32`, `open_clip:local-dir:/models/b32`, `my.toml`.
        device: where towers run, as torch names it.

    Raises:
        UnknownName: no such binding; the message offers the nearest ones.
        BadInput, BadOption: the TOML file cannot be read or makes no sense.
    """
    return Binder(binding if isinstance(binding, Binding) else find_binding(binding), device)
