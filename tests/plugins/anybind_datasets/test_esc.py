"""ESC-50 and ESC-10 in their published layouts."""

from __future__ import annotations

from pathlib import Path

import pytest

import anybind
from anybind.errors import BadOption
from anybind_datasets.esc import ESC_10_CLASSES, Esc50, parse_folds

HEADER = "filename,fold,target,category,esc10,src_file,take"


@pytest.fixture
def esc50(tmp_path: Path) -> Path:
    rows = ["1-a.wav,1,0,dog,True,a,A", "2-b.wav,2,36,vacuum_cleaner,False,b,A", "2-c.wav,2,0,dog,True,c,A"]
    (tmp_path / "meta").mkdir()
    (tmp_path / "audio").mkdir()
    (tmp_path / "meta" / "esc50.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    for row in rows:
        (tmp_path / "audio" / row.split(",")[0]).touch()
    return tmp_path


@pytest.fixture
def esc10(tmp_path: Path) -> Path:
    for folder in ESC_10_CLASSES:
        (tmp_path / folder).mkdir()
        for fold in (1, 4):
            (tmp_path / folder / f"{fold}-100-A.ogg").touch()
    return tmp_path


def test_esc_50_fold_and_class_are_in_the_table(esc50):
    dataset = Esc50(esc50, modalities=["sound"])
    assert dataset.classes == ["dog", "vacuum cleaner"]
    assert [(item.id, item.label, item.notes["fold"]) for item in dataset.items] == [
        ("audio/1-a.wav", "dog", 1),
        ("audio/2-b.wav", "vacuum cleaner", 2),
        ("audio/2-c.wav", "dog", 2),
    ]
    assert [item.id for item in Esc50(esc50, folds=2, classes=["dog"]).items] == ["audio/2-c.wav"]
    assert Esc50(esc50, only_esc10=True).classes == ["dog"]
    assert [item.id for item in Esc50(esc50, limit=2).items] == ["audio/1-a.wav", "audio/2-b.wav"]


def test_esc_10_fold_and_class_are_in_names(esc10):
    dataset = Esc50(esc10, folds="4")
    assert dataset.name == "ESC-10"
    assert len(dataset.items) == 10
    assert dataset.items[0].id == "001 - Dog bark/4-100-A.ogg"
    assert dataset.classes == sorted(ESC_10_CLASSES.values())


def test_missing_files_are_reported(esc50, tmp_path):
    (esc50 / "audio" / "2-b.wav").unlink()
    with pytest.raises(anybind.BadInput, match=r"not a complete copy of ESC-50: missing file .*2-b\.wav; it is publ"):
        Esc50(esc50)
    (esc50 / "meta" / "esc50.csv").write_text(f"{HEADER}\n1-a.wav,6,0,dog,True,a,A\n")
    with pytest.raises(anybind.BadInput, match="line 2: expected a fold from 1 to 5, got '6'"):
        Esc50(esc50)
    (esc50 / "meta" / "esc50.csv").write_text("filename,category\n1-a.wav,dog\n")
    with pytest.raises(anybind.BadInput, match="missing columns in the first line: fold, esc10"):
        Esc50(esc50)
    (esc50 / "meta" / "esc50.csv").unlink()
    with pytest.raises(anybind.BadInput, match=r"neither meta/esc50\.csv nor the ten folders of ESC-10"):
        Esc50(esc50)


def test_clips_without_fold_and_empty_folders_are_rejected(esc10):
    (esc10 / "002 - Rain" / "4-100-A.ogg").rename(esc10 / "002 - Rain" / "rain.ogg")
    with pytest.raises(anybind.BadInput, match=r"rain\.ogg: expected a file name beginning with its fold"):
        Esc50(esc10)
    for path in (esc10 / "002 - Rain").iterdir():
        path.unlink()
    with pytest.raises(anybind.BadInput, match="Rain has no clips"):
        Esc50(esc10)
    (esc10 / "002 - Rain" / "1-1-A.ogg").touch()
    with pytest.raises(anybind.BadInput, match="no samples of"):
        Esc50(esc10, folds=5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        *(({"folds": folds}, "folds: expected numbers from 1 to 5") for folds in ("0", "1,6", "", "a", 7, [])),
        ({"classes": ["dogs"]}, "no class 'dogs'"),
        ({"limit": 0}, "limit must be at least 1"),
    ],
)
def test_invalid_options_are_rejected(options, message, esc50):
    with pytest.raises(BadOption, match=message):
        Esc50(esc50, **options)


def test_folds_as_number_list_or_text():
    assert parse_folds("1, 3") == parse_folds([1, 3]) == {1, 3}
    assert parse_folds(4) == parse_folds("4") == {4}


def test_esc_10_of_real_data(test_data):
    dataset = Esc50(test_data / "esc10", folds="4")
    assert (len(dataset.items), len(dataset.classes)) == (80, 10)
    assert len(Esc50(test_data / "esc10").items) == 320
