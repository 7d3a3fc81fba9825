"""Shards of the cache: safetensors files of keys, vectors and a check sum of each row, whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from anybind.contents import KEY_BYTES
from anybind.files import atomic_path

SUFFIX = ".safetensors"
_CHECK_BYTES = 8
_LONGEST_HEADER = 1 << 16
_TOUCH_SECONDS = 600
"""How often the use of a shard is written down, as the time of its file."""


class DamagedShard(Exception):
    """A file that is cut short, or holds something else than was written."""


@dataclass
class Shard:
    """A file of the cache: rows of a key and the vector that belongs to it.

    Attributes:
        path: where it is, or was, since another process may remove it.
        rows: how many there are.
        dim: of the vectors.
    """

    path: Path
    rows: int
    dim: int
    _vectors_at: int
    _checks_at: int
    _touched: float = field(default=-np.inf)

    def read(self, row: int, key: bytes) -> np.ndarray:
        """The vector of a row, (dim,) float32; writes down that the shard is in use.

        Raises:
            FileNotFoundError: another process has removed the file.
            DamagedShard: the row is not what was written for this key.
            OSError: the file cannot be read.
        """
        with self.path.open("rb", buffering=0) as file:
            file.seek(self._vectors_at + 4 * self.dim * row)
            vector = file.read(4 * self.dim)
            file.seek(self._checks_at + _CHECK_BYTES * row)
            check = file.read(_CHECK_BYTES)
        if check != _check(key, vector):
            raise DamagedShard(f"{self.path}: row {row} is not what was written")
        if time.monotonic() - self._touched > _TOUCH_SECONDS:
            self._touched = time.monotonic()
            with contextlib.suppress(OSError):  # of a cache that may only be read
                os.utime(self.path)
        return np.frombuffer(vector, "<f4").astype(np.float32)


def _check(key: bytes, vector: bytes) -> bytes:
    return hashlib.blake2b(key + vector, digest_size=_CHECK_BYTES).digest()


def write_shard(folder: Path, rows: Mapping[bytes, np.ndarray]) -> Path:
    """Write rows, at least one, as a new file of a name that no other process chooses.

    Args:
        folder: made where it is missing.
        rows: vectors (dim,) float32 by key.

    Raises:
        BadInput, OSError: it cannot be written.
    """
    from safetensors.numpy import save

    vectors = np.stack(list(rows.values())).astype("<f4")
    checks = b"".join(_check(key, vector.tobytes()) for key, vector in zip(rows, vectors, strict=True))
    tensors = {
        "vectors": vectors,
        "keys": np.frombuffer(b"".join(rows), np.uint8).reshape(-1, KEY_BYTES),
        "checks": np.frombuffer(checks, np.uint8).reshape(-1, _CHECK_BYTES),
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{time.time_ns():x}-{os.getpid():x}-{secrets.token_hex(4)}{SUFFIX}"
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(tensors, {"anybind-cache": "1"}))
    return path


def open_shard(path: Path) -> tuple[Shard, list[bytes]]:
    """A shard and its keys, row by row; its vectors are read, and checked, when they are asked for.

    Raises:
        DamagedShard: the file is cut short, or no shard.
        OSError: it cannot be read.
    """
    with path.open("rb", buffering=0) as file:
        try:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(min(length, _LONGEST_HEADER)))
            at = {name: header[name]["data_offsets"] for name in ("vectors", "keys", "checks")}
            rows, dim = header["vectors"]["shape"]
            begin = 8 + length
            sizes = {"vectors": 4 * rows * dim, "keys": KEY_BYTES * rows, "checks": _CHECK_BYTES * rows}
            whole = begin + max(end for _, end in at.values()) == os.fstat(file.fileno()).st_size
            if not whole or any(end - start != sizes[name] for name, (start, end) in at.items()):
                raise ValueError("cut short")
        except (ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
            raise DamagedShard(f"{path} is no whole shard") from error
        file.seek(begin + at["keys"][0])
        keys = file.read(KEY_BYTES * rows)
    shard = Shard(path, rows, dim, begin + at["vectors"][0], begin + at["checks"][0])
    return shard, [keys[start : start + KEY_BYTES] for start in range(0, len(keys), KEY_BYTES)]


def is_shard(path: Path) -> bool:
    """Whether a file is called as shards are."""
    return path.suffix == SUFFIX and not path.name.startswith(".")


def listed(folder: Path) -> list[tuple[Path, os.stat_result]]:
    """The files of a folder, which may be missing, and other processes may remove them meanwhile."""
    found = []
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            with contextlib.suppress(OSError):
                found.append((Path(entry.path), entry.stat()))
    return found
