"""Keys of values in memory: equal for equal content."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import fields, is_dataclass

import numpy as np

KEY_BYTES = 16
_BLOCK = 1 << 22
"""Bytes of a strided array that are copied at a time."""


class _NoKey(Exception):
    """A value that has no key."""


def content_key(*values: object) -> bytes | None:
    """A key of values in memory, 16 bytes: equal where all of their content is.

    Args:
        values: None, numbers, texts, bytes, NumPy arrays and, of these, lists, tuples, mappings by text, and frozen
            dataclasses. Arrays are told apart by type, shape and values, not by how they lie in memory.

    Returns:
        None where one of the values is something else, such as an open file, or an object that may change.
    """
    digest = hashlib.blake2b(digest_size=KEY_BYTES)
    try:
        for value in values:
            _update(digest, value)
    except _NoKey:
        return None
    return digest.digest()


def _update(digest: hashlib.blake2b, value: object) -> None:
    """Every value says its kind and its length first, so that no two lists of values read the same."""
    if value is None or isinstance(value, bool | int | float | complex):
        _update_text(digest, type(value).__name__, value.hex() if isinstance(value, float) else repr(value))
    elif isinstance(value, str):
        _update_text(digest, "str", value)
    elif isinstance(value, bytes):
        digest.update(b"bytes" + struct.pack("<q", len(value)))
        digest.update(value)
    elif isinstance(value, np.ndarray | np.generic):
        _update_array(digest, value)
    elif isinstance(value, list | tuple):
        _update_text(digest, "list", str(len(value)))
        for each in value:
            _update(digest, each)
    elif isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        _update_text(digest, "mapping", str(len(value)))
        for name in sorted(value):
            _update_text(digest, "name", name)
            _update(digest, value[name])
    else:
        _update_dataclass(digest, value)


def _update_dataclass(digest: hashlib.blake2b, value: object) -> None:
    params = type(value).__dict__.get("__dataclass_params__")  # its own: a class made from a dataclass may hold more
    if params is None or not params.frozen or not is_dataclass(value) or isinstance(value, type):
        raise _NoKey
    _update_text(digest, "dataclass", f"{type(value).__module__}.{type(value).__qualname__}")
    for field in fields(value):
        _update_text(digest, "field", field.name)
        _update(digest, getattr(value, field.name))


def _update_text(digest: hashlib.blake2b, kind: str, text: str) -> None:
    data = text.encode("utf-8", "surrogatepass")
    digest.update(f"{kind}:{len(data)}:".encode())
    digest.update(data)


def _update_array(digest: hashlib.blake2b, value: np.ndarray | np.generic) -> None:
    if not isinstance(value, np.generic) and type(value) not in (np.ndarray, np.memmap):
        raise _NoKey  # a masked array's mask, for one, is not among its values
    array = np.asarray(value)
    if array.dtype.hasobject:
        raise _NoKey
    _update_text(digest, "array", f"{np.lib.format.dtype_to_descr(array.dtype)}{array.shape}")
    if array.nbytes == 0:
        return
    if array.flags.c_contiguous:
        digest.update(array.reshape(-1).view(np.uint8).data)
        return
    rows = max(1, _BLOCK // (array.nbytes // len(array)))
    for start in range(0, len(array), rows):
        digest.update(np.ascontiguousarray(array[start : start + rows]).reshape(-1).view(np.uint8).data)
