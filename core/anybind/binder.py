"""`Binder`: a loaded binding, which embeds files and samples; encoders are loaded at their first use."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from anybind import ranks
from anybind.adapter import Adapter, find_route
from anybind.backends import EncoderLoader, load_cpu_encoder
from anybind.binding import Binding
from anybind.decoding import DecodingPool, open_pool
from anybind.embeddings import Embeddings, concatenate
from anybind.encoder import Encoder
from anybind.errors import BadInput, BadOption, OnBad, PluginError, SpaceMismatch
from anybind.fusion import embed_joint
from anybind.inference import DEFAULT_OPTIONS, InferenceOptions, parse_devices
from anybind.loading import (
    Loader,
    OnInvalid,
    encode_batches,
    iterate_items,
    list_items,
    load_batches,
    open_table,
    report_invalid,
    to_item,
)
from anybind.modality import find_modality
from anybind.progress import progress_bar
from anybind.registry import create_part, find_part
from anybind.sharing import EmbeddingCounts, embed_across_ranks
from anybind.space import Space
from anybind.spec import ModalitySpec
from anybind.tables import check_seed, hash_settings

if TYPE_CHECKING:
    from anybind.store import EmbeddingStore


class Binder:
    """A loaded binding. Encoders are loaded at their first use, by each copy and each process that gets it pickled.

    Attributes:
        binding: the binding that it loads.
        device: torch device of the encoders; several, `cuda:0,cuda:1`, take a batch each.
        options: batch size, workers and precision.
        backend: `auto`, `onnx`, `openvino` or `torch`; see `load`.
        store: embedding store for the encoders' outputs, before adapters; None for no store.
        counts: numbers of embedded items. Binders derived from this one share them.
    """

    def __init__(
        self,
        binding: Binding,
        device: str = "cpu",
        store: EmbeddingStore | None = None,
        options: InferenceOptions = DEFAULT_OPTIONS,
        *,
        backend: str = "auto",
    ) -> None:
        self.binding, self.device, self.backend, self.options = binding, str(device), backend, options
        self._first_device, *others = parse_devices(self.device)
        self._replicas = [Binder(binding, other, options=options, backend=backend) for other in others]
        self.store, self.counts = store, EmbeddingCounts()
        self._loader = EncoderLoader(binding, self._first_device, backend, options.precision)
        self._adapters: list[Adapter] | None = None
        self._labels: Embeddings | None = None
        self._labelled: dict[tuple[str, str], Encoder] = {}

    def __getstate__(self) -> dict[str, object]:
        """Return what a copy in another process needs: everything but encoders and adapters, which it loads itself."""
        return {**vars(self), "_adapters": None, "_labelled": {}}

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
        encoder = self._loader.load(modality, backend)
        if self._labels is None or modality == self._labels.modality:
            return encoder
        with self._loader.lock:
            if (modality, backend) not in self._labelled:
                self._labelled[modality, backend] = encoder.with_labels(self._labels)
            return self._labelled[modality, backend]

    def with_labels(self, labels: Embeddings) -> Binder:
        """Return a binder for samples of these labels alone: see `Encoder.with_labels`.

        Args:
            labels: embeddings of the labels, which are their ids.
        """
        twin = self._copy(self.binding, self.store)
        twin._replicas = [replica.with_labels(labels) for replica in self._replicas]
        twin._labels, twin._labelled = labels, {}
        return twin

    def without_adapters(self, modality: str) -> Binder:
        """Return a binder on the same encoders whose common space is a modality's own, without adapters."""
        return self._copy(replace(self.binding, space=self.encoder(modality).space.name, adapters=()), self.store)

    def with_store(self, store: EmbeddingStore | None) -> Binder:
        """Return a binder on the same encoders with another store; None for samples that are embedded only once."""
        return self._copy(self.binding, store)

    def _copy(self, binding: Binding, store: EmbeddingStore | None) -> Binder:
        twin = object.__new__(type(self))
        vars(twin).update({**vars(self), "binding": binding, "store": store, "_adapters": None})
        return twin

    def route(self, modality: str) -> list[Adapter]:
        """Return the adapters, in order, from a modality's own space to the common space; often none.

        Raises:
            SpaceMismatch: no chain of the binding's adapters connects the two spaces.
        """
        start = self.encoder(modality).space
        goal = self.binding.space or self.encoder(self.modalities[0]).space.name
        if (path := find_route(self.adapters, start, goal)) is not None:
            return path
        routes = "; ".join(f"{adapter.source} to {adapter.target}" for adapter in self.adapters)
        hint = f" (its adapters lead from {routes})" if routes else ""
        raise SpaceMismatch(f"binding {self.name!r}: no adapter leads {modality} from {start} to {goal!r}{hint}")

    @property
    def adapters(self) -> list[Adapter]:
        """The binding's adapters, loaded at the first call."""
        with self._loader.lock:
            if self._adapters is None:
                adapters = [create_part("adapter", use.name, **use.options) for use in self.binding.adapters]
                for check in self.binding.checks:
                    check.check_adapters(adapters)
                self._adapters = adapters
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
        modality: str | Mapping[str, object] | Sequence[Mapping[str, object]],
        items: Iterable[object] = (),
        *,
        weights: Mapping[str, float] | None = None,
        batch_size: int | None = None,
        workers: int | None = None,
        derive_seed: int | None = None,
        on_bad: OnBad | None = None,
    ) -> Embeddings:
        """Embed files or samples of one modality, or joint queries of several, into the common space.

        A joint query is a mapping from modalities to items, `{"image": "photo.jpg", "text": "at night"}`. Its
        embedding is the weighted mean of those of its items, each adapted to the common space, of norm 1.

        Args:
            modality: the modality to embed; or joint queries, without `items`. An invalid item drops its query.
            items: paths, samples or `Item`s, or a single one. For `text`, strings are the texts themselves.
            weights: of joint queries: weight of a modality; only ratios matter, a negative one leads away from its
                samples. [default: 1]
            batch_size: number of samples encoded at once; embeddings depend on it by rounding only (1e-6). [default:
                the binder's, 32]
            workers: number of files decoded at a time. [default: the binder's, one a processor, at most 4]
            derive_seed: random seed for deriving samples from files of another modality (an event recording from an
                image); without it such files raise.
            on_bad: called with the id and the error of each invalid item, which is then skipped; by default the first
                one raises.

        Returns:
            one row per item, in order, with paths (or texts, `Item.id`, or `event[3]`) as ids; of joint queries, as
            `Embeddings.fuse` names them.

        Raises:
            BadInput: an item is missing, unreadable, empty or of another modality, or a joint query is empty or its
                embeddings cancel.
            UnknownName: the binding has no encoder for a modality.
            SpaceMismatch: no adapter leads a modality to the common space.
            BadOption: a weight is not a finite number or of another modality, the batch size or the number of workers
                is not an integer above 0, or the seed is not one of at least 0.
            PluginError: a reader or an encoder raised an unexpected error.
        """
        if not isinstance(modality, str):
            queries = [modality] if isinstance(modality, Mapping) else modality
            if not isinstance(queries, Sequence) or items != ():
                raise BadOption("expected a modality and its items, or a list of joint queries alone")
            return embed_joint(
                self, queries, weights, batch_size=batch_size, workers=workers, derive_seed=derive_seed, on_bad=on_bad
            )
        if weights is not None:
            raise BadOption("weights need joint queries: a list of mappings from modalities to items")
        derive_seed = None if derive_seed is None else check_seed(derive_seed)
        listed, options = list_items(find_modality(modality), items), self.options.override(batch_size, workers)
        if ranks.get_world_size() > 1:
            if self._replicas:
                raise BadOption(f"under torchrun each process has one device, got {self.device!r}")

            def embed_numbers(numbers: range, on_invalid: OnInvalid) -> Generator[tuple[list[int], Embeddings]]:
                own = ((number, listed[number]) for number in numbers)
                return self._embed_batches(modality, own, options, derive_seed, on_invalid)

            make_empty = partial(self._empty_embeddings, modality, derive_seed)
            return embed_across_ranks(len(listed), embed_numbers, make_empty, self.counts, on_bad)
        batches, on_invalid = [], partial(report_invalid, on_bad)
        embedded = self._embed_batches(modality, enumerate(listed), options, derive_seed, on_invalid)
        with contextlib.closing(embedded), progress_bar(len(listed), f"embedding {modality}") as advance:
            for _, batch in embedded:
                batches.append(batch)
                advance(len(batch))
        return concatenate(batches) if batches else self._empty_embeddings(modality, derive_seed)

    def embed_batches(
        self,
        modality: str,
        items: Iterable[object],
        *,
        batch_size: int | None = None,
        workers: int | None = None,
        derive_seed: int | None = None,
        on_bad: OnBad | None = None,
    ) -> Generator[Embeddings]:
        """Embed items as `embed` does and yield a batch at a time; `items` may be endless.

        Ranks do not share the items. Closing the generator stops the loading of further items.
        """
        on_invalid, options = partial(report_invalid, on_bad), self.options.override(batch_size, workers)
        derive_seed = None if derive_seed is None else check_seed(derive_seed)
        numbered = enumerate(iterate_items(find_modality(modality), items))
        embedded = self._embed_batches(modality, numbered, options, derive_seed, on_invalid)
        with contextlib.closing(embedded):
            for _, embeddings in embedded:
                yield embeddings

    def _embed_batches(
        self,
        modality: str,
        items: Iterable[tuple[int, object]],
        options: InferenceOptions,
        derive_seed: int | None,
        on_invalid: OnInvalid,
    ) -> Generator[tuple[list[int], Embeddings]]:
        """Yield numbers and embeddings of numbered items, a batch at a time."""
        encoder, route = self.encoder(modality), self.route(modality)
        empty = self._empty_embeddings(modality, derive_seed, adapted=False)
        use = self.binding.find_encoder(modality)
        assert use is not None  # the encoder is loaded
        store, name, device = self.store, use.name, self._first_device
        table = None if store is None else open_table(store, encoder, name, empty.encoder, device)
        pool = open_decoding_pool(self, modality, options.n_workers) if options.processes else None
        load = Loader(find_modality(modality), encoder, derive_seed, table, pool)
        encoders = [encoder, *(replica.encoder(modality) for replica in self._replicas)]
        numbered = ((number, to_item(load.modality, number, item)) for number, item in items)
        loaded = load_batches(load, numbered, options.batch_size, options.n_workers, on_invalid)
        encoded = encode_batches(encoders, loaded, on_invalid)
        try:
            for batch in encoded:
                if not batch:
                    continue
                vectors = np.stack([np.asarray(each.vector, np.float32) for each in batch])
                try:
                    embeddings = replace(empty, vectors=vectors, ids=tuple(each.id for each in batch))
                except BadInput as error:
                    raise PluginError(f"the {modality} encoder {name!r}: {error}") from error
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
            encoded.close()
            loaded.close()
            if self.store is not None:
                self.store.flush()

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


def open_decoding_pool(binder: Binder, modality: str, workers: int) -> DecodingPool:
    """Return processes that read and preprocess files for the encoder of a modality; see `open_pool`."""
    on_cpu = binder.device.partition(",")[0] == "cpu"
    backend = binder.backend if on_cpu or binder.backend != "auto" else "torch"  # as the binder chooses it
    load = partial(load_cpu_encoder, binder.binding, backend, binder.options.precision, modality, labels=binder._labels)
    return open_pool(load, workers)
