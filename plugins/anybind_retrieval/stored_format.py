"""`IndexFormat`: how an index stores vectors, as the user asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from anybind import Binder, Space
from anybind.plugin import BadInput, BadOption, tables
from anybind_retrieval import lance_index
from anybind_retrieval.index import IndexCard, IndexedEncoder
from anybind_retrieval.vectors import FLOAT32, check_vectors


@dataclass(frozen=True)
class IndexFormat:
    """How an index stores vectors.

    Attributes:
        vectors: `float32`, `int8` or `binary`; empty for that of the existing index, or float32.
        truncate_dim: number of first dimensions; None for that of the existing index, or all.
    """

    vectors: str = ""
    truncate_dim: int | None = None

    def check(self, location: str) -> None:
        """Raise `BadOption` for invalid values, and for codes in a LanceDB index."""
        if self.vectors:
            check_vectors(self.vectors)
        if self.vectors not in ("", FLOAT32) and location.rstrip("/").endswith(lance_index.SUFFIX):
            raise BadOption(
                f"{location}: a .lance index stores float32, and its approximate index is compressed; use a"
                f" .safetensors file for {self.vectors}"
            )
        if self.truncate_dim is not None:
            tables.check_count("truncate_dim", self.truncate_dim)

    def make_card(
        self,
        location: str,
        binder: Binder,
        encoders: Mapping[str, tuple[IndexedEncoder, Space]],
        existing: IndexCard | None,
    ) -> IndexCard:
        """Return the card of an index of these encoders, which an existing index must have, in its format.

        Args:
            location: path or URI, for messages.
            binder: binder of the encoders.
            encoders: encoder and its space, by modality of the files.
            existing: card of the existing index.

        Raises:
            BadInput: there are no encoders.
            BadOption: more dimensions than the space has, or another format than that of the existing index.
            SpaceMismatch, WeightsMismatch: the existing index has other encoders.
        """
        indexed = dict(existing.encoders) if existing else {}
        space = existing.encoder_space if existing else None
        for modality, (encoder, encoder_space) in encoders.items():
            space = space or encoder_space
            if existing is not None:
                existing.require_encoder(modality, encoder, encoder_space, location)
            indexed[modality] = encoder
        if space is None:
            raise BadInput(f"nothing to write to {location}: no file could be embedded")
        vectors = self.vectors or (existing.vectors if existing else FLOAT32)
        dim = int(self.truncate_dim or 0) or (existing.space.dim if existing else space.dim)
        if dim > space.dim:
            raise BadOption(f"truncate_dim: expected at most the {space.dim} dimensions of {space.name}, got {dim}")
        if existing is not None:
            existing.require_format(vectors, dim, location)
        full_dim = space.dim if dim < space.dim else 0
        indexed = dict(sorted(indexed.items()))
        return IndexCard(binder.name, replace(space, dim=dim), indexed, vectors, full_dim, binder.options.precision)


DEFAULT_FORMAT = IndexFormat()
