"""Decoding of bytes as they arrive: Prophesee's raw formats, and text."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from anybind.plugin import BadInput
from anybind_events.readers.blocks import BLOCK_BYTES, DecodingPass, EventColumns
from anybind_events.readers.columns import build_streams, name_file_in_errors
from anybind_events.readers.evt2 import Evt2Reader, RawReader
from anybind_events.readers.evt3 import Evt3Reader
from anybind_events.readers.evt21 import Evt21Reader
from anybind_events.readers.text import find_layout
from anybind_events.readers.text_lines import COMMENTS, TextLayout, is_event, parse_lines, split_fields
from anybind_events.stream import EventStream

READ_BYTES = 1 << 16
"""Bytes that are read at most at once."""
MAX_HEADER_BYTES = 1 << 16
RAW_READERS: tuple[type[RawReader], ...] = (Evt2Reader, Evt21Reader, Evt3Reader)
HEADER_PREFIX = b"%"
SAMPLES = (
    *(b"%% evt %b\n%% end\n" % version + bytes(64) for version in (b"2.0", b"2.1", b"3.0")),
    b"x,y,t,p\n" + b"1,1,1,1\n" * 4,
)
"""Input of each format: words without events, and lines of text."""

ReadBytes = Callable[[int], bytes]
"""Waits for bytes, and returns up to so many; none at the end."""


class _ByteFile:
    """Bytes as they arrive, as the file of a `DecodingPass`, which reads it from its beginning to its end."""

    def __init__(self, read: ReadBytes, head: bytes) -> None:
        self._read, self._head = read, head

    def readinto(self, buffer: memoryview) -> int:
        data = self._head[: len(buffer)] or self._read(min(len(buffer), READ_BYTES))
        self._head = self._head[len(data) :]
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Return the size of a block as that of the file, which decides the size of buffers; seek nothing."""
        return offset + BLOCK_BYTES if whence == io.SEEK_END else offset


def decode_bytes(
    read: ReadBytes, name: str, *, size: tuple[int, int] | None, columns: str | None, time_unit: str | None
) -> Iterator[EventStream]:
    """Decode bytes of EVT2, EVT2.1 or EVT3 with their header, or lines of text, as they arrive.

    Args:
        read: waits for bytes.
        name: what to call the source in errors.
        size: (width, height) of the sensor in pixels. [default: the one in the header]
        columns: order of the columns of a text, such as `txyp`. [default: that of its header]
        time_unit: unit of the times of a text without one: s, ms, us or ns. [default: us for whole numbers]

    Raises:
        BadInput: another format, an invalid line, times with fractions of an unknown unit, or an unknown size of the
            sensor.
    """
    head = read(READ_BYTES)
    while head.startswith(HEADER_PREFIX) and _has_open_header(head) and (more := read(READ_BYTES)):
        head += more
    if not head:
        raise BadInput(f"{name}: no data: expected EVT2, EVT2.1, EVT3 or CSV")
    for reader in RAW_READERS:
        if reader().sniff(head):
            return _decode_words(reader(), read, head, Path(name), size)
    return _decode_text(read, head, Path(name), size, columns, time_unit)


def prepare_decoding() -> None:
    """Decode a few bytes of each format: what runs for the first time takes longer."""
    for sample in SAMPLES:
        for _ in decode_bytes(io.BytesIO(sample).read, "sample", size=(8, 8), columns=None, time_unit=None):
            pass


def _has_open_header(head: bytes) -> bool:
    """Return whether only header lines have arrived so far."""
    lines = head.splitlines(keepends=True)
    is_open = all(line.startswith(HEADER_PREFIX) for line in lines) and b"% end\n" not in lines
    return is_open and len(head) < MAX_HEADER_BYTES


