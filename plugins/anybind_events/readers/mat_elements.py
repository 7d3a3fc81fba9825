"""Variables of MATLAB 5 files: their names and shapes, and their arrays by SciPy, which trusts every stated length.

Source of the format: MathWorks, MAT-File Format, level 5. Lengths are checked against the file, and compressed
variables inflated to the stated length at most, before SciPy gets a variable.
"""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from anybind.plugin import BadInput

MAGIC = b"MATLAB 5.0 MAT-file"
HEADER_BYTES, TAG_BYTES = 128, 8
BYTE_ORDERS = {b"IM": "<", b"MI": ">"}
"""Byte orders by the last two bytes of the header."""
MATRIX, COMPRESSED = 14, 15
"""Types of the elements of a file."""
CELLS, STRUCTURE, OBJECT, TEXT = 1, 2, 3, 4
NUMBERS = range(6, 16)
"""Classes of arrays."""
MAX_COMPRESSION = 1040
"""Maximum compression ratio of zlib."""
SUMMARY_BYTES = 4096
"""Bytes at the beginning of a variable in which its name, its shape and its fields are expected."""
MAX_DEPTH, MAX_VARIABLES = 8, 10_000


class Variable(NamedTuple):
    """A variable of a file.

    Attributes:
        name: its name.
        kind: class of its array, such as `STRUCTURE`; one of `NUMBERS` for numbers.
        shape: lengths of its dimensions.
        fields: names of the fields of a structure.
        start, n_bytes: position of its data in the file, and their length.
        is_compressed: whether the data are compressed.
    """

    name: str
    kind: int
    shape: tuple[int, ...]
    fields: tuple[str, ...]
    start: int
    n_bytes: int
    is_compressed: bool


def parse_byte_order(header: bytes) -> str:
    """Return the byte order of a file, `<` or `>`; raise `BadInput` if it is not a MATLAB 5 file."""
    order = BYTE_ORDERS.get(header[HEADER_BYTES - 2 : HEADER_BYTES])
    if not header.startswith(MAGIC) or order is None:
        raise BadInput("not a MATLAB 5 file: its header is damaged")
    return order


def list_variables(file: IO[bytes]) -> list[Variable]:
    """List the variables of a file; only the beginning of each is read.

    Raises:
        BadInput: the file is truncated or damaged; the message names the byte.
    """
    n_file_bytes = file.seek(0, io.SEEK_END)
    file.seek(0)
    order, variables = parse_byte_order(file.read(HEADER_BYTES)), []
    while tag := file.read(TAG_BYTES):
        start = file.tell()
        kind, n_bytes = struct.unpack(f"{order}II", tag) if len(tag) == TAG_BYTES else (MATRIX, n_file_bytes)
        if start + n_bytes > n_file_bytes:
            raise BadInput(f"truncated: the variable at byte {start - len(tag)} is incomplete; copy the file again")
        if kind not in (MATRIX, COMPRESSED) or len(variables) == MAX_VARIABLES:
            raise BadInput(f"damaged at byte {start - len(tag)}: expected a variable")
        try:
            head = file.read(min(n_bytes, SUMMARY_BYTES))
            variables.append(parse_summary(head, order, kind, start, n_bytes))
        except (BadInput, zlib.error) as error:
            raise BadInput(f"damaged in the variable at byte {start - len(tag)}: {error}") from error
        file.seek(start + n_bytes)
    return variables


def parse_summary(head: bytes, order: str, kind: int, start: int, n_bytes: int) -> Variable:
    """Parse the beginning of a variable; raise `BadInput` or `zlib.error` if it is damaged."""
    if kind == COMPRESSED:
        head = zlib.decompressobj().decompress(head, SUMMARY_BYTES)[TAG_BYTES:]
    parts = _split_elements(memoryview(head), order)
    try:
        (_, flags), (_, lengths), (_, name) = next(parts), next(parts), next(parts)
        array_class = struct.unpack_from(f"{order}I", flags)[0] & 0xFF
        shape = tuple(np.frombuffer(lengths, f"{order}i4").tolist())
        fields: tuple[str, ...] = ()
        if array_class == STRUCTURE:
            (_, width), (_, names) = next(parts), next(parts)
            length = max(1, struct.unpack_from(f"{order}I", width)[0])
            texts = bytes(names)
            fields = tuple(_decode_name(texts[i : i + length]) for i in range(0, len(texts), length))
    except (StopIteration, struct.error, ValueError) as error:
        raise BadInput("its name or its shape is missing") from error
    if min(shape, default=0) < 0:
        raise BadInput(f"the shape {shape}")
    return Variable(_decode_name(bytes(name)), array_class, shape, fields, start, n_bytes, kind == COMPRESSED)


