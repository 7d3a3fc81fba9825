"""Voxel grids filled by tiles equal those filled without, bit for bit."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings

from anybind_events.representations import tiles
from anybind_events.representations.tiles import BLOCK, RECORD_STRIDE, TILE_PIXELS, TILE_RECORDS
from anybind_events.representations.voxel_grid import VoxelGrid
from anybind_events.stream import EventStream

TILED = (VoxelGrid(5), VoxelGrid(2))


def draw_stream(events: int, width: int, height: int) -> EventStream:
    random = np.random.default_rng(events)
    x, y = random.integers(0, width, events), random.integers(0, height, events)
    return EventStream(x, y, np.sort(random.integers(0, 10**6, events)), random.random(events) < 0.5, width, height)


def require_equal_with_tiles(representation: VoxelGrid, stream: EventStream) -> None:
    with patch.object(tiles, "MIN_CACHE_SIZES", 1 << 40):
        direct = representation(stream)
    with patch.object(tiles, "MIN_CACHE_SIZES", 0):
        assert representation(stream).tobytes() == direct.tobytes()


@settings(deadline=None)
@given(stream=...)
def test_any_stream_gives_the_same_bits(stream: EventStream) -> None:
    for representation in TILED:
        require_equal_with_tiles(representation, stream)


@pytest.mark.parametrize("representation", TILED)
@pytest.mark.parametrize(
    ("events", "width", "height"),
    [
        (0, 4, 3),
        (1, 1, 1),
        (5 * BLOCK, 1, 1),  # all events in one pixel
        (TILE_RECORDS + 1, 3, 1),
        (200_000, TILE_PIXELS // 64, 64),  # one tile, exactly
        (200_000, 173, 211),  # the last tile is smaller
    ],
)
def test_several_blocks_and_tiles_give_the_same_bits(
    representation: VoxelGrid, events: int, width: int, height: int
) -> None:
    require_equal_with_tiles(representation, draw_stream(events, width, height))


def test_a_tile_that_is_added_before_the_next_block_always_has_room_for_it() -> None:
    assert BLOCK < TILE_RECORDS <= RECORD_STRIDE


def test_only_voxels_that_do_not_fit_the_cache_use_tiles() -> None:
    smallest = tiles.MIN_CACHE_SIZES * (tiles.get_cache_bytes() or tiles.DEFAULT_CACHE_BYTES) // 8
    assert tiles.needs_tiles(smallest)
    assert not tiles.needs_tiles(smallest - 1)


def test_cache_sizes_are_read_by_level(tmp_path: Path) -> None:
    caches = (("1", "Data", "32K"), ("1", "Instruction", "64K"), ("2", "Unified", "512K"))
    for number, values in enumerate(caches):
        folder = tmp_path / f"index{number}"
        folder.mkdir()
        for name, value in zip(("level", "type", "size"), values, strict=True):
            (folder / name).write_text(f"{value}\n")
    with patch.object(tiles, "CACHES", tmp_path):
        sizes = [tiles.get_cache_bytes.__wrapped__(level) for level in (1, 2, 3)]
    assert sizes == [32 << 10, 512 << 10, None]