def _decode_words(
    reader: RawReader, read: ReadBytes, head: bytes, path: Path, size: tuple[int, int] | None
) -> Iterator[EventStream]:
    header = reader.parse_header(io.BytesIO(head), path)
    if (size := size or header.size) is None:
        raise BadInput(f"{path}: the header has no sensor size; give size=, such as 1280x720")
    file = _ByteFile(read, head[header.start :])
    decoding = DecodingPass(file, path, header, size)  # pyright: ignore[reportArgumentType]
    notes: dict[str, int] = {}
    while decoding.decode_block(block := EventColumns(decoding, 0)):
        before, notes = notes, decoding.collect_notes()
        yield block.build_stream(size, dict(Counter(notes) - Counter(before)))
    if decoding.truncated_bytes:
        yield _create_empty(size, decoding.truncated_bytes)


def _create_empty(size: tuple[int, int], truncated_bytes: int) -> EventStream:
    """Create a stream without events that notes incomplete data at the end."""
    x = np.empty(0, np.uint16)
    return EventStream(x, x, x.astype(np.int64), x.astype(bool), *size, {"truncated_bytes": truncated_bytes})


def _decode_text(
    read: ReadBytes, head: bytes, path: Path, size: tuple[int, int] | None, columns: str | None, time_unit: str | None
) -> Iterator[EventStream]:
    while _count_data_lines(head) < 3 and len(head) < MAX_HEADER_BYTES and (more := read(READ_BYTES)):
        head += more
    try:
        layout = find_layout(io.BytesIO(head), columns)
    except BadInput as error:
        raise BadInput(f"{path}: neither EVT2, EVT2.1 or EVT3 with its header, nor text: {error}") from error
    if (order := layout.order or columns) is None:
        raise BadInput(f"{path}: the columns have no names; give columns=, such as xytp")
    if (size := size or layout.size) is None:
        raise BadInput(f"{path}: the size of the sensor is unknown; give size=, such as 640x480")
    started, rest = False, bytearray()
    unit = layout.unit.name if layout.unit else time_unit

    def iterate_batches(_: int) -> Iterator[list[np.ndarray]]:
        nonlocal started
        if started:  # to infer what is uncertain, the data would be needed from the beginning
            raise BadInput(f"{path}: polarities of uncertain meaning: expected 0 and 1, or -1 and 1")
        started = True
        batches = _iterate_lines(read, head[layout.start :], layout, rest)
        return batches if unit else map(require_whole_times, batches)

    def require_whole_times(batch: list[np.ndarray]) -> list[np.ndarray]:
        times = batch[order.index("t")]
        if times.dtype.kind == "f" and (np.rint(times) != times).any():
            raise BadInput("times with fractions of an unknown unit; give time_unit=, such as s")
        return batch

    with name_file_in_errors(path):
        yield from build_streams(iterate_batches, 1, order=order, size=size, time_unit=unit or "us", path=path)
    if rest:
        yield _create_empty(size, len(rest))


def _count_data_lines(head: bytes) -> int:
    complete = head[: head.rfind(b"\n") + 1].splitlines()
    return sum(bool(line.strip()) and not line.startswith(COMMENTS) for line in complete)


def _iterate_lines(read: ReadBytes, data: bytes, layout: TextLayout, rest: bytearray) -> Iterator[list[np.ndarray]]:
    """Yield the columns of complete lines as they arrive; `rest` gets an incomplete last one."""
    line, more = layout.line, data
    while more:
        cut = data.rfind(b"\n") + 1
        if cut:
            yield list(parse_lines(data[:cut], line, layout))[:4]
            line += data.count(b"\n")
            data = data[cut:]
        if len(data) > MAX_HEADER_BYTES:
            raise BadInput(f"line {line}: longer than {MAX_HEADER_BYTES} bytes")
        more = read(READ_BYTES)
        data += more
    if is_event(split_fields(data, layout.delimiter), layout):
        yield list(parse_lines(data, line, layout))[:4]
    elif data.strip() and not data.lstrip().startswith(COMMENTS):
        rest += data
