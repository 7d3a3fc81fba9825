"""Arrays filled by tiles equal those filled without, bit for bit."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings

from anybind_events.representations import tiles
from anybind_events.representations.frames import EventFrames
from anybind_events.representations.kernels import BLOCK
from anybind_events.representations.tiles import RECORD_STRIDE, TILE_CELLS, TILE_RECORDS
from anybind_events.representations.time_surface import TimeSurface
from anybind_events.representations.voxel_grid import VoxelGrid
from anybind_events.stream import EventStream

TILED = (VoxelGrid(5), VoxelGrid(2), TimeSurface())


def draw_stream(events: int, width: int, height: int) -> EventStream:
    random = np.random.default_rng(events)
    x, y = random.integers(0, width, events), random.integers(0, height, events)
    return EventStream(x, y, np.sort(random.integers(0, 10**6, events)), random.random(events) < 0.5, width, height)


def require_equal_with_tiles(representation: EventFrames, stream: EventStream) -> None:
    with patch.object(tiles, "MIN_CACHE_SIZES", 1 << 40):
        direct = representation(stream)
    with patch.object(tiles, "MIN_CACHE_SIZES", 0), patch.object(tiles, "MAX_UNEVENNESS", np.inf):
        assert len(tiles.allocate_tiles(stream, stream.width * stream.height, 8)[0])
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
        (200_000, TILE_CELLS // 64, 64),  # one tile, exactly
        (200_000, 173, 211),  # the last tile is smaller
    ],
)
def test_several_blocks_and_tiles_give_the_same_bits(
    representation: EventFrames, events: int, width: int, height: int
) -> None:
    require_equal_with_tiles(representation, draw_stream(events, width, height))


def test_a_tile_never_gets_more_records_than_it_has_room_for() -> None:
    assert BLOCK <= TILE_RECORDS - TILE_CELLS < TILE_RECORDS <= RECORD_STRIDE


def test_only_large_arrays_of_evenly_spread_events_use_tiles() -> None:
    even = draw_stream(100_000, 300, 200)
    corner = EventStream(even.x // 8, even.y // 8, even.t, even.p, even.width, even.height)
    large = tiles.MIN_CACHE_SIZES * (tiles.get_cache_bytes() or tiles.DEFAULT_CACHE_BYTES) // 8 + 1
    assert tiles.compute_unevenness(even) < tiles.MAX_UNEVENNESS < tiles.compute_unevenness(corner)
    assert len(tiles.allocate_tiles(even, large, 8)[0]) == -(-large // TILE_CELLS)
    assert not len(tiles.allocate_tiles(even, large // 2, 8)[0])
    assert not len(tiles.allocate_tiles(corner, large, 8)[0])


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
