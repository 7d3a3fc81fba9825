"""`Binder`: a loaded binding, which embeds files and samples; encoders are loaded at their first use."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from anybind import ranks
from anybind.adapter import Adapter
from anybind.backends import EncoderLoader
from anybind.binding import Binding, ConfiguredPart, find_binding
from anybind.embeddings import Embeddings, concatenate
from anybind.encoder import Encoder
from anybind.errors import BadOption, OnBad, SpaceMismatch
from anybind.item import Item
from anybind.loading import Loader, OnInvalid, encode_batch, load_batches, report_invalid, to_item
from anybind.modality import find_modality, list_sources
from anybind.progress import progress_bar
from anybind.registry import create_part, find_part, list_parts, list_plugins
from anybind.sharing import EmbeddingCounts, embed_across_ranks
from anybind.space import Space
from anybind.spec import EncoderSpec, ModalitySpec, ReaderSpec
from anybind.tables import hash_settings

if TYPE_CHECKING:
    from anybind.store import EmbeddingStore, StoreTable


class Binder:
    """A loaded binding. Encoders are loaded at their first use, one modality at a time.

    Attributes:
        binding: the binding that it loads.
        device: torch device of the encoders.
        backend: `auto`, `onnx`, `openvino` or `torch`; see `load`.
        store: embedding store for the encoders' outputs, before adapters; None for no store.
        counts: numbers of embedded items. Binders derived from this one share them.
    """

    def __init__(
        self, binding: Binding, device: str = "cpu", store: EmbeddingStore | None = None, *, backend: str = "auto"
    ) -> None:
        self.binding = binding
        self.device = device
        self.backend = backend
        self.store = store
        self.counts = EmbeddingCounts()
        self._loader = EncoderLoader(binding, device, backend)
        self._adapters: list[Adapter] | None = None

    def __repr__(self) -> str:
        return f"Binder({self.name!r}: {', '.join(self.modalities)})"

    @property
    def name(self) -> str:
        """Name of the binding."""
        return self.binding.name

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities that it can embed."""
        return tuple(self.binding.encoders)

    def encoder(self, modality: str, backend: str = "") -> Encoder:
        """Return the encoder of a modality, loaded at the first call.

        Args:
            modality: the modality.
            backend: the backend, such as `torch` for an encoder that can be trained. [default: the binder's]

        Raises:
            UnknownName: the binding has no encoder for the modality.
            UnsupportedBackend: the backend cannot run the encoder.
            MissingExtra, WeightsMismatch, BadInput, BadOption: the encoder cannot be loaded.
            PluginError: its plugin returned something else.
        """
        return self._loader.load(modality, backend)

    def without_adapters(self, modality: str) -> Binder:
        """Return a binder on the same encoders whose common space is a modality's own, without adapters."""
        return self._copy(replace(self.binding, space=self.encoder(modality).space.name, adapters=()), self.store)

    def with_store(self, store: EmbeddingStore | None) -> Binder:
        """Return a binder on the same encoders with another store; None for samples that are embedded only once."""
        return self._copy(self.binding, store)

    def _copy(self, binding: Binding, store: EmbeddingStore | None) -> Binder:
        twin = Binder(binding, self.device, store, backend=self.backend)
        twin._loader = self._loader
        twin.counts = self.counts
        return twin

    def route(self, modality: str) -> list[Adapter]:
        """Return the adapters, in order, from a modality's own space to the common space; often none.

        Raises:
            SpaceMismatch: no chain of the binding's adapters connects the two spaces.
        """
        start = self.encoder(modality).space
        goal = self.binding.space or self.encoder(self.modalities[0]).space.name
        paths: deque[list[Adapter]] = deque([[]])
        seen = {start}
        while paths:
            path = paths.popleft()
            space = path[-1].target if path else start
            if space.name == goal:
                return path
            for adapter in self.adapters:
                if adapter.source == space and adapter.target not in seen:
                    seen.add(adapter.target)
                    paths.append([*path, adapter])
        routes = "; ".join(f"{adapter.source} to {adapter.target}" for adapter in self.adapters)
        hint = f" (its adapters lead from {routes})" if routes else ""
        raise SpaceMismatch(f"binding {self.name!r}: no adapter leads {modality} from {start} to {goal!r}{hint}")

    @property
    def adapters(self) -> list[Adapter]:
        """The binding's adapters, loaded at the first call."""
        with self._loader.lock:
            if self._adapters is None:
                self._adapters = [create_part("adapter", use.name, **use.options) for use in self.binding.adapters]
            return self._adapters

    def space(self, modality: str) -> Space:
        """Return the common space, as reached from a modality."""
        route = self.route(modality)
        return route[-1].target if route else self.encoder(modality).space

    def identity(self, modality: str) -> str:
        """Return the identity of a modality's encoder and of its adapters."""
        return "+".join([self.encoder(modality).identity, *(adapter.identity for adapter in self.route(modality))])

    def embed(
        self,
        modality: str,
        items: Iterable[object],
        *,
        batch_size: int = 32,
        derive_seed: int | None = None,
        on_bad: OnBad | None = None,
    ) -> Embeddings:
        """Embed files or samples of one modality into the common space.

        Args:
            modality: the modality to embed.
            items: paths, samples or `Item`s, or a single one. For `text`, strings are the texts themselves.
            batch_size: number of samples encoded at once; embeddings depend on it by rounding only (1e-6).
            derive_seed: random seed for deriving samples from files of another modality (an event recording from an
                image); without it such files raise.
            on_bad: called with the id and the error of each invalid item, which is then skipped; by default the first
                one raises.

        Returns:
            one row per item, in order, with paths (or texts, `Item.id`, or `event[3]`) as ids.

        Raises:
            BadInput: an item is missing, unreadable, empty or of another modality.
            BadOption: the batch size is not an integer above 0, or the seed is negative.
            PluginError: a reader or an encoder raised an unexpected error.
        """
        if isinstance(items, str | os.PathLike | Item) or find_modality(modality).accepts(items):
            items = [items]
        listed = list(items)
        if ranks.get_world_size() > 1:

            def embed_numbers(numbers: range, on_invalid: OnInvalid) -> Iterator[tuple[list[int], Embeddings]]:
                own = ((number, listed[number]) for number in numbers)
                return self._embed_batches(modality, own, batch_size, derive_seed, on_invalid)

            make_empty = partial(self._empty_embeddings, modality, derive_seed)
            return embed_across_ranks(len(listed), embed_numbers, make_empty, self.counts, on_bad)
        batches, on_invalid = [], partial(report_invalid, on_bad)
        with progress_bar(len(listed), f"embedding {modality}") as advance:
            for _, batch in self._embed_batches(modality, enumerate(listed), batch_size, derive_seed, on_invalid):
                batches.append(batch)
                advance(len(batch))
        return concatenate(batches) if batches else self._empty_embeddings(modality, derive_seed)

    def embed_batches(
        self,
        modality: str,
        items: Iterable[object],
        *,
        batch_size: int = 32,
        derive_seed: int | None = None,
        on_bad: OnBad | None = None,
    ) -> Iterator[Embeddings]:
        """Embed items as `embed` does and yield a batch at a time; `items` may be endless.

        Ranks do not share the items.
        """
        on_invalid = partial(report_invalid, on_bad)
        for _, embeddings in self._embed_batches(modality, enumerate(items), batch_size, derive_seed, on_invalid):
            yield embeddings

    def _embed_batches(
        self,
        modality: str,
        items: Iterable[tuple[int, object]],
        batch_size: int,
        derive_seed: int | None,
        on_invalid: OnInvalid,
    ) -> Iterator[tuple[list[int], Embeddings]]:
        """Yield numbers and embeddings of numbered items, a batch at a time."""
        if not isinstance(batch_size, int) or batch_size < 1:
            raise BadOption(f"the batch size must be an integer above 0, got {batch_size!r}")
        encoder, route = self.encoder(modality), self.route(modality)
        empty = self._empty_embeddings(modality, derive_seed, adapted=False)
        table = self._open_table(modality, empty.encoder)
        load = Loader(find_modality(modality), encoder, derive_seed, table)
        numbered = ((number, to_item(load.modality, number, item)) for number, item in items)
        try:
            for loaded in load_batches(load, numbered, batch_size, on_invalid):
                batch = encode_batch(encoder, loaded, on_invalid)
                if not batch:
                    continue
                vectors = np.stack([np.asarray(each.vector, np.float32) for each in batch])
                embeddings = replace(empty, vectors=vectors, ids=tuple(each.id for each in batch))
                # `Embeddings` has validated the vectors: only valid ones are counted and stored.
                new = [(each.key, row) for each, row in zip(batch, vectors, strict=True) if not each.cached]
                self.counts.computed += len(new)
                self.counts.cached += len(batch) - len(new)
                if table is not None:
                    table.put({key: row.astype("<f4").tobytes() for key, row in new if key is not None})
                for adapter in route:
                    embeddings = adapter(embeddings)
                yield [each.number for each in batch], embeddings
        finally:
            if self.store is not None:
                self.store.flush()

    def _open_table(self, modality: str, identity: str) -> StoreTable | None:
        """Open the table of stored embeddings of one encoder, type of device and version of the plugins it uses."""
        if self.store is None:
            return None
        encoder, name = self.encoder(modality), self.binding.encoders[modality].name
        sources = list_sources(modality)
        used = {find_part(ModalitySpec, modality).plugin, find_part(EncoderSpec, name).plugin}
        used |= {part.plugin for part in list_parts(ReaderSpec) if part.spec.modality in sources}
        description = {
            "encoder": identity,
            "modality": modality,
            "class": name,
            "dim": encoder.space.dim,
            "device": self.device.partition(":")[0],
            "plugins": {
                each.name: f"{each.distribution} {each.version}" for each in list_plugins() if each.name in used
            },
        }
        return self.store.table(description, name)

    def _empty_embeddings(self, modality: str, derive_seed: int | None, adapted: bool = True) -> Embeddings:
        """Return embeddings without rows, whose other fields are those of the results."""
        encoder = self.encoder(modality)
        identity = encoder.identity
        sources = find_part(ModalitySpec, modality).spec.derived_from
        if derive_seed is not None and sources:
            derivations = {source: dict(find_modality(modality).derivation(source)) for source in sources}
            identity += f"~{hash_settings({'seed': derive_seed, 'from': derivations})}"
        vectors = np.empty((0, encoder.space.dim), np.float32)
        embeddings = Embeddings(vectors, encoder.space, modality, (), identity, encoder.logit_scale)
        for adapter in self.route(modality) if adapted else ():
            embeddings = adapter(embeddings)
        return embeddings


