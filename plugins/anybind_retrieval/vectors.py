"""How an index file stores vectors: float32, int8 codes, or int8 codes with a bit per dimension.

The precisions are those of sentence-transformers' `quantize_embeddings`. Codes are scaled by the vector, not by the
ranges of each dimension in a calibration set: recall is the same, and an index can grow without calibration. Bits are
the signs, compared with the float32 query as in sentence-transformers' rescoring; candidates are then ranked by codes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from anybind.plugin import BadOption, errors
from anybind_retrieval.index import make_damage_error
from anybind_retrieval.ranking import check_unit_norm, find_nearest_rows, select_largest

FLOAT32 = "float32"
MAX_CODE = 127
OVERSAMPLING, SHARE = 8, 200
"""Candidates by their bits that are compared by their codes: 8 for each result, at least one in 200 of all."""


class StoredVectors(ABC):
    """The vectors of one modality, memory-mapped; read when a search needs them.

    Attributes:
        dtypes: dtype by the name of each tensor.
    """

    dtypes: ClassVar[Mapping[str, type]]

    def __init__(self, location: str, dim: int, tensors: Mapping[str, np.ndarray]) -> None:
        """Set the tensors, of equal length.

        Raises:
            ValueError: a tensor of another dtype or width.
        """
        self.location, self.dim, self.tensors = location, dim, tensors
        for name, dtype in self.dtypes.items():
            tensor, width = tensors[name], self.get_width(name, dim)
            if tensor.dtype != dtype or tensor.shape[1:] != (width,):
                raise ValueError(f"expected {name} (n, {width}) {dtype.__name__}, got {tensor.shape} {tensor.dtype}")

    def __len__(self) -> int:
        return min(len(self.tensors[name]) for name in self.dtypes)

    @staticmethod
    def get_width(name: str, dim: int) -> int:
        """Return the number of columns of a tensor."""
        return -(-dim // 8) if name == "bits" else dim

    @classmethod
    @abstractmethod
    def encode(cls, vectors: np.ndarray) -> dict[str, np.ndarray]:
        """Convert vectors, (n, d) float32 of norm 1, to the tensors that are stored."""

    @abstractmethod
    def read(self, rows: np.ndarray | slice) -> np.ndarray:
        """Return vectors of some rows, (n, d) float32 of norm 1; raise `BadInput` if they are damaged."""

    @abstractmethod
    def find_nearest(self, query: np.ndarray, count: int) -> np.ndarray:
        """Return the rows of the `count` largest dot products with a query, (d,) float32, in any order."""


class FloatVectors(StoredVectors):
    """Vectors as they are: exact search."""

    dtypes: ClassVar = {"vectors": np.float32}
    _is_verified = False

    @classmethod
    def encode(cls, vectors: np.ndarray) -> dict[str, np.ndarray]:
        return {"vectors": np.ascontiguousarray(vectors, np.float32)}

    def read(self, rows: np.ndarray | slice) -> np.ndarray:
        if not self._is_verified:
            check_unit_norm(self.location, self.tensors["vectors"])
            self._is_verified = True
        return self.tensors["vectors"][rows]

    def find_nearest(self, query: np.ndarray, count: int) -> np.ndarray:
        return find_nearest_rows(query, self.read(slice(None)), count)


class Int8Vectors(StoredVectors):
    """Codes in -127 to 127 of the dimensions, scaled by the largest; a quarter of the size."""

    dtypes: ClassVar = {"codes": np.int8}

    @classmethod
    def encode(cls, vectors: np.ndarray) -> dict[str, np.ndarray]:
        largest = np.abs(vectors).max(axis=1, keepdims=True)
        return {"codes": np.rint(vectors * (MAX_CODE / largest)).astype(np.int8)}

    def read(self, rows: np.ndarray | slice) -> np.ndarray:
        codes = self.tensors["codes"][rows].astype(np.float32)
        norms = np.linalg.norm(codes, axis=1, keepdims=True)
        if not norms.all():
            raise make_damage_error(self.location, "it holds vectors of zeros")
        return codes / norms

    def find_nearest(self, query: np.ndarray, count: int) -> np.ndarray:
        return _select_nearest(self.tensors["codes"], query, count)


class BinaryVectors(Int8Vectors):
    """Bits, 1 where a dimension is above 0, which select candidates, and the codes that these are ranked by."""

    dtypes: ClassVar = {"bits": np.uint8, "codes": np.int8}

    @classmethod
    def encode(cls, vectors: np.ndarray) -> dict[str, np.ndarray]:
        return {"bits": np.packbits(vectors > 0, axis=1), **super().encode(vectors)}

    def find_nearest(self, query: np.ndarray, count: int) -> np.ndarray:
        n_candidates = max(OVERSAMPLING * count, len(self) // SHARE)
        if n_candidates >= len(self):
            return super().find_nearest(query, count)
        from anybind_retrieval.kernels import compare_bits, map_row_slices

        bits, scores = self.tensors["bits"], np.empty(len(self), np.float32)
        padded = np.zeros(8 * bits.shape[1], np.float32)
        padded[: len(query)] = query
        # Of every byte value, the sum of the query's 8 dimensions with the signs of its bits.
        signs = 2 * np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.float32) - 1
        sums = np.ascontiguousarray(padded.reshape(-1, 8) @ signs.T)
        map_row_slices(lambda rows: compare_bits(bits[rows], sums, scores[rows]), len(scores))
        candidates = np.sort(select_largest(scores, n_candidates))
        return candidates[_select_nearest(self.tensors["codes"][candidates], query, count)]


def _select_nearest(codes: np.ndarray, query: np.ndarray, count: int) -> np.ndarray:
    from anybind_retrieval.kernels import compare_codes, map_row_slices  # imports numba

    scores = np.empty(len(codes), np.float32)
    map_row_slices(lambda rows: compare_codes(codes[rows], query, scores[rows]), len(scores))
    return select_largest(scores, count)


VECTORS: Mapping[str, type[StoredVectors]] = {FLOAT32: FloatVectors, "int8": Int8Vectors, "binary": BinaryVectors}
"""Classes by the name of `IndexCard.vectors`."""


def check_vectors(name: str) -> None:
    """Raise `BadOption` unless there is such a way to store vectors."""
    if name not in VECTORS:
        names = ", ".join(VECTORS)
        raise BadOption(f"expected vectors of {names}, got {name!r}{errors.suggest_names(name, VECTORS)}")


def concatenate_tensors(parts: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Concatenate the rows of tensors of one class."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
