"""N-ImageNet and its mini by local folder: class names, splits, and the classes that are never trained on."""

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

LISTS = load_lists("n_imagenet")


def dataset(folder: Path, name: str = "n-imagenet-mini", **options: object) -> Dataset:
    return create_part("dataset", name, folder, **options)


def files(labels: list[str], part: str = "extracted_val") -> list[str]:
    return [f"{part}/{label}/{label}_{number}.npz" for label in labels for number in (3, 1)]


def test_every_class_of_imagenet_has_a_name_of_its_own() -> None:
    names = LISTS.names
    assert len(names) == len(set(names.values())) == 1000
    assert list(names) == sorted(names)
    assert names["n01440764"] == "tench"
    assert names["n15075141"] == "toilet paper"


def test_the_mini_has_100_of_them() -> None:
    mini = LISTS.mini
    assert len(set(mini)) == 100
    assert set(mini) <= set(LISTS.names)
    assert {"goldfish", "Komodo dragon", "Tibetan Mastiff"} <= {LISTS.names[label] for label in mini}


def test_the_whole_data_set_is_listed(touch: Callable[..., Path]) -> None:
    data = dataset(touch(*files(list(LISTS.names))), "n-imagenet")
    assert len(data.items) == 2000
    assert data.items[0].id == "extracted_val/n01440764/n01440764_1.npz"
    assert data.items[0].label == data.classes[0] == "tench"
    assert dict(data.items[0].options) == {"size": (640, 480)}


def test_only_the_folders_of_kept_classes_are_looked_into(touch: Callable[..., Path]) -> None:
    folder = touch(*files(["n01440764", "n01443537"]))
    data = dataset(folder, "n-imagenet", classes=["tench", "n01443537"])
    assert list(data.classes) == ["tench", "goldfish"]
    assert len(data.items) == 4
    assert len(data.all_classes) == 1000


def test_seen_and_unseen_classes_share_the_mini_80_to_20(touch: Callable[..., Path]) -> None:
    folder = touch(*files(LISTS.mini))
    parts = {part: dataset(folder, part=part) for part in ("all", "seen", "unseen")}
    counts = {part: (len(data.classes), len(data.items)) for part, data in parts.items()}
    assert counts == {"all": (100, 200), "seen": (80, 160), "unseen": (20, 40)}
    assert set(parts["seen"].classes) | set(parts["unseen"].classes) == set(parts["all"].classes)
    # Unseen classes are asked for among all 100 names.
    assert all(len(data.all_classes) == 100 for data in parts.values())


def test_the_unseen_classes_are_the_same_everywhere_and_others_for_another_seed(touch: Callable[..., Path]) -> None:
    folder = touch(*files(LISTS.mini))
    unseen = list(dataset(folder, part="unseen").classes)
    assert unseen[:3] == ["tailed frog", "harvestman", "platypus"]
    assert unseen != list(dataset(folder, part="unseen", seed=1).classes)


def test_classes_are_kept_within_a_part(touch: Callable[..., Path]) -> None:
    folder = touch(*files(LISTS.mini))
    unseen = list(dataset(folder, part="unseen").classes)
    seen = list(dataset(folder, part="seen").classes)
    assert list(dataset(folder, part="unseen", classes=[unseen[0], seen[0]]).classes) == [unseen[0]]


def test_an_unknown_part_is_refused(touch: Callable[..., Path]) -> None:
    with pytest.raises(BadOption, match="no part 'unsen'; did you mean"):
        dataset(touch(*files(LISTS.mini)), part="unsen")


@pytest.mark.parametrize(("split", "part"), [("train", "extracted_train"), ("val_mode_1", "val_mode_1")])
def test_other_splits_and_variants_are_folders_of_their_own(touch: Callable[..., Path], split: str, part: str) -> None:
    data = dataset(touch(*files(LISTS.mini, part)), split=split)
    assert len(data.items) == 200
    assert data.items[0].id.startswith(f"{part}/")


def test_a_missing_split_is_named(touch: Callable[..., Path]) -> None:
    folder = touch(*files(LISTS.mini))
    with pytest.raises(
        BadInput, match=r"no complete copy of N-ImageNet mini: .* lacks extracted_train; it is published"
    ):
        dataset(folder, split="train")


def test_a_recording_is_read_with_the_sensors_size(fill: Callable[..., Path]) -> None:
    folder = fill(*files(["n01440764"]))
    item = dataset(folder, "n-imagenet", classes=["tench"]).items[0]
    stream = anybind.read(item.source, **item.options)
    assert (stream.width, stream.height) == (640, 480)


def test_recordings_have_the_pictures_they_were_made_of_as_partners(touch: Callable[..., Path]) -> None:
    folder = touch(*files(["n01440764"], "N_Imagenet/extracted_train"))
    for number in (1, 3):
        path = folder / "ImageNet" / "train" / "n01440764" / f"n01440764_{number}.JPEG"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    options = {"classes": ["tench"], "split": "train", "pictures": "../ImageNet"}
    data = dataset(folder / "N_Imagenet", "n-imagenet", **options)
    assert [item.partners["image"].stem for item in data.items] == ["n01440764_1", "n01440764_3"]
    path.unlink()
    with pytest.raises(BadInput, match="does not pair"):
        dataset(folder / "N_Imagenet", "n-imagenet", **options)
