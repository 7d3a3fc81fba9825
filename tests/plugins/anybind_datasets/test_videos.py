"""Video anomaly datasets: annotations as spans of frames, and missing files."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st

from anybind import AnybindWarning, BadInput
from anybind.errors import BadOption
from anybind.registry import create_part
from anybind_datasets.video_annotations import find_spans


def touch_files(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def list_annotations(dataset) -> dict:
    return {item.id: (item.label, item.notes["split"], item.notes["abnormal"]) for item in dataset.items}


@pytest.fixture
def ucf(tmp_path):
    lines = [
        "Abuse028_x264.mp4  Abuse  165  240  -1  -1  ",
        "",
        "RoadAccidents001_x264.mp4  RoadAccidents  10  20  30  31",
        "Normal_Videos_003_x264.mp4  Normal  -1  -1  -1  -1",
        "Arson011_x264.mp4  Arson  150  420  680  1267",
    ]
    (tmp_path / "Temporal_Anomaly_Annotation_for_Testing_Videos.txt").write_text("\n".join(lines))
    touch_files(
        tmp_path, "Videos/Abuse/Abuse028_x264.mp4", "Videos/RoadAccidents001_x264.mp4", "n/Normal_Videos_003_x264.mp4"
    )
    return tmp_path


def test_ucf_crime_converts_spans_and_warns_of_missing_videos(ucf):
    with pytest.warns(AnybindWarning, match=r"missing annotated videos: 1, first: .* Arson011_x264\.mp4"):
        dataset = create_part("dataset", "ucf-crime", ucf, modalities=("event",))
    assert list_annotations(dataset) == {
        "Abuse028_x264": ("abuse", "test", [[164, 240]]),
        "RoadAccidents001_x264": ("road accidents", "test", [[9, 20], [29, 31]]),
        "Normal_Videos_003_x264": ("normal", "test", []),
    }


def test_training_videos_have_video_level_labels(ucf):
    (ucf / "Anomaly_Train.txt").write_text("Abuse/Abuse001_x264.mp4\nTraining_Normal_Videos_Anomaly/N1_x264.mp4\n")
    touch_files(ucf, "Abuse001_x264.mp4", "N1_x264.mp4", "Arson011_x264.mp4")
    dataset = create_part("dataset", "ucf-crime", ucf, split="train")
    assert list_annotations(dataset) == {"Abuse001_x264": ("abuse", "train", True), "N1_x264": ("normal", "train", [])}
    assert dataset.classes == ["abuse", "normal"]


@pytest.mark.parametrize(
    "line", ["a.mp4 Abuse", "a.mp4 Abuse 5", "a.mp4 Abuse 5 4", "a.mp4 Abuse x 4", "a.mp4 Abuse 1 -1"]
)
def test_invalid_line_is_reported_with_its_number(tmp_path, line):
    (tmp_path / "Temporal_Anomaly_Annotation.txt").write_text(f"b.mp4 Abuse 1 2\n{line}\n")
    touch_files(tmp_path, "a.mp4", "b.mp4")
    with pytest.raises(BadInput, match="line 2"):
        create_part("dataset", "ucf-crime", tmp_path)


def test_xd_violence_reads_classes_from_names(tmp_path):
    (tmp_path / "annotations.txt").write_text(
        "v=a__#1_label_B2-0-0 12 20 30 40\nBad.Boys__#00-1_label_B6-B1-0.mp4 1 1\n"
    )
    touch_files(
        tmp_path,
        "test_videos/v=a__#1_label_B2-0-0.mp4",
        "test_videos/Bad.Boys__#00-1_label_B6-B1-0.mp4",
        "test_videos/c_label_A.mp4",
        "1-1004/d_label_A.mp4",
        "1-1004/e_label_G-0-0.mp4",
    )
    assert list_annotations(create_part("dataset", "xd-violence", tmp_path)) == {
        "v=a__#1_label_B2-0-0": ("shooting", "test", [[11, 20], [29, 40]]),
        "Bad.Boys__#00-1_label_B6-B1-0": ("car accident", "test", [[0, 1]]),
        "c_label_A": ("normal", "test", []),
        "d_label_A": ("normal", "train", []),
        "e_label_G-0-0": ("explosion", "train", True),
    }


def test_xd_violence_rejects_names_without_a_class(tmp_path):
    (tmp_path / "annotations.txt").touch()
    touch_files(tmp_path, "plain.mp4")
    with pytest.raises(BadInput, match="plain: expected a file name"):
        create_part("dataset", "xd-violence", tmp_path)


def test_shanghai_tech_reads_frame_masks(tmp_path):
    masks = tmp_path / "testing" / "test_frame_mask"
    masks.mkdir(parents=True)
    np.save(masks / "01_0014.npy", np.array([0, 1, 1, 0, 1]))
    np.save(masks / "01_0015.npy", np.zeros(3))
    touch_files(tmp_path, "testing/frames/01_0014/000.jpg", "training/videos/01_001.avi")
    with pytest.warns(AnybindWarning, match="first: .* testing/frames/01_0015"):
        dataset = create_part("dataset", "shanghai-tech", tmp_path)
    assert list_annotations(dataset) == {
        "01_0014": ("abnormal", "test", [[1, 3], [4, 5]]),
        "01_001": ("normal", "train", []),
    }


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b"no"), lambda path: np.save(path, np.zeros((2, 2)))])
def test_shanghai_tech_rejects_damaged_masks(tmp_path, damage):
    touch_files(tmp_path, "testing/frames/a/0.jpg", "testing/test_frame_mask/a.npy")
    damage(tmp_path / "testing" / "test_frame_mask" / "a.npy")
    with pytest.raises(BadInput, match=r"a\.npy"):
        create_part("dataset", "shanghai-tech", tmp_path)


def test_shanghai_tech_never_unpickles(tmp_path):
    touch_files(tmp_path, "testing/frames/a/0.jpg", "testing/test_frame_mask/a.npy")
    np.save(tmp_path / "testing/test_frame_mask/a.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(BadInput, match="not a NumPy file of numbers"):
        create_part("dataset", "shanghai-tech", tmp_path)


@pytest.fixture
def ped2(tmp_path):
    root = tmp_path / "UCSDped2"
    touch_files(
        root, "Test/Test001/001.tif", "Test/Test002/001.tif", "Train/Train001/001.tif", "Test/Test001_gt/001.bmp"
    )
    return root


def test_ucsd_ped_reads_the_matlab_script(ped2):
    lines = [
        "TestVideoFile = {};",
        "% TestVideoFile{1}.gt_frame = [1:2];",
        "TestVideoFile{end+1}.gt_frame = [61:180];",
        "TestVideoFile{end+1}.gt_frame = [5:90, 140:200];",
        "TestVideoFile{end+1}.gt_frame = [7];",
    ]
    (ped2 / "Test" / "UCSDped2.m").write_text("\n".join(lines))
    with pytest.warns(AnybindWarning, match="missing annotated videos: 1, first: .* Test/Test003"):
        dataset = create_part("dataset", "ucsd-ped", ped2)
    assert dataset.name == "UCSDped2"
    assert list_annotations(dataset) == {
        "Test001": ("abnormal", "test", [[60, 180]]),
        "Test002": ("abnormal", "test", [[4, 90], [139, 200]]),
        "Train001": ("normal", "train", []),
    }
    assert {item.options["fps"] for item in dataset.items} == {10.0}


def test_ucsd_ped_reads_masks_without_a_script(ped2):
    for video, marks in (("Test001", [0, 1, 1]), ("Test002", [0, 0])):
        folder = ped2 / "Test" / f"{video}_gt"
        folder.mkdir(exist_ok=True)
        for number, mark in enumerate(marks, start=1):
            mask = np.zeros((4, 6), np.uint8)
            mask[1, 2] = 255 * mark
            PIL.Image.fromarray(mask).save(folder / f"{number:03}.bmp")
    assert list_annotations(create_part("dataset", "ucsd-ped", ped2, split="test")) == {
        "Test001": ("abnormal", "test", [[1, 3]]),
        "Test002": ("normal", "test", []),
    }


def test_ucsd_ped_without_labels_reports_download_page(ped2):
    with pytest.raises(BadInput, match=r"labels of Test002.*svcl.ucsd.edu"):
        touch_files(ped2, "Test/Test001_gt/001.bmp")
        PIL.Image.fromarray(np.zeros((2, 2), np.uint8)).save(ped2 / "Test/Test001_gt/001.bmp")
        create_part("dataset", "ucsd-ped", ped2)


def test_avenue_reads_frame_masks(tmp_path):
    touch_files(tmp_path, "testing_videos/01.avi", "testing_videos/02.avi", "training_videos/01.avi")
    for number, marks in ((1, [0, 1, 0]), (2, [1, 1]), (10, [0])):
        cells = np.empty((1, len(marks)), dtype=object)
        for place, mark in enumerate(marks):
            cells[0, place] = np.full((3, 4), mark, np.uint8)
        scipy.io.savemat(tmp_path / f"{number}_label.mat", {"volLabel": cells})
    with pytest.warns(AnybindWarning, match=r"first: .* testing_videos/10\.avi"):
        dataset = create_part("dataset", "avenue", tmp_path)
    assert list_annotations(dataset) == {
        "01": ("abnormal", "test", [[1, 2]]),
        "02": ("abnormal", "test", [[0, 2]]),
        "training 01": ("normal", "train", []),
    }


@pytest.mark.parametrize("content", [{"other": np.zeros(2)}, {"volLabel": np.zeros((2, 2))}, None])
def test_avenue_rejects_other_files(tmp_path, content):
    touch_files(tmp_path, "testing_videos/01.avi", "1_label.mat")
    if content is not None:
        scipy.io.savemat(tmp_path / "1_label.mat", content)
    with pytest.raises(BadInput, match=r"1_label\.mat"):
        create_part("dataset", "avenue", tmp_path)


def test_own_videos_are_annotated_by_labels_json(tmp_path):
    about = {
        "a": {"anomalous": [[3, 5]], "class": "fight"},
        "b": {"split": "train"},
        "c": {"anomalous": [[1, 1]]},
        "gone": {},
    }
    (tmp_path / "labels.json").write_text(json.dumps(about))
    touch_files(tmp_path, "a.mp4", "deep/b.avi", "frames/c/0.png", "unnamed.mp4")
    with pytest.warns(AnybindWarning, match="first: .* gone"):
        dataset = create_part("dataset", "labelled-videos", tmp_path)
    assert list_annotations(dataset) == {
        "a": ("fight", "test", [[2, 5]]),
        "b": ("normal", "train", []),
        "c": ("abnormal", "test", [[0, 1]]),
    }


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"a": 1}', '{"a": {"anomalous": [1, 2]}}', '{"a": {"split": "x"}}', '{"a": {"anomalous": [[2, 1]]}}'],
)
def test_invalid_label_files_are_rejected(tmp_path, text):
    (tmp_path / "labels.json").write_text(text)
    touch_files(tmp_path, "a.mp4")
    with pytest.raises(BadInput, match=r"labels\.json"):
        create_part("dataset", "labelled-videos", tmp_path)


@pytest.mark.parametrize("name", ["ucf-crime", "xd-violence", "shanghai-tech", "ucsd-ped", "avenue"])
def test_empty_folder_is_reported_with_download_page(tmp_path, name):
    with pytest.raises(BadInput, match=r"has no .*published at http"):
        create_part("dataset", name, tmp_path)
    with pytest.raises(BadInput, match="is not a folder"):
        create_part("dataset", name, tmp_path / "none")


def test_all_videos_missing_is_an_error(ucf):
    for path in ucf.rglob("*.mp4"):
        path.unlink()
    with pytest.warns(AnybindWarning, match="missing annotated videos: 4"), pytest.raises(BadInput, match="no videos"):
        create_part("dataset", "ucf-crime", ucf)


def test_limit_applies_to_each_split(ucf):
    touch_files(ucf, "Arson011_x264.mp4")
    assert [item.id for item in create_part("dataset", "ucf-crime", ucf, limit=2).items] == [
        "Abuse028_x264",
        "Arson011_x264",
    ]
    for options in ({"limit": 0}, {"split": "half"}):
        with pytest.raises(BadOption):
            create_part("dataset", "ucf-crime", ucf, **options)


def test_labels_of_frames_are_part_of_the_split_hash(ucf):
    touch_files(ucf, "Arson011_x264.mp4")
    before = create_part("dataset", "ucf-crime", ucf).split_hash
    path = next(ucf.glob("Temporal*"))
    path.write_text(path.read_text().replace("240", "241"))
    assert create_part("dataset", "ucf-crime", ucf).split_hash != before


@given(st.lists(st.integers(0, 3), max_size=30))
def test_spans_cover_exactly_the_nonzero_frames(mask):
    spans = find_spans(np.array(mask))
    covered = [any(first <= frame < behind for first, behind in spans) for frame in range(len(mask))]
    assert covered == [mark != 0 for mark in mask]
    assert all(behind < first for (_, behind), (first, _) in pairwise(spans))


def test_real_ped2_annotations_are_read(test_data):
    dataset = create_part("dataset", "ucsd-ped", test_data / "ucsd_ped2")
    assert [item.notes["abnormal"] for item in dataset.items] == [[[60, 180]], [[94, 180]], [[0, 146]], [[30, 180]]]
