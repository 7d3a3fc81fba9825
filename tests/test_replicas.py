"""Every published data set on a small made copy of its real layout: what it lists, what can be read, what is missing."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

import anybind
from anybind.dataset import Dataset, Item
from anybind.modality import find_modality
from anybind.reader import find_reader
from anybind.registry import create_part, find_part
from anybind.registry import list_parts as _parts
from helpers import replicas

COUNTS = {
    "n-imagenet": {"train": 1002, "val": 1002},
    "n-imagenet-mini": {"train": 102, "val": 102},
    "n-caltech101": {"all": 303},
    "n-mnist": {"train": 12, "test": 12},
    "n-cars": {"train": 4, "test": 4},
    "dvs128-gesture": {"train": 4, "test": 4},
    "ucf-crime": {"train": 6, "test": 6},
    "xd-violence": {"train": 6, "test": 6},
    "shanghai-tech": {"train": 4, "test": 4},
    "ucsd-ped": {"train": 4, "test": 4},
    "avenue": {"train": 4, "test": 4},
    "esc-50": {"all": 4},
    "dense": {"train": 4, "valid": 4, "test": 4},
    "nyu-d": {"train": 6, "test": 6},
    "sun-d": {"train": 4, "test": 4},
    "llvip": {"train": 8, "test": 8},
}
"""Samples of the replicas of two classes with two samples each, by part."""
READ = 4
"""Samples of a replica that are read."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("replicas")
    return {name: replicas.make_replica(name, home / name) for name in COUNTS}


def dataset(name: str, folder: Path, **options: Any) -> Dataset:
    return create_part("dataset", name, folder, **options)


def sample(item: Item, modality: str) -> Any:
    reader = find_reader(item.source, modality)
    assert reader.spec.modality == modality
    found = anybind.read(item.source, reader=reader.name, **item.options)
    find_modality(modality).check(found)
    return found


def test_there_is_a_replica_of_every_published_data_set() -> None:
    assert set(replicas.MAKERS) == set(COUNTS)
    assert set(COUNTS) <= {part.name for part in _parts("dataset")}


@pytest.mark.slow
@pytest.mark.parametrize("name", COUNTS)
def test_it_opens_with_no_options(folders, name: str) -> None:
    items = dataset(name, folders[name]).items
    assert items
    assert len({item.id for item in items}) == len(items)


@pytest.mark.parametrize("name", COUNTS)
def test_it_is_counted_by_part_and_what_lacks_to_the_published_numbers_is_told(folders, name: str) -> None:
    kind = find_part("dataset", name).load()
    held = kind.check(folders[name])
    assert {part.name: part.found for part in held} == COUNTS[name]
    published = dict(kind.splits)
    for part in held:
        assert part.complete == (published[part.name] is None and name != "llvip")
        assert part.empty == ()
        assert part.published == published[part.name]
        if name == "llvip":
            assert part.missing[0].endswith("pairs of pictures are missing")
        else:
            assert part.absent == max(0, (part.published or 0) - part.found)
            assert part.missing == ()


@pytest.mark.parametrize("name", COUNTS)
def test_its_first_samples_and_their_partners_can_be_read(folders, name: str) -> None:
    kind = find_part("dataset", name).load()
    data = dataset(name, folders[name])
    for item in data.items[:READ]:
        if kind.kinds == ("video",):
            film = find_part("reader", "video").load()().read(item.source, **item.options)
            assert sum(1 for _ in film.frames()) == replicas.FRAMES
            continue
        sample(item, kind.kinds[0])
        assert set(item.partners) <= set(kind.kinds[1:])
        for modality in item.partners:
            sample(item.partner(modality), modality)


@pytest.mark.parametrize("name", [name for name, parts in COUNTS.items() if len(parts) > 1])
def test_its_parts_can_be_had_from_each_other_and_share_no_file(folders, name: str) -> None:
    first, *others = COUNTS[name]
    data = dataset(name, folders[name], split=first)
    for other in others:
        part = data.with_split(other)
        assert len(part.items) == COUNTS[name][other]
        assert not {item.id for item in part.items} & {item.id for item in data.items}


@pytest.mark.parametrize("name", COUNTS)
def test_labels_are_classes(folders, name: str) -> None:
    data = dataset(name, folders[name])
    assert {item.label for item in data.items} <= {*data.classes, ""}
    assert set(data.classes) <= set(data.all_classes)


