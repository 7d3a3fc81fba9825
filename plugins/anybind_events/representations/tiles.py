"""Partition of events by tiles of pixels, for voxel grids that are much larger than the second-level cache.

Events at random pixels miss that cache at each event. The kernel therefore collects events by tile, a range of
consecutive pixels, and adds those of a tile together: its voxels then stay in the cache. The partition is stable: each
voxel gets its events in their order, so sums are equal to those without tiles, bit for bit.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from anybind.plugin import kernel
from anybind_events.prefetching import prefetch_element
from anybind_events.representations.voxel_kernels import find_first_event, split_sign

BLOCK = 4096
"""Events whose records are computed at once: 32 KiB."""
TILE_BITS = 13
TILE_PIXELS = 1 << TILE_BITS
"""Pixels of a tile: with 8 bytes each, 64 KiB, which fit every second-level cache beside the tile's records."""
TILE_RECORDS = 4 * TILE_PIXELS
"""Records of a tile that are collected: several for each pixel, so that loading the voxels of a tile costs little."""
RECORD_STRIDE = TILE_RECORDS + 40
"""Distance between two tiles' records: no power of 2, whose lines would compete for the same places in the cache."""
LINE_RECORDS = np.uint64(8)
"""Records of a cache line of 64 bytes."""
MIN_CACHE_SIZES = 12
"""Size of the smallest array that is filled by tiles, in second-level caches: from there on it was faster."""
LOW_BITS = np.uint64((1 << 32) - 1)
"""Mask of a record's value."""
DEFAULT_CACHE_BYTES = 1 << 20
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


@cache
def get_cache_bytes(level: int = 2) -> int | None:
    """Return the size of the first processor's unified or data cache of a level; None where Linux does not state it."""
    try:
        for folder in sorted(CACHES.glob("index*")):
            kind = (folder / "type").read_text().strip()
            if kind != "Instruction" and int((folder / "level").read_text()) == level:
                return int((folder / "size").read_text().strip().removesuffix("K")) << 10
    except (OSError, ValueError):
        pass
    return None


def needs_tiles(n_pixels: int) -> bool:
    """Return whether tiles are faster, for 8 bytes a pixel."""
    return n_pixels * 8 >= MIN_CACHE_SIZES * (get_cache_bytes() or DEFAULT_CACHE_BYTES)


@kernel
def add_voxels_by_tiles(
    x: np.ndarray, y: np.ndarray, t: np.ndarray, p: np.ndarray, width: int, scale: float, voxels: np.ndarray
) -> None:
    """As `voxel_kernels.add_voxels`, by tiles."""
    n_tiles = (voxels.shape[1] + TILE_PIXELS - 1) // TILE_PIXELS
    ends = np.arange(n_tiles).astype(np.uint64) * np.uint64(RECORD_STRIDE)
    records = np.empty(n_tiles * RECORD_STRIDE, np.uint64)
    computed, pairs = np.empty(BLOCK, np.uint64), np.empty(TILE_PIXELS, np.complex64)
    first = 0
    for plane in range(len(voxels) - 1):
        end = len(t) if plane == len(voxels) - 2 else find_first_event(t, scale, plane + 1, first)
        while first < end:
            block = slice(first, min(first + BLOCK, end))
            compute_records(x[block], y[block], t[block], p[block], width, t[0], scale, plane, computed)
            add_to_tiles(computed[: block.stop - first], ends, records)
            for tile in range(n_tiles):
                start, stop = tile * RECORD_STRIDE, np.int64(ends[tile])
                # The next block may not fit. Tiles without events need not be loaded.
                if stop - start > TILE_RECORDS - BLOCK or (block.stop == end and stop > start):
                    ends[tile] = start
                    pixels = slice(tile * TILE_PIXELS, (tile + 1) * TILE_PIXELS)
                    add_records(records[start:stop], voxels[plane, pixels], voxels[plane + 1, pixels], pairs)
            first = block.stop


@kernel
def compute_records(
    x: np.ndarray,
    y: np.ndarray,
    t: np.ndarray,
    p: np.ndarray,
    width: int,
    start: int,
    scale: float,
    plane: int,
    records: np.ndarray,
) -> None:
    """Compute the record of each event: pixel in the upper 32 bits, then the bits of `compute_upper_shares`."""
    for i in range(len(x)):
        sign = np.float32(2) * np.float32(p[i]) - np.float32(1)
        upper = np.float32(sign * np.float32(np.float64(np.uint64(t[i] - start)) * scale - plane))
        pixel = np.uint32(y[i]) * np.uint32(width) + np.uint32(x[i])
        records[i] = np.uint64(pixel) << np.uint64(32) | np.uint64(upper.view(np.uint32))


@kernel
def add_to_tiles(computed: np.ndarray, ends: np.ndarray, records: np.ndarray) -> None:
    """Append computed records to those of their tiles."""
    for record in computed:
        tile = record >> np.uint64(32 + TILE_BITS)
        end = ends[tile]
        records[end] = record
        ends[tile] = end + np.uint64(1)
        prefetch_element(records, np.uint64(end + np.uint64(2) * LINE_RECORDS))


@kernel
def add_records(records: np.ndarray, near: np.ndarray, far: np.ndarray, pairs: np.ndarray) -> None:
    """Add the records of a tile to its lower and its upper plane, which are interleaved in `pairs` meanwhile."""
    for i in range(len(near)):
        pairs[i] = complex(near[i], far[i])
    for record in records:
        pixel = record >> np.uint64(32) & np.uint64(TILE_PIXELS - 1)
        pairs[pixel] += split_sign(np.uint32(record & LOW_BITS).view(np.float32))
    for i in range(len(near)):
        near[i] = pairs[i].real
    for i in range(len(far)):
        far[i] = pairs[i].imag
