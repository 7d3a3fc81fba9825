"""DVS128 Gesture by local folder: gestures as time segments of recordings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from anybind import BadInput
from anybind.dataset import Dataset
from anybind.registry import create_part

HEADER = "class,startTime_usec,endTime_usec\n"
TABLES = {
    "user01_lab": "1,80048239,85092709\n2,89431170,95231007\n3,95938861,103200075\n",
    "user02_led": "11,100,200\n1,300,400\n",
    "user24_led": "2,5,6\n11,7,9\n",
}
LISTS = {"trials_to_train.txt": "user01_lab.aedat\nuser02_led.aedat\n", "trials_to_test.txt": "user24_led.aedat\n\n"}


@pytest.fixture
def folder(touch: Callable[..., Path]) -> Path:
    root = touch(*(f"{name}.aedat" for name in TABLES))
    for name, rows in TABLES.items():
        (root / f"{name}_labels.csv").write_text(HEADER + rows)
    for name, text in LISTS.items():
        (root / name).write_text(text)
    return root


def dataset(folder: Path, **options: object) -> Dataset:
    return create_part("dataset", "dvs128-gesture", folder, **options)


def test_gestures_are_time_segments_of_recordings(folder: Path) -> None:
    data = dataset(folder, split="train")
    assert [(item.id, item.label, dict(item.options)) for item in data.items[:2]] == [
        ("user01_lab.aedat:0", "hand clapping", {"start": 80048239, "end": 85092709, "absolute": True}),
        ("user01_lab.aedat:1", "right hand wave", {"start": 89431170, "end": 95231007, "absolute": True}),
    ]
    assert data.items[0].source == folder / "user01_lab.aedat"
    assert len(data.items) == 5


@pytest.mark.parametrize(("split", "count"), [("train", 5), ("test", 2), ("all", 7)])
def test_splits_follow_the_trial_lists(folder: Path, split: str, count: int) -> None:
    assert len(dataset(folder, split=split).items) == count


def test_there_are_eleven_gestures(folder: Path) -> None:
    data = dataset(folder)
    assert len(data.classes) == 11
    assert (data.classes[0], data.classes[10]) == ("hand clapping", "other gestures")
    assert data.resolve_class_name("8") == "arm roll"


def test_gestures_are_selected_by_name(folder: Path) -> None:
    data = dataset(folder, split="all", classes=["right hand wave", "11"])
    assert [item.id for item in data.items] == [
        "user01_lab.aedat:1",
        "user02_led.aedat:0",
        "user24_led.aedat:0",
        "user24_led.aedat:1",
    ]


def test_parent_folder_is_accepted(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "parent").mkdir()
    folder.rename(tmp_path / "parent" / "DvsGesture")
    assert dataset(tmp_path / "parent").items[0].id == "user24_led.aedat:0"


def test_missing_split_list_is_reported(folder: Path) -> None:
    (folder / "trials_to_test.txt").unlink()
    with pytest.raises(BadInput, match=r"lacks trials_to_test\.txt; it is published at https://research\.ibm\.com"):
        dataset(folder)


@pytest.mark.parametrize("name", ["user24_led.aedat", "user24_led_labels.csv"])
def test_missing_file_of_a_recording_is_reported(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(BadInput, match=rf"trials_to_test\.txt lists user24_led\.aedat, missing .*{name}"):
        dataset(folder)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("12,5,6", "invalid gesture 12 from 5 to 6 us"),
        ("2,6,5", "invalid gesture 2 from 6 to 5 us"),
        ("2,6", "expected integers class, startTime_usec, endTime_usec"),
        ("wave,5,6", "expected integers class, startTime_usec, endTime_usec"),
    ],
)
def test_damaged_table_is_reported_with_its_line(folder: Path, row: str, message: str) -> None:
    (folder / "user24_led_labels.csv").write_text(f"{HEADER}2,5,6\n{row}\n")
    with pytest.raises(BadInput, match=rf"user24_led_labels\.csv, line 3: {message}"):
        dataset(folder)


def test_table_without_header_is_read(folder: Path) -> None:
    (folder / "user24_led_labels.csv").write_text("2,5,6\n")
    assert [item.label for item in dataset(folder).items] == ["right hand wave"]
