"""N-Caltech101 by local folder: classes, and the split drawn by hash."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import anybind
from anybind import BadInput
from anybind.dataset import Dataset
from anybind.registry import create_part
from anybind_datasets.lists import draw_subset, load_lists

NAMES = load_lists("n_caltech101").names
FILES = [f"{label}/image_{number:04}.bin" for label in NAMES for number in range(1, 11)]


def dataset(folder: Path, **options: object) -> Dataset:
    return create_part("dataset", "n-caltech101", folder, **options)


def ids(data: Dataset) -> set[str]:
    return {item.id for item in data.items}


def test_classes_are_100_objects_and_background(test_data: Path) -> None:
    assert len(NAMES) == len(set(NAMES.values())) == 101
    assert "Faces" not in NAMES
    images = {path.name for path in (test_data / "caltech101" / "images").iterdir()}
    assert images - {"Faces"} <= set(NAMES)


def test_class_names_have_spaces() -> None:
    assert NAMES["yin_yang"] == "yin yang"
    assert NAMES["BACKGROUND_Google"] == "background"
    assert NAMES["Faces_easy"] == "face"
    assert all(name == name.strip().lower() and "_" not in name for name in NAMES.values())


def test_val_split_is_a_fifth_of_each_class(touch: Callable[..., Path]) -> None:
    folder = touch(*(f"Caltech101/{name}" for name in FILES))
    train, val, whole = (dataset(folder, split=split) for split in ("train", "val", "all"))
    assert ids(train) | ids(val) == ids(whole) == set(FILES)
    assert not ids(train) & ids(val)
    for name in NAMES.values():
        assert sum(item.label == name for item in val.items) == 2


def test_split_is_deterministic_by_seed(touch: Callable[..., Path]) -> None:
    folder = touch(*FILES)
    val = dataset(folder)
    assert ids(val) == ids(dataset(folder, split="val", seed=0))
    assert ids(val) != ids(dataset(folder, seed=1))
    # By SHA-256, so that these are the files on every machine.
    assert sorted(id for id in ids(val) if id.startswith("ant/")) == ["ant/image_0002.bin", "ant/image_0003.bin"]


def test_split_of_a_class_is_independent_of_selected_classes(touch: Callable[..., Path]) -> None:
    folder = touch(*FILES)
    alone = ids(dataset(folder, classes=["ant", "Faces_easy"]))
    assert alone == {id for id in ids(dataset(folder)) if id.startswith(("ant/", "Faces_easy/"))}


def test_fraction_is_rounded_half_up() -> None:
    sizes = [len(draw_subset((str(number) for number in range(count)), 0.2, 0)) for count in range(1, 14)]
    assert sizes == [0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3]


def test_all_missing_class_folders_are_reported(touch: Callable[..., Path]) -> None:
    folder = touch(*(name for name in FILES if not name.startswith(("ant/", "wrench/"))))
    with pytest.raises(BadInput, match=r"lacks ant, wrench; it is published at https://"):
        dataset(folder)


def test_recording_has_the_sensor_size(fill: Callable[..., Path]) -> None:
    data = dataset(fill(*(f"{label}/image_0001.bin" for label in NAMES)), split="all", limit=3)
    stream = anybind.read(data.items[0].source, **data.items[0].options)
    assert (stream.width, stream.height) == (240, 180)


def test_class_is_selected_by_folder_name(touch: Callable[..., Path]) -> None:
    data = dataset(touch(*FILES))
    assert data.resolve_class_name("Motorbikes") == "motorbike"
    assert data.resolve_class_name("motorbike") == "motorbike"
