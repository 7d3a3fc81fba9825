"""ONNX files, read without a runtime: where the external data of their tensors is."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from pathlib import Path

from anybind.errors import BadInput

MODEL, GRAPH, NODE, ATTRIBUTE, FUNCTION, TENSOR, SPARSE, ENTRY = (
    "model", "graph", "node", "attribute", "function", "tensor", "sparse tensor", "entry",
)  # fmt: skip
FIELDS = {
    MODEL: {7: GRAPH, 25: FUNCTION},
    GRAPH: {1: NODE, 5: TENSOR, 15: SPARSE},
    FUNCTION: {7: NODE, 11: ATTRIBUTE},
    NODE: {5: ATTRIBUTE},
    ATTRIBUTE: {5: TENSOR, 6: GRAPH, 10: TENSOR, 11: GRAPH, 22: SPARSE, 23: SPARSE},
    SPARSE: {1: TENSOR, 2: TENSOR},
    TENSOR: {13: ENTRY},
}
"""Messages inside messages, by field number; source: `onnx.proto` of ONNX 1.19."""
MAX_DEPTH = 64


def check_external_data(path: str | os.PathLike[str]) -> None:
    """Check that the external data of an ONNX file is in the file's folder, or in one below it; no weights are read.

    Raises:
        BadInput: it is elsewhere, or the file is damaged.
    """
    path = Path(path)
    try:
        if path.stat().st_size == 0:
            raise BadInput(f"{path}: not a valid ONNX file: it is empty")
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            locations = set(_list_locations(content, 0, len(content), MODEL, 0))
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror or error}") from error
    except (IndexError, ValueError) as error:
        raise BadInput(f"{path}: not a valid ONNX file: {error}") from error
    folder = path.parent.resolve()
    for location in sorted(locations):
        target = (path.parent / location).resolve()
        if not target.is_relative_to(folder) or ".." in Path(location).parts:
            raise BadInput(
                f"{path}: expected external data in the folder of the file, got {location!r}; the file was not loaded"
            )


def _list_locations(content: mmap.mmap, start: int, end: int, message: str, depth: int) -> Iterator[str]:
    """Yield the values of `location` of all tensors of a message between two offsets."""
    if depth > MAX_DEPTH:
        raise ValueError(f"more than {MAX_DEPTH} nested messages")
    nested = FIELDS[message]
    while start < end:
        tag, start = _read_number(content, start)
        field, wire = tag >> 3, tag & 7
        if wire == 2:
            length, start = _read_number(content, start)
            if start + length > end:
                raise ValueError("it is truncated")
            inner = nested.get(field)
            if inner == ENTRY:
                key, value = _read_entry(content[start : start + length])
                if key == "location":
                    yield value
            elif inner is not None:
                yield from _list_locations(content, start, start + length, inner, depth + 1)
            start += length
        elif wire == 0:
            _, start = _read_number(content, start)
        elif wire in (1, 5):
            start += 8 if wire == 1 else 4
        else:
            raise ValueError("it is not a protobuf message")
    if start != end:
        raise ValueError("it is truncated")


def _read_entry(entry: bytes) -> tuple[str, str]:
    """Read a key and its value."""
    texts, start = {1: "", 2: ""}, 0
    while start < len(entry):
        tag, start = _read_number(entry, start)
        length, start = _read_number(entry, start)
        if tag & 7 != 2 or start + length > len(entry):
            raise ValueError("an entry of external data is damaged")
        texts[tag >> 3] = entry[start : start + length].decode()
        start += length
    return texts[1], texts[2]


def _read_number(content: mmap.mmap | bytes, start: int) -> tuple[int, int]:
    """Read a variable-length integer; return it and the offset after it."""
    number = shift = 0
    while True:
        byte = content[start]
        start += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, start
        shift += 7
        if shift > 63:
            raise ValueError("it is not a protobuf message")
