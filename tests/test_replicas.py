"""Every published dataset on a small replica of its layout: items, readable samples, missing files."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest

import anybind
from anybind.dataset import Dataset, Item
from anybind.modality import find_modality
from anybind.reader import find_reader
from anybind.registry import create_part, find_part, list_parts
from helpers import replicas

pytestmark = pytest.mark.slow

COUNTS = {
    "n-imagenet": {"train": 1002, "val": 1002},
    "n-imagenet-mini": {"train": 102, "val": 102},
    "n-caltech101": {"all": 303},
    "n-mnist": {"train": 12, "test": 12},
    "n-cars": {"train": 4, "test": 4},
    "dvs128-gesture": {"train": 4, "test": 4},
    "ucf-crime": {"train": 6, "test": 6},
    "ucf-crime-dvs": {"train": 4, "test": 4},
    "msad": {"train": 6, "test": 6},
    "ewad": {"train": 4, "test": 4},
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
"""Number of samples by split, of replicas with two classes of two samples each."""
N_READ = 4
"""Number of samples to read from a replica."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("replicas")
    return {name: replicas.make_replica(name, root / name) for name in COUNTS}


def dataset(name: str, folder: Path, **options: Any) -> Dataset:
    return create_part("dataset", name, folder, **options)


def check_sample(item: Item, modality: str) -> None:
    """Check that an item's source is read by a reader of a modality, as a valid sample."""
    reader = find_reader(item.source, modality)
    assert reader.spec.modality == modality
    find_modality(modality).check(anybind.read(item.source, reader=reader.name, **item.options))


def test_every_published_dataset_has_a_replica() -> None:
    assert set(replicas.MAKERS) == set(COUNTS)
    assert set(COUNTS) <= {part.name for part in list_parts("dataset")}


@pytest.mark.slow
@pytest.mark.parametrize("name", COUNTS)
def test_datasets_open_without_options(folders, name: str) -> None:
    items = dataset(name, folders[name]).items
    assert items
    assert len({item.id for item in items}) == len(items)


@pytest.mark.parametrize("name", COUNTS)
def test_check_counts_samples_by_split(folders, name: str) -> None:
    dataset_class = find_part("dataset", name).load()
    splits = dataset_class.check(folders[name])
    assert {split.name: split.n_found for split in splits} == COUNTS[name]
    published = dict(dataset_class.splits)
    for split in splits:
        assert split.complete == (published[split.name] is None and name != "llvip")
        assert split.empty_files == ()
        assert split.published == published[split.name]
        if name == "llvip":
            assert split.missing[0].endswith("image pairs are missing")
        else:
            assert split.n_missing == max(0, (split.published or 0) - split.n_found)
            assert split.missing == ()


@pytest.mark.parametrize("name", COUNTS)
def test_samples_and_partners_are_readable(folders, name: str) -> None:
    data = dataset(name, folders[name])
    for item in data.items[:N_READ]:
        if data.sample_modalities == ("video",):
            video = find_part("reader", "video").load()().read(item.source, **item.options)
            assert sum(1 for _ in video.frames()) == replicas.FRAMES
            continue
        check_sample(item, data.sample_modalities[0])
        assert set(item.partners) <= set(data.sample_modalities[1:])
        for modality in item.partners:
            check_sample(item.partner(modality), modality)


@pytest.mark.parametrize("name", [name for name, splits in COUNTS.items() if len(splits) > 1])
def test_splits_are_disjoint(folders, name: str) -> None:
    first, *others = COUNTS[name]
    data = dataset(name, folders[name], split=first)
    for other in others:
        split = data.with_split(other)
        assert len(split.items) == COUNTS[name][other]
        assert not {item.id for item in split.items} & {item.id for item in data.items}


@pytest.mark.parametrize("name", COUNTS)
def test_labels_are_classes(folders, name: str) -> None:
    data = dataset(name, folders[name])
    assert {item.label for item in data.items} <= {*data.classes, ""}
    assert set(data.classes) <= set(data.all_classes)


