"""PNG images in bands of rows, in bounded memory (PNG specification, third edition, sections 7 to 10)."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import PIL.Image

from anybind.plugin import BadInput, kernel

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Number of channels by colour type."""


def decode_bands(path: Path, image: PIL.Image.Image, rows: int) -> Iterator[PIL.Image.Image]:
    """Decode a PNG file without interlacing in bands of `rows` rows; the last band may have fewer.

    Args:
        path: the file.
        image: the image as Pillow opened it, not yet decoded.
        rows: number of rows of a band.

    Raises:
        BadInput: the file is truncated or corrupt.
    """
    width, height = image.size
    raw_mode = image.tile[0][3]  # pyright: ignore[reportAttributeAccessIssue]
    with path.open("rb") as file:
        header = file.read(26)
        bits = CHANNELS[header[25]] * header[24]
        stride, step = -(-width * bits // 8), max(1, bits // 8)
        above = np.zeros(stride, np.uint8)
        pieces = _inflate(path, file, [(stride + 1) * min(rows, height - top) for top in range(0, height, rows)])
        for piece in pieces:
            filtered = np.frombuffer(piece, np.uint8).reshape(-1, stride + 1)
            if filtered[:, 0].max() > 4:
                raise BadInput(f"{path}: incomplete image: invalid PNG filter; save it again")
            lines = np.empty((len(filtered), stride), np.uint8)
            _reverse_filters(filtered, above, step, lines)
            above = lines[-1]
            band = PIL.Image.frombytes(image.mode, (width, len(lines)), lines.tobytes(), "raw", raw_mode)
            band.info = dict(image.info)
            if image.mode == "P" and image.palette is not None:
                band.putpalette(bytes(image.palette.palette), image.palette.rawmode or image.palette.mode)
            yield band


def _inflate(path: Path, file: BinaryIO, sizes: list[int]) -> Iterator[bytes]:
    """Yield the inflated image data of a PNG file in pieces of these sizes, in bounded memory."""
    inflater, blocks = zlib.decompressobj(), _read_image_data(file)
    for size in sizes:
        piece = bytearray()
        while len(piece) < size:
            compressed = inflater.unconsumed_tail or next(blocks, b"")
            if not compressed:
                raise BadInput(f"{path}: incomplete image: truncated image data; save it again")
            piece += inflater.decompress(compressed, size - len(piece))
        yield bytes(piece)


def _read_image_data(file: BinaryIO) -> Iterator[bytes]:
    """Yield the contents of the IDAT chunks of a PNG file in blocks."""
    file.seek(8)
    while len(header := file.read(8)) == 8:
        length = int.from_bytes(header[:4], "big")
        if header[4:] != b"IDAT":
            file.seek(length + 4, io.SEEK_CUR)
            continue
        while length and (block := file.read(min(length, 1 << 16))):
            length -= len(block)
            yield block
        file.seek(4, io.SEEK_CUR)


@kernel
def _reverse_filters(filtered: np.ndarray, above: np.ndarray, step: int, lines: np.ndarray) -> None:
    """Reverse the filters of PNG rows: none, left, up, average and Paeth, by the first byte of each row."""
    for row in range(filtered.shape[0]):
        kind = filtered[row, 0]
        for column in range(lines.shape[1]):
            left = np.int32(lines[row, column - step]) if column >= step else np.int32(0)
            up = np.int32(lines[row - 1, column]) if row else np.int32(above[column])
            predicted = np.int32(0)
            if kind == 1:
                predicted = left
            elif kind == 2:
                predicted = up
            elif kind == 3:
                predicted = (left + up) // np.int32(2)
            elif kind == 4:
                corner = np.int32(0)
                if column >= step:
                    corner = np.int32(lines[row - 1, column - step]) if row else np.int32(above[column - step])
                by_left, by_up = abs(up - corner), abs(left - corner)
                by_corner = abs(left + up - corner - corner)
                predicted = corner
                if by_left <= by_up and by_left <= by_corner:
                    predicted = left
                elif by_up <= by_corner:
                    predicted = up
            lines[row, column] = np.uint8((np.int32(filtered[row, column + 1]) + predicted) & np.int32(255))
