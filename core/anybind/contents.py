"""Cache keys of values in memory: equal for equal content."""

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
    """Raised for a value that has no key."""


def content_key(*values: object) -> bytes | None:
    """Hash the content of values in memory, 16 bytes.

    Args:
        values: None, numbers, strings, bytes, NumPy arrays and, of these, lists, tuples, mappings with string keys,
            and frozen dataclasses. Arrays are hashed by dtype, shape and values, whatever their memory layout.

    Returns:
        None if one of the values is of another type, such as an open file or a mutable object.
    """
    digest = hashlib.blake2b(digest_size=KEY_BYTES)
    try:
        for value in values:
            _update(digest, value)
    except _NoKey:
        return None
    return digest.digest()


def _update(digest: hashlib.blake2b, value: object) -> None:
    """Add a value to a digest: its type and length first, so that different lists of values never collide."""
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
    params = type(value).__dict__.get(
        "__dataclass_params__"
    )  # its own: a plain subclass of a dataclass may have more attributes
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
        raise _NoKey  # subclasses may have more state, such as the mask of a masked array
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