@pytest.mark.parametrize(
    ("name", "path", "message"),
    [
        ("n-mnist", "Test/4", "missing folder {}/Test/4"),
        ("n-caltech101", "Caltech101/ant", "missing folder {}/Caltech101/ant"),
        ("n-cars", "n-cars_test/cars", "missing folder {}/n-cars_test/cars"),
        ("n-imagenet-mini", "extracted_val/n01443537", "missing folder {}/extracted_val/n01443537"),
        ("dvs128-gesture", "DvsGesture/user24_fluorescent.aedat", "lists user24_fluorescent.aedat, missing"),
        ("ucf-crime", "Videos/Abuse/Abuse003_x264.mp4", "missing video Abuse003_x264.mp4"),
        ("ucf-crime-dvs", "test/0/Abuse003_x264.npz", "missing video Abuse003_x264.mp4"),
        ("msad", "MSAD_blur/MSAD_anomaly_blur/Assault/Assault_2.mp4", "missing video Assault_2"),
        ("ewad", "test/test_00.npz", "missing video test_00"),
        ("xd-violence", "videos/v=made00__#1_label_B1-0-0.mp4", "missing video v=made00__#1_label_B1-0-0"),
        ("shanghai-tech", "testing/frames/01_0014", "missing video testing/frames/01_0014"),
        ("ucsd-ped", "Test/Test004", "missing video Test/Test004"),
        ("avenue", "testing_videos/02.avi", "missing video testing_videos/02.avi"),
        ("esc-50", "audio/1-100000-A-0.wav", "missing file {}/audio/1-100000-A-0.wav"),
        ("dense", "test/test_sequence_00_town10/rgb/frames", "has no frame_*.png"),
        ("nyu-d", "splits.mat", "it lacks splits.mat"),
        ("sun-d", "SUNRGBD/kv1/NYUdata/NYU0008", "cannot read {}/SUNRGBD/kv1/NYUdata/NYU0008/scene.txt"),
        ("llvip", "LLVIP/visible/test/190002.jpg", "missing file {}/LLVIP/visible/test/190002.jpg"),
    ],
)
def test_missing_files_are_reported(tmp_path: Path, name: str, path: str, message: str) -> None:
    folder = replicas.make_replica(name, tmp_path / "data")
    remove_path(folder / path)
    splits = find_part("dataset", name).load().check(folder)
    missing = [line for split in splits for line in split.missing]
    assert any(message.format(folder) in line for line in missing), missing


def remove_path(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def test_empty_files_are_reported(tmp_path: Path) -> None:
    folder = replicas.make_replica("n-mnist", tmp_path / "data")
    (folder / "Train" / "7" / "00000.bin").write_bytes(b"")
    train, test = find_part("dataset", "n-mnist").load().check(folder)
    assert (train.empty_files, test.empty_files) == (("Train/7/00000.bin",), ())


def test_number_of_classes_and_samples_per_class(tmp_path: Path) -> None:
    folder = replicas.make_replica("esc-50", tmp_path / "clips", classes=3, per_class=5)
    data = dataset("esc-50", folder)
    assert len(data.items) == 15
    assert {item.notes["fold"] for item in data.items} == {1, 2, 3, 4, 5}
    assert data.classes == ["dog", "pig", "rooster"]
    folder = replicas.make_replica("nyu-d", tmp_path / "scenes", classes=9, per_class=1)
    assert {item.label for item in dataset("nyu-d", folder).items} == set(dataset("nyu-d", folder).classes)


@pytest.mark.parametrize("name", ["n-cars", "avenue", "sun-d", "dense"])
def test_replicas_are_deterministic_by_seed(tmp_path: Path, folders, name: str) -> None:
    same = replicas.make_replica(name, tmp_path / "same")
    other = replicas.make_replica(name, tmp_path / "other", seed=1)
    assert hash_files(same) == hash_files(folders[name])
    assert hash_files(other) != hash_files(same)
    assert hash_files(other).keys() == hash_files(same).keys()


def hash_files(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("name", COUNTS)
def test_size_licence_source_and_modalities_are_set(name: str) -> None:
    dataset_class = find_part("dataset", name).load()
    assert dataset_class.size
    assert dataset_class.licence
    assert "http" in dataset_class.published
    assert dataset_class.sample_modalities


PAGE = (Path(__file__).parents[1] / "docs" / "reference" / "datasets.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", COUNTS)
def test_docs_list_the_dataset_and_its_splits(name: str) -> None:
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |"))
    for split, count in find_part("dataset", name).load().splits.items():
        assert split in row or count is None
        assert count is None or f"{count:,}" in row or name == "dvs128-gesture"  # which counts recordings