def _decode_name(text: bytes) -> str:
    return text.partition(b"\0")[0].decode(errors="replace")


def load_variable(path: Path, variable: Variable, max_bytes: int) -> np.ndarray:
    """Load the array of a variable.

    Raises:
        BadInput: it is damaged, contains objects or functions, or has more than `max_bytes` bytes.
    """
    from scipy.io import loadmat

    with path.open("rb") as file:
        header = file.read(HEADER_BYTES)
        file.seek(variable.start)
        order = parse_byte_order(header)
        content = _read_content(file, variable, order, max_bytes)
    where = f"variable {variable.name!r}"
    try:
        _check_array(memoryview(content), order, MAX_DEPTH)
        stream = io.BytesIO(b"".join((header, struct.pack(f"{order}II", MATRIX, len(content)), content)))
        del content
        return np.asarray(loadmat(stream, variable_names=[variable.name])[variable.name])
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from error
    except Exception as error:  # SciPy raises various types for damaged files
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadInput(f"{where}: damaged: {reason}") from error


def _read_content(file: IO[bytes], variable: Variable, order: str, max_bytes: int) -> bytes:
    """Read the data of a variable, inflated."""
    where = f"variable {variable.name!r}"
    data = file.read(variable.n_bytes)
    if not variable.is_compressed:
        if len(data) > max_bytes:
            raise BadInput(f"{where} has {len(data)} bytes, more than max_bytes={max_bytes}")
        return data
    decompressor = zlib.decompressobj()
    try:
        kind, n_bytes = struct.unpack(f"{order}II", decompressor.decompress(data, TAG_BYTES))
        if kind != MATRIX or n_bytes > MAX_COMPRESSION * len(data):
            raise BadInput(f"{where}: damaged: {n_bytes} bytes stated in {len(data)} compressed ones")
        if n_bytes > max_bytes:
            raise BadInput(f"{where} has {n_bytes} bytes, more than max_bytes={max_bytes}")
        content = decompressor.decompress(decompressor.unconsumed_tail, n_bytes) if n_bytes else b""
    except (zlib.error, struct.error) as error:
        raise BadInput(f"{where}: damaged: {error}") from error
    if len(content) != n_bytes:
        raise BadInput(f"{where}: damaged: {len(content)} of {n_bytes} bytes")
    return content


def _split_elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Yield the type and the data of the elements of a variable; raise `BadInput` for one that exceeds it."""
    position = 0
    while position < len(data):
        if position + TAG_BYTES > len(data):
            raise BadInput(f"an element at byte {position} is incomplete")
        kind, n_bytes = struct.unpack_from(f"{order}II", data, position)
        start, end = position + TAG_BYTES, position + TAG_BYTES + n_bytes + -n_bytes % TAG_BYTES
        if kind >> 16:  # up to four bytes, in the tag
            kind, n_bytes = kind & 0xFFFF, kind >> 16
            start, end = position + TAG_BYTES // 2, position + TAG_BYTES
        if n_bytes > min(end, len(data)) - start:
            raise BadInput(f"an element at byte {position} states {n_bytes} bytes")
        yield kind, data[start : start + n_bytes]
        position = end


def _check_array(data: memoryview, order: str, max_depth: int) -> None:
    """Raise `BadInput` for an array with other than numbers, text, cells and structures, or that states too much."""
    elements = list(_split_elements(data, order))
    summary = parse_summary(bytes(data), order, MATRIX, 0, len(data))
    count, rest = math.prod(summary.shape), elements[3:]
    if summary.kind in (CELLS, STRUCTURE):
        rest = rest[2:] if summary.kind == STRUCTURE else rest
        expected = count * (len(summary.fields) if summary.kind == STRUCTURE else 1)
        if expected != len(rest) or any(kind != MATRIX for kind, _ in rest) or not max_depth:
            raise BadInput(f"damaged: {len(rest)} of {expected} arrays in it")
        for _, content in rest:
            if len(content):
                _check_array(content, order, max_depth - 1)
    elif summary.kind != TEXT and summary.kind not in NUMBERS:
        raise BadInput("expected numbers, got objects, functions or a sparse matrix")
    elif not rest or count > len(rest[0][1]):
        raise BadInput(f"damaged: {count} numbers stated in {len(rest[0][1]) if rest else 0} bytes")
