"""LLVIP by local folder: person and background crops, or image pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

import anybind
from anybind import BadInput
from anybind.dataset import Dataset
from anybind.errors import BadOption
from anybind.registry import create_part, find_part
from anybind_datasets.llvip import _draw_background

SIZE = (80, 64)
PEOPLE = {"010001": [(4, 10, 14, 40)], "190001": [(0, 0, 10, 30), (60, 20, 75, 60)], "190002": []}


def annotation(boxes, name="person", size=SIZE):
    corners = ("xmin", "ymin", "xmax", "ymax")
    things = [
        f"<object><name>{name}</name><bndbox>{''.join(f'<{c}>{n}</{c}>' for c, n in zip(corners, box, strict=True))}"
        "</bndbox></object>"
        for box in boxes
    ]
    about = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>"
    return f"<annotation>{about}{''.join(things)}</annotation>"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    home = tmp_path / "LLVIP"
    (home / "Annotations").mkdir(parents=True)
    for stem, boxes in PEOPLE.items():
        (home / "Annotations" / f"{stem}.xml").write_text(annotation(boxes))
        for kind in ("infrared", "visible"):
            path = home / kind / ("test" if stem.startswith("19") else "train") / f"{stem}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
            for left, top, right, bottom in boxes:
                pixels[top:bottom, left:right] = 255
            PIL.Image.fromarray(pixels).save(path, quality=95)
    return tmp_path


def dataset(folder: Path, **options: object) -> Dataset:
    return create_part("dataset", "llvip", folder, **options)


def test_person_and_background_crops_have_equal_number(folder):
    data = dataset(folder)
    assert list(data.classes) == ["background", "people"]
    assert [(item.id, item.label) for item in data.items] == [
        ("test/190001:person:0", "people"),
        ("test/190001:background:0", "background"),
        ("test/190001:person:1", "people"),
        ("test/190001:background:1", "background"),
    ]
    assert data.items[2].source == folder / "LLVIP" / "infrared" / "test" / "190001.jpg"
    assert data.items[2].options == {"box": (60, 20, 75, 60)}
    visible = data.items[2].partner("image")
    assert visible.source == folder / "LLVIP" / "visible" / "test" / "190001.jpg"
    assert visible.options == {"box": (60, 20, 75, 60)}


def test_person_crops_are_bright_and_backgrounds_dark(folder):
    for item in dataset(folder).items:
        warm = anybind.read(item.source, reader="thermal-image", **item.options).pixels
        cold = anybind.read(item.partner("image").source, **item.partner("image").options)
        assert warm.shape == cold.shape == ((30, 10, 3) if item.id.endswith("0") else (40, 15, 3))
        assert (warm.mean() > 200) == (item.label == "people")


def test_backgrounds_are_deterministic_by_seed(folder):
    boxes = [item.options["box"] for item in dataset(folder).items]
    assert boxes == [item.options["box"] for item in dataset(folder, seed=0).items]
    assert boxes != [item.options["box"] for item in dataset(folder, seed=1).items]


def test_one_class_is_selected(folder):
    assert {item.label for item in dataset(folder, classes=["person"]).items} == {"people"}
    assert len(dataset(folder, split="all", classes=["background"]).items) == 3


def test_pairs_are_complete_images_without_classes(folder):
    data = dataset(folder, samples="pairs", split="all")
    assert [item.id for item in data.items] == ["train/010001", "test/190001", "test/190002"]
    assert list(data.classes) == []
    assert dict(data.items[0].options) == {}
    assert anybind.read(data.items[0].partner("image").source).shape == (64, 80, 3)


def test_visible_images_alone_are_selected(folder):
    item = dataset(folder, modalities=["image"]).items[0]
    assert item.source.parent.parent.name == "visible"


def test_boxes_are_clipped_to_the_image(folder):
    table = folder / "LLVIP" / "Annotations" / "190001.xml"
    table.write_text(annotation([(-3, 5, 9, 70), (5, 5, 5, 9)]))
    assert [item.options["box"] for item in dataset(folder, classes=["person"]).items] == [(0, 5, 9, 64)]
    table.write_text(annotation([(1, 5, 9, 30)], name="bicycle"))
    with pytest.raises(BadInput, match="has no samples"):
        dataset(folder)


def test_crowded_image_has_no_background_crop(folder):
    (folder / "LLVIP" / "Annotations" / "190001.xml").write_text(annotation([(0, 0, 79, 63)]))
    assert [item.label for item in dataset(folder).items] == ["people"]


@pytest.mark.parametrize(
    "text", ["", "<annotation>", "<a></a>", annotation([("x", 1, 2, 3)]), annotation([("inf", 1, 2, 3)])]
)
def test_damaged_annotations_are_rejected(folder, text):
    (folder / "LLVIP" / "Annotations" / "190001.xml").write_text(text)
    with pytest.raises(BadInput, match=r"190001\.xml: not a Pascal VOC annotation"):
        dataset(folder)


def test_missing_files_are_reported(folder):
    (folder / "LLVIP" / "visible" / "test" / "190002.jpg").unlink()
    with pytest.raises(BadInput, match=r"missing file .*visible/test/190002\.jpg; it is published at https://bupt"):
        dataset(folder)
    train, test = find_part("dataset", "llvip").load().check(folder)
    assert train.missing == ("12024 of 12025 image pairs are missing",)
    assert test.missing[0].endswith("190002.jpg")
    assert test.missing[1] == "3462 of 3463 image pairs are missing"
    for path in (folder / "LLVIP" / "Annotations").iterdir():
        path.unlink()
    (folder / "LLVIP" / "Annotations").rmdir()
    with pytest.raises(BadInput, match="LLVIP lacks Annotations"):
        dataset(folder)


@pytest.mark.parametrize("options", [{"samples": "boxes"}, {"split": "val"}, {"classes": ["dog"]}, {"limit": 0}])
def test_invalid_options_are_rejected(folder, options):
    with pytest.raises(BadOption):
        dataset(folder, **options)


@given(
    st.integers(0, 99),
    st.lists(st.tuples(*[st.integers(0, 60)] * 4), max_size=4),
    st.integers(1, 60),
    st.integers(1, 60),
)
def test_background_box_overlaps_no_person(seed, corners, width, height):
    taken = [(min(a, c), min(b, d), max(a, c) + 1, max(b, d) + 1) for a, b, c, d in corners]
    place = _draw_background(np.random.default_rng(seed), (61, 61), taken, width, height)
    if place is not None:
        left, top, right, bottom = place
        assert (right - left, bottom - top) == (width, height)
        assert min(left, top) >= 0
        assert max(right, bottom) <= 61
        cells = {(x, y) for x in range(left, right) for y in range(top, bottom)}
        for a, b, c, d in taken:
            assert not cells & {(x, y) for x in range(a, c) for y in range(b, d)}
