"""N-CARS by local folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import anybind
from anybind import BadInput
from anybind.dataset import Dataset
from anybind.registry import create_part

FILES = [
    f"{part}/{label}/obj_{number:06}_td.dat"
    for part in ("n-cars_train", "n-cars_test")
    for label in ("background", "cars")
    for number in range(3)
]


def dataset(folder: Path, **options: object) -> Dataset:
    return create_part("dataset", "n-cars", folder, **options)


def test_cars_and_background_are_listed(touch: Callable[..., Path]) -> None:
    data = dataset(touch(*FILES))
    assert list(data.classes) == ["background", "car"]
    assert [(item.id, item.label) for item in data.items][2:4] == [
        ("n-cars_test/background/obj_000002_td.dat", "background"),
        ("n-cars_test/cars/obj_000000_td.dat", "car"),
    ]
    assert len(data.items) == 6
    assert len(dataset(touch(*FILES), split="all").items) == 12


def test_parent_folder_is_accepted(touch: Callable[..., Path]) -> None:
    parent = touch(*(f"Prophesee_Dataset_n_cars/{name}" for name in FILES))
    assert dataset(parent).items[0].id == "n-cars_test/background/obj_000000_td.dat"


def test_missing_split_folder_is_reported(touch: Callable[..., Path]) -> None:
    with pytest.raises(BadInput, match=r"lacks n-cars_test; it is published at https://www\.prophesee\.ai"):
        dataset(touch(*FILES[:6]))


def test_real_recording_has_the_sensor_size(touch: Callable[..., Path], test_data: Path) -> None:
    folder = touch(*FILES)
    shutil.copy(test_data / "events" / "ncars.dat", folder / FILES[-1])
    item = dataset(folder).items[-1]
    stream = anybind.read(item.source, **item.options)
    assert (stream.width, stream.height, len(stream)) == (120, 100, 2009)
