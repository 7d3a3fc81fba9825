"""Partition of events by tiles of pixels, for arrays that are much larger than the second-level cache.

Events at random pixels miss that cache at each event. Kernels therefore collect events by tile, a range of consecutive
cells, and apply those of a tile together: the tile then stays in the cache. The partition is stable: each cell gets its
events in their order, so sums are equal to those without tiles, bit for bit.

A partition costs about as much as an access to the third-level cache, and more than the accesses of moving edges, whose
events are near each other. It pays off for large arrays, and for events that are spread evenly.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from anybind.plugin import kernel
from anybind_events.stream import EventStream

TILE_BITS = 13
TILE_CELLS = 1 << TILE_BITS
"""Cells of a tile: with 8 bytes each, 64 KiB, which fit every second-level cache beside the tile's records."""
TILE_RECORDS = 2 * TILE_CELLS
"""Records of a tile that are collected: enough to use each of its cache lines several times."""
RECORD_STRIDE = TILE_RECORDS + 40
"""Distance between two tiles' records: no power of 2, whose lines would compete for the same places in the cache."""
MIN_CACHE_SIZES = 12
"""Size of the smallest array that is filled by tiles, in second-level caches: from there on it was faster."""
SAMPLE_EVENTS = 1 << 15
"""Events in the middle of a recording that show how evenly it fills the tiles."""
MAX_UNEVENNESS = 1.1
"""Largest mean square of a tile's share of events over the squared mean: 1.01 for uniform pixels, 1.24 or more for
moving edges, 5 or more for recordings of cameras."""
LOW_BITS = np.uint64((1 << 32) - 1)
"""Mask of a record's value."""
DEFAULT_CACHE_BYTES = 1 << 20
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


@cache
def get_cache_bytes(level: int = 2) -> int | None:
    """Return the size of the first processor's unified or data cache of a level; None where Linux does not state it."""
    try:
        for folder in sorted(CACHES.glob("index*")):
            size = (folder / "size").read_text().strip()
            if int((folder / "level").read_text()) == level and (folder / "type").read_text().strip() != "Instruction":
                return int(size.rstrip("K")) << 10
    except (OSError, ValueError):
        pass
    return None


def allocate_tiles(stream: EventStream, n_cells: int, cell_bytes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return empty tiles for an array: the end of each tile's records, and the records, both uint64.

    Both have no elements if filling the array without tiles is faster.
    """
    is_small = n_cells * cell_bytes < MIN_CACHE_SIZES * (get_cache_bytes() or DEFAULT_CACHE_BYTES)
    if is_small or compute_unevenness(stream) > MAX_UNEVENNESS:
        return np.empty(0, np.uint64), np.empty(0, np.uint64)
    n_tiles = -(-n_cells // TILE_CELLS)
    return np.arange(n_tiles, dtype=np.uint64) * np.uint64(RECORD_STRIDE), np.empty(n_tiles * RECORD_STRIDE, np.uint64)


def compute_unevenness(stream: EventStream) -> float:
    """Return the mean square of the tiles' events over the square of their mean, in a sample: 1 if all are equal."""
    middle = max(len(stream) - SAMPLE_EVENTS, 0) // 2
    sample = slice(middle, middle + SAMPLE_EVENTS)
    pixels = stream.y[sample].astype(np.int64) * stream.width + stream.x[sample]
    n_tiles = -(-stream.width * stream.height // TILE_CELLS)
    counts = np.bincount(pixels >> TILE_BITS, minlength=n_tiles)
    return float(np.mean(np.square(counts)) / max(np.mean(counts) ** 2, 1e-9))


@kernel
def add_to_tiles(cells: np.ndarray, values: np.ndarray, ends: np.ndarray, records: np.ndarray) -> None:
    """Append events, at most `TILE_RECORDS - TILE_CELLS`, to their tiles: cell in the upper 32 bits, value below."""
    for i in range(len(cells)):
        tile = cells[i] >> np.uint32(TILE_BITS)
        end = ends[tile]
        records[end] = np.uint64(cells[i]) << np.uint64(32) | np.uint64(values[i])
        ends[tile] = end + np.uint64(1)


@kernel
def take_from_tile(tile: int, ends: np.ndarray, records: np.ndarray, last: bool) -> np.ndarray:
    """Return the records of a tile that is full, or of any tile if `last`, and empty it; else none."""
    start, end = tile * RECORD_STRIDE, np.int64(ends[tile])
    if not last and end - start <= TILE_RECORDS - TILE_CELLS:
        return records[:0]
    ends[tile] = start
    return records[start:end]
