"""Variables of MATLAB 5 files: their names, shapes and arrays of numbers.

Source of the format: MathWorks, MAT-File Format, level 5. Lengths are checked against the file, and compressed
variables inflated to the stated length at most. `scipy.io.loadmat` trusts stated lengths, and crashes on some.
"""

from __future__ import annotations

import io
import itertools
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
STRUCTURE = 2
NUMBERS = range(6, 16)
"""Classes of arrays."""
COMPLEX = 0x800
"""Flag of an array with an imaginary part."""
STORED_TYPES = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
}  # fmt: skip
"""Types of the numbers of an array, which may be smaller than its class."""
MAX_COMPRESSION = 1040
"""Maximum compression ratio of zlib."""
SUMMARY_BYTES = 4096
"""Bytes at the beginning of a variable in which its name, its shape and its fields are expected."""
MAX_VARIABLES = 10_000


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


def load_arrays(path: Path, variable: Variable, max_bytes: int) -> dict[str, np.ndarray]:
    """Load the array of numbers of a variable, by its name, or those in a structure of one row, by their fields.

    Returns:
        the arrays in the type they are stored in; fields that hold something else are left out.

    Raises:
        BadInput: the variable is damaged or complex, or has more than `max_bytes` bytes.
    """
    with path.open("rb") as file:
        order = parse_byte_order(file.read(HEADER_BYTES))
        file.seek(variable.start)
        content = memoryview(_read_content(file, variable, order, max_bytes))
    try:
        if variable.kind != STRUCTURE:
            return {variable.name: _parse_numbers(content, order)}
        elements = list(_split_elements(content, order))[5:]
        if len(elements) != len(variable.fields) or any(kind != MATRIX for kind, _ in elements):
            raise BadInput(f"damaged: {len(elements)} of {len(variable.fields)} arrays in it")
        return {
            name: _parse_numbers(data, order)
            for name, (_, data) in zip(variable.fields, elements, strict=True)
            if len(data) and _parse_flags(data, order) & 0xFF in NUMBERS
        }
    except BadInput as error:
        raise BadInput(f"variable {variable.name!r}: {error}") from error


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


def _parse_flags(data: memoryview, order: str) -> int:
    """Return the class of an array, in the lowest byte, and its flags."""
    for _, flags in _split_elements(data, order):
        if len(flags) >= 4:
            return int(struct.unpack_from(f"{order}I", flags)[0])
        break
    raise BadInput("damaged: an array without its class")


def _parse_numbers(data: memoryview, order: str) -> np.ndarray:
    """Return an array of numbers, as a view of its data."""
    flags, summary = _parse_flags(data, order), parse_summary(bytes(data[:SUMMARY_BYTES]), order, MATRIX, 0, len(data))
    if summary.kind not in NUMBERS or flags & COMPLEX:
        raise BadInput("expected real numbers, got complex ones, text, objects, functions or a sparse matrix")
    kind, stored = next(itertools.islice(_split_elements(data, order), 3, None), (0, memoryview(b"")))
    if kind not in STORED_TYPES:
        raise BadInput("damaged: no numbers in it")
    dtype = np.dtype(order + STORED_TYPES[kind])
    count = math.prod(summary.shape)
    if count * dtype.itemsize != len(stored):
        raise BadInput(f"damaged: {count} numbers stated in {len(stored)} bytes")
    return np.frombuffer(stored, dtype).reshape(summary.shape, order="F")
