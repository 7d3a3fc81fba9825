"""DENSE by local folder: frames of simulated drives, each with events, depth map and image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import anybind
from anybind import BadInput
from anybind.dataset import Dataset
from anybind.errors import BadOption
from anybind.registry import create_part

HOME = "test/test_sequence_00_town10"
FILES = [
    *(f"{HOME}/events/data/events_{number:010d}.npy" for number in range(1, 6)),  # nothing has happened before frame 0
    *(f"{HOME}/depth/data/depth_{number:010d}.npy" for number in range(6)),
    *(f"{HOME}/rgb/frames/frame_{number:010d}.png" for number in range(6)),
    *(
        f"{part}/{part}_sequence_00_town01/{name}_0000000000.{suffix}"
        for part in ("train", "valid")
        for name, suffix in (("depth/data/depth", "npy"), ("events/data/events", "npy"), ("rgb/frames/frame", "png"))
    ),
]


@pytest.fixture
def folder(touch: Callable[..., Path]) -> Path:
    return touch(*FILES)


def dataset(folder: Path, **options: object) -> Dataset:
    return create_part("dataset", "dense", folder, **options)


def test_item_has_events_with_depth_map_and_image_as_partners(folder):
    data = dataset(folder)
    assert [item.id for item in data.items] == [f"test_sequence_00_town10:{number}" for number in range(1, 6)]
    item = data.items[0]
    assert item.source == folder / HOME / "events/data/events_0000000001.npy"
    assert dict(item.options) == {"size": (346, 260), "columns": "txyp", "time_unit": "ns"}
    depth, image = item.partner("depth"), item.partner("image")
    assert depth.source == folder / HOME / "depth/data/depth_0000000001.npy"
    assert depth.options["baseline"] == 0.075
    assert depth.options["fx"] == pytest.approx(346 / 2 / np.tan(np.radians(83 / 2)), abs=0.01)
    assert image.source == folder / HOME / "rgb/frames/frame_0000000001.png"
    assert list(data.classes) == []


def test_first_modality_is_the_source(folder):
    depths = dataset(folder, modalities=["image", "depth"])
    assert [item.id.rpartition(":")[2] for item in depths.items] == ["0", "1", "2", "3", "4", "5"]
    assert depths.items[0].source.name == "depth_0000000000.npy"
    assert set(depths.items[0].partners) == {"image"}
    assert set(depths.items[1].partners) == {"image", "event"}
    assert dict(depths.items[1].partner("event").options) == {"size": (346, 260), "columns": "txyp", "time_unit": "ns"}


@pytest.mark.parametrize(("split", "count"), [("train", 1), ("test", 5), ("all", 7)])
def test_split_of_a_sequence_is_in_its_name(folder, split, count):
    assert len(dataset(folder, split=split).items) == count


def test_sequences_are_found_in_split_folders(folder, tmp_path):
    flat = tmp_path / "flat"
    flat.mkdir()
    (folder / HOME).rename(flat / "test_sequence_00_town10")
    assert len(dataset(flat).items) == 5
    (folder / "test").mkdir(exist_ok=True)
    (flat / "test_sequence_00_town10").rename(folder / "test" / "drive")
    assert dataset(folder).items[0].id == "drive:1"


def test_step_and_limit_select_frames(folder):
    assert [item.id[-1] for item in dataset(folder, step=2).items] == ["2", "4"]
    assert [item.id[-1] for item in dataset(folder, limit=2).items] == ["1", "2"]
    for options in ({"step": 0}, {"step": 1.5}, {"limit": 0}, {"split": "tst"}):
        with pytest.raises(BadOption):
            dataset(folder, **options)


def test_events_have_the_simulators_columns_and_unit(folder):
    path = folder / HOME / "events/data/events_0000000001.npy"
    np.save(path, np.array([[33_000_000, 345, 259, 1], [34_000_000, 0, 7, 0]], np.int64))
    item = dataset(folder).items[0]
    stream = anybind.read(item.source, **item.options)
    assert (stream.x.tolist(), stream.y.tolist(), stream.p.tolist()) == ([345, 0], [259, 7], [True, False])
    assert (stream.t.tolist(), stream.width, stream.height) == ([33_000, 34_000], 346, 260)


def test_depth_maps_have_camera_parameters(folder):
    path = folder / HOME / "depth/data/depth_0000000001.npy"
    np.save(path, np.array([[1.0, 10.0], [1000.0, 5.0]]))
    item = dataset(folder, baseline=0.1).items[0].partner("depth")
    depth = anybind.read(item.source, reader="depth", **item.options)
    assert depth.metres.tolist() == [[1, 10], [1000, 5]]
    assert depth.disparity()[0, 0] == pytest.approx(19.555)


def test_missing_files_are_reported(folder, tmp_path):
    (folder / "valid").rename(tmp_path / "away")
    with pytest.raises(
        BadInput, match=r"no sequences of the split valid; it is published at https://rpg\.ifi\.uzh\.ch"
    ):
        dataset(folder, split="valid")
    for path in (folder / HOME / "depth/data").iterdir():
        path.unlink()
    with pytest.raises(BadInput, match=r"depth/data has no depth_\*\.npy"):
        dataset(folder)
    (tmp_path / "bare").mkdir()
    with pytest.raises(BadInput, match="no sequences, such as"):
        dataset(tmp_path / "bare")