@pytest.mark.parametrize(
    ("name", "gone", "told"),
    [
        ("n-mnist", "Test/4", "there is no folder {}/Test/4"),
        ("n-caltech101", "Caltech101/ant", "there is no folder {}/Caltech101/ant"),
        ("n-cars", "n-cars_test/cars", "there is no folder {}/n-cars_test/cars"),
        ("n-imagenet-mini", "extracted_val/n01443537", "there is no folder {}/extracted_val/n01443537"),
        ("dvs128-gesture", "DvsGesture/user24_fluorescent.aedat", "lists user24_fluorescent.aedat, but there is no"),
        ("ucf-crime", "Videos/Abuse/Abuse003_x264.mp4", "there is no film Abuse003_x264.mp4"),
        ("xd-violence", "videos/v=made00__#1_label_B1-0-0.mp4", "there is no film v=made00__#1_label_B1-0-0"),
        ("shanghai-tech", "testing/frames/01_0014", "there is no film testing/frames/01_0014"),
        ("ucsd-ped", "Test/Test004", "there is no film Test/Test004"),
        ("avenue", "testing_videos/02.avi", "there is no film testing_videos/02.avi"),
        ("esc-50", "audio/1-100000-A-0.wav", "there is no file {}/audio/1-100000-A-0.wav"),
        ("dense", "test/test_sequence_00_town10/rgb/frames", "holds no frame_*.png"),
        ("nyu-d", "splits.mat", "it lacks splits.mat"),
        ("sun-d", "SUNRGBD/kv1/NYUdata/NYU0008", "cannot read {}/SUNRGBD/kv1/NYUdata/NYU0008/scene.txt"),
        ("llvip", "LLVIP/visible/test/190002.jpg", "there is no file {}/LLVIP/visible/test/190002.jpg"),
    ],
)
def test_a_part_that_is_missing_is_named(tmp_path: Path, name: str, gone: str, told: str) -> None:
    folder = replicas.make_replica(name, tmp_path / "data")
    remove(folder / gone)
    held = find_part("dataset", name).load().check(folder)
    missing = [line for part in held for line in part.missing]
    assert any(told.format(folder) in line for line in missing), missing


def remove(path: Path) -> None:
    if path.is_dir():
        for inner in path.iterdir():
            remove(inner)
        path.rmdir()
    else:
        path.unlink()


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    folder = replicas.make_replica("n-mnist", tmp_path / "data")
    (folder / "Train" / "7" / "00000.bin").write_bytes(b"")
    train, test = find_part("dataset", "n-mnist").load().check(folder)
    assert (train.empty, test.empty) == (("Train/7/00000.bin",), ())


def test_more_classes_and_more_of_each_can_be_asked_for(tmp_path: Path) -> None:
    folder = replicas.make_replica("esc-50", tmp_path / "sounds", classes=3, per_class=5)
    data = dataset("esc-50", folder)
    assert len(data.items) == 15
    assert {item.notes["fold"] for item in data.items} == {1, 2, 3, 4, 5}
    assert data.classes == ["dog", "pig", "rooster"]
    folder = replicas.make_replica("nyu-d", tmp_path / "scenes", classes=9, per_class=1)
    assert {item.label for item in dataset("nyu-d", folder).items} == set(dataset("nyu-d", folder).classes)


@pytest.mark.parametrize("name", ["n-cars", "avenue", "sun-d", "dense"])
def test_the_same_seed_makes_the_same_files_and_another_seed_others(tmp_path: Path, folders, name: str) -> None:
    again = replicas.make_replica(name, tmp_path / "again")
    other = replicas.make_replica(name, tmp_path / "other", seed=1)
    assert contents(again) == contents(folders[name])
    assert contents(other) != contents(again)
    assert contents(other).keys() == contents(again).keys()


def contents(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("name", COUNTS)
def test_its_size_licence_place_and_modalities_are_known(name: str) -> None:
    kind = find_part("dataset", name).load()
    assert kind.size
    assert kind.licence
    assert "http" in kind.published
    assert kind.kinds


PAGE = (Path(__file__).parents[1] / "docs" / "reference" / "datasets.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", COUNTS)
def test_the_page_on_data_sets_tells_of_it_and_its_parts(name: str) -> None:
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |"))
    parts = find_part("dataset", name).load().splits
    for part, count in parts.items():
        assert part in row or count is None
        assert count is None or f"{count:,}" in row or name == "dvs128-gesture"  # whose recordings are counted