def load(
    binding: str | os.PathLike[str] | Binding = "mini",
    *,
    device: str = "cpu",
    backend: str = "auto",
    store: EmbeddingStore | None = None,
) -> Binder:
    """Load a binding by its name, by the path of its TOML file, or from a `Binding`.

    Args:
        binding: for instance `mini`, `clip-vit-b-32`, `open_clip:local-dir:/models/b32`, `my.toml`.
        device: torch device.
        backend: `onnx` or `openvino` for encoders with an ONNX graph, on the CPU and without torch; `torch` for the
            others, for training and other devices; `auto` for `onnx` on the CPU where an encoder has a graph. All give
            the same embeddings to 1e-4, and the same identities.
        store: embedding store, in which embeddings are looked up and stored. [default: none]

    Raises:
        UnknownName: no such binding; the message suggests the nearest names.
        BadInput, BadOption: the TOML file cannot be read or is invalid, or there is no such backend.
    """
    return Binder(binding if isinstance(binding, Binding) else find_binding(binding), device, store, backend=backend)


def load_encoder(
    name: str, *, device: str = "cpu", backend: str = "auto", store: EmbeddingStore | None = None, **options: Any
) -> Binder:
    """Load one registered encoder as a binder in the encoder's own space.

    Args:
        name: registered name of the encoder.
        device: torch device.
        backend: backend of the encoder; see `load`.
        store: embedding store. [default: none]
        options: options of the encoder.

    Raises:
        UnknownName: no such encoder; the message suggests the nearest names.
    """
    spec = find_part(EncoderSpec, name).spec
    binding = Binding(name, {spec.modality: ConfiguredPart(name, options)}, summary=spec.summary)
    return Binder(binding, device, store, backend=backend)
