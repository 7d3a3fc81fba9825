"""Manifests of paired samples, and invalid tables."""

from __future__ import annotations

from pathlib import Path

import pytest

import anybind
from anybind.errors import BadOption
from anybind_datasets.manifest import ManifestDataset, TuxpaintTriplets


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.png", "b.png", "a.ogg", "b.ogg"):
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def write(folder: Path, *lines: str) -> Path:
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_row_is_an_item_with_partners(folder):
    write(folder, "author,image,sound,text,label", "X,a.png,a.ogg,A duck.,bird", 'X,b.png,,"Bells, two.",')
    first, second = ManifestDataset(folder).items
    assert (first.id, first.source, first.label) == ("a.png", folder / "a.png", "bird")
    assert first.partners == {"sound": folder / "a.ogg", "text": "A duck."}
    assert (second.source, second.label, second.partners) == (folder / "b.png", "", {"text": "Bells, two."})
    assert ManifestDataset(folder).classes == ["bird"]
    assert len(ManifestDataset(folder, limit=1).items) == 1


def test_columns_option_maps_other_names(folder):
    write(folder, "name,photo,category", "A duck.,a.png,bird")
    columns = {"image": "photo", "text": "name", "label": "category"}
    (item,) = ManifestDataset(folder, modalities=["image"], columns=columns).items
    assert (item.id, item.source, item.partners["image"], item.label) == (
        "A duck.",
        "A duck.",
        folder / "a.png",
        "bird",
    )


def test_items_of_one_file_have_distinct_ids(folder):
    write(folder, "text,image", "A duck.,a.png", "A duck.,b.png")
    assert [item.id for item in ManifestDataset(folder).items] == ["A duck.", "A duck.#2"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["image,text"], "no rows"),
        (["image,text", "a.png"], "line 2: expected as many fields"),
        (["image,text", "a.png,b,c"], "line 2: expected as many fields"),
        (["image,text", "z.png,b"], "line 2: missing file"),
        (["image,text", "a.png,b", ","], "line 3: no sample"),
        (["photo,name", "a.png,b"], "no column is named after a modality"),
        (["image,text", 'a.png,"b'], "not a CSV table"),
    ],
)
def test_invalid_table_is_reported_with_its_line(folder, lines, message):
    with pytest.raises(anybind.BadInput, match=message):
        ManifestDataset(write(folder, *lines))


def test_missing_or_invalid_tables_are_rejected(folder):
    with pytest.raises(anybind.BadInput, match=r"cannot read .*manifest\.csv"):
        ManifestDataset(folder)
    (folder / "manifest.csv").write_bytes(b"image,text\na.png,\xff\xfe\n")
    with pytest.raises(anybind.BadInput, match="not a CSV table in UTF-8"):
        ManifestDataset(folder)
    write(folder, "image,text", "a.png,b")
    with pytest.raises(anybind.BadInput, match="expected samples of"):
        ManifestDataset(folder, modalities=["event", "video"])
    with pytest.raises(BadOption, match="no column 'caption'"):
        ManifestDataset(folder, columns={"text": "caption"})
    with pytest.raises(BadOption, match="expected a modality or label, got 'name'"):
        ManifestDataset(folder, columns={"name": "text"})
    with pytest.raises(BadOption, match="limit must be at least 1"):
        ManifestDataset(folder, limit=0)


def test_unreadable_drawings_are_skipped_with_a_warning(folder):
    (folder / "c.svg").write_text("<svg/>")
    write(folder, "image,name_en,sound,spoken_name_en", "a.png,A duck.,a.ogg,", "c.svg,A kettle.,b.ogg,")
    with pytest.warns(anybind.AnybindWarning, match="skipped 1 of 2 images"):
        dataset = TuxpaintTriplets(folder, modalities=["event", "image"])
    (item,) = dataset.items
    assert item.partners == {"text": "A duck.", "sound": folder / "a.ogg"}


def test_missing_triplets_are_reported_with_download_page(tmp_path):
    with pytest.raises(anybind.BadInput, match=r"lacks manifest\.csv; it is published at https://tuxpaint"):
        TuxpaintTriplets(tmp_path)
    with pytest.raises(anybind.BadInput, match="is not a folder; tuxpaint-triplets is published at"):
        TuxpaintTriplets(tmp_path / "none")
    with pytest.raises(anybind.BadInput, match="holds samples of image, sound, text, not of depth"):
        TuxpaintTriplets(tmp_path, modalities=["depth"])


def test_real_tuxpaint_stamps_are_listed(test_data):
    with pytest.warns(anybind.AnybindWarning, match="skipped 4 of 107 images"):
        items = TuxpaintTriplets(test_data / "tuxpaint_triplets").items
    assert len(items) == len({item.id for item in items}) == 103
    assert all(set(item.partners) == {"text", "sound"} for item in items)
    assert anybind.read(items[0].source).shape[2] == 3
