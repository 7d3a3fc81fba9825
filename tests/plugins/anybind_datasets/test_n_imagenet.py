"""N-ImageNet and its mini by local folder: class names, splits, seen and unseen classes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import anybind
from anybind import BadInput
from anybind.dataset import Dataset
from anybind.errors import BadOption
from anybind.registry import create_part
from anybind_datasets.lists import load_lists

LISTS, AUTHORS = load_lists("n_imagenet"), load_lists("n_imagenet_authors")


def dataset(folder: Path, name: str = "n-imagenet-mini", **options: object) -> Dataset:
    return create_part("dataset", name, folder, **options)


def files(labels: list[str], part: str = "extracted_val") -> list[str]:
    return [f"{part}/{label}/{label}_{number}.npz" for label in labels for number in (3, 1)]


def test_imagenet_class_names_are_distinct() -> None:
    names = LISTS.names
    assert len(names) == len(set(names.values())) == 1000
    assert list(names) == sorted(names)
    assert names["n01440764"] == "tench"
    assert names["n15075141"] == "toilet paper"


def test_mini_has_100_classes() -> None:
    mini = LISTS.mini
    assert len(set(mini)) == 100
    assert set(mini) <= set(LISTS.names)
    assert {"goldfish", "Komodo dragon", "Tibetan Mastiff"} <= {LISTS.names[label] for label in mini}


def test_complete_dataset_is_listed(touch: Callable[..., Path]) -> None:
    data = dataset(touch(*files(list(LISTS.names))), "n-imagenet")
    assert len(data.items) == 2000
    assert data.items[0].id == "extracted_val/n01440764/n01440764_1.npz"
    assert data.items[0].label == data.classes[0] == "tench"
    assert dict(data.items[0].options) == {"size": (640, 480)}


def test_only_folders_of_selected_classes_are_scanned(touch: Callable[..., Path]) -> None:
    folder = touch(*files(["n01440764", "n01443537"]))
    data = dataset(folder, "n-imagenet", classes=["tench", "n01443537"])
    assert list(data.classes) == ["tench", "goldfish"]
    assert len(data.items) == 4
    assert len(data.all_classes) == 1000


def test_seen_and_unseen_classes_are_80_to_20(touch: Callable[..., Path]) -> None:
    folder = touch(*files(LISTS.mini))
    datasets = {subset: dataset(folder, subset=subset) for subset in ("all", "seen", "unseen")}
    counts = {subset: (len(data.classes), len(data.items)) for subset, data in datasets.items()}
    assert counts == {"all": (100, 200), "seen": (80, 160), "unseen": (20, 40)}
    assert set(datasets["seen"].classes) | set(datasets["unseen"].classes) == set(datasets["all"].classes)
    # Candidate labels are all 100 classes.
    assert all(len(data.all_classes) == 100 for data in datasets.values())


def test_unseen_classes_are_deterministic_by_seed(touch: Callable[..., Path]) -> None:
    folder = touch(*files(LISTS.mini))
    unseen = list(dataset(folder, subset="unseen").classes)
    assert unseen[:3] == ["tailed frog", "harvestman", "platypus"]
    assert unseen != list(dataset(folder, subset="unseen", seed=1).classes)


def test_classes_are_selected_within_a_subset(touch: Callable[..., Path]) -> None:
    folder = touch(*files(LISTS.mini))
    unseen = list(dataset(folder, subset="unseen").classes)
    seen = list(dataset(folder, subset="seen").classes)
    assert list(dataset(folder, subset="unseen", classes=[unseen[0], seen[0]]).classes) == [unseen[0]]


def test_unknown_subset_is_rejected(touch: Callable[..., Path]) -> None:
    with pytest.raises(BadOption, match="no subset 'unsen'; did you mean"):
        dataset(touch(*files(LISTS.mini)), subset="unsen")


@pytest.mark.parametrize(("split", "folder"), [("train", "extracted_train"), ("val_mode_1", "val_mode_1")])
def test_splits_and_variants_have_separate_folders(touch: Callable[..., Path], split: str, folder: str) -> None:
    data = dataset(touch(*files(LISTS.mini, folder)), split=split)
    assert len(data.items) == 200
    assert data.items[0].id.startswith(f"{folder}/")


def test_missing_split_folder_is_reported(touch: Callable[..., Path]) -> None:
    folder = touch(*files(LISTS.mini))
    with pytest.raises(
        BadInput, match=r"not a complete copy of N-ImageNet mini: .* lacks extracted_train; it is published"
    ):
        dataset(folder, split="train")


def test_recording_has_the_sensor_size(fill: Callable[..., Path]) -> None:
    folder = fill(*files(["n01440764"]))
    item = dataset(folder, "n-imagenet", classes=["tench"]).items[0]
    stream = anybind.read(item.source, **item.options)
    assert (stream.width, stream.height) == (640, 480)


def test_recordings_have_source_images_as_partners(touch: Callable[..., Path]) -> None:
    folder = touch(*files(["n01440764"], "N_Imagenet/extracted_train"))
    for number in (1, 3):
        path = folder / "ImageNet" / "train" / "n01440764" / f"n01440764_{number}.JPEG"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    options = {"classes": ["tench"], "split": "train", "images": "../ImageNet"}
    data = dataset(folder / "N_Imagenet", "n-imagenet", **options)
    assert [item.partners["image"].stem for item in data.items] == ["n01440764_1", "n01440764_3"]
    path.unlink()
    with pytest.raises(BadInput, match="missing image"):
        dataset(folder / "N_Imagenet", "n-imagenet", **options)


def test_the_authors_subset_has_their_100_classes_with_full_synset_names(touch: Callable[..., Path]) -> None:
    folder = touch(*files(list(AUTHORS.names)))
    counts = {}
    for subset in ("authors", "authors-seen", "authors-unseen"):
        data = dataset(folder, "n-imagenet", subset=subset)
        counts[subset] = (len(data.classes), len(data.items), len(data.all_classes))
    assert counts == {"authors": (100, 200, 100), "authors-seen": (80, 160, 100), "authors-unseen": (20, 40, 100)}
    unseen = dataset(folder, "n-imagenet", subset="authors-unseen")
    assert {item.source.parent.name for item in unseen.items} == set(AUTHORS.unseen)
    assert dataset(folder, "n-imagenet", subset="authors").classes[0] == "tench, Tinca tinca"
    assert len(set(AUTHORS.names) & set(LISTS.mini)) == 16


def test_a_class_of_the_authors_is_selected_by_label_or_full_name(touch: Callable[..., Path]) -> None:
    folder = touch(*files(list(AUTHORS.names)))
    for name in ("n01440764", "tench, Tinca tinca"):
        assert len(dataset(folder, "n-imagenet", subset="authors", classes=[name]).items) == 2
    with pytest.raises(BadOption, match="no subset 'authors-unsen'"):
        dataset(folder, "n-imagenet", subset="authors-unsen")
