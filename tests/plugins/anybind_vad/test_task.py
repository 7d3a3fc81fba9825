"""The task `vad` on synthetic videos: metrics of each head, the embedding store, splits, and errors."""

from __future__ import annotations

import json
import re

import numpy as np
import PIL.Image
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

import anybind
from anybind import AnybindWarning, BadInput
from anybind.binding import ConfiguredPart
from anybind.encoder import Encoder
from anybind.errors import BadOption, WeightsMismatch
from anybind.registry import create_part
from anybind_vad import score_video
from anybind_vad.labels import compute_window_labels
from anybind_vad.opening import open_video
from anybind_vad.windows import VideoWindows

pytestmark = pytest.mark.torch

FRAMES = 96
NOBODY = range(0)


class MotionEncoder(Encoder):
    """Encoder of events by their number, of images by their dark pixels, of texts by the word run."""

    weights_hash = "3" * 12
    preprocessing = {}  # noqa: RUF012 (an interface attribute)
    logit_scale = 20.0

    def __init__(self, modality: str) -> None:
        self.modality = modality
        self.space = anybind.Space("amounts", 2)
        self.n_embedded = 0

    def encode(self, inputs):
        self.n_embedded += len(inputs)
        return anybind.normalize(np.array([[self.measure(sample), 1.0] for sample in inputs], dtype=np.float32))

    def measure(self, sample) -> float:
        if isinstance(sample, str):
            return 5.0 if "run" in sample else 1.0
        if isinstance(sample, np.ndarray):
            return (sample.mean(axis=2) < 75).mean() * 20
        return len(sample) / 9000


@pytest.fixture
def binder(monkeypatch):
    names = ("event", "image", "text")
    binder = anybind.load(anybind.Binding("amounts", {name: ConfiguredPart("none") for name in names}))
    monkeypatch.setattr(binder._loader, "encoders", {(name, "auto"): MotionEncoder(name) for name in names})
    return binder


@pytest.fixture
def folder(make_street, tmp_path):
    """Two test videos, one of them with a runner; four training videos, two of them with one."""
    labels = {}
    for name, split, runner, seed in (
        ("calm", "test", NOBODY, 1),
        ("wild", "test", range(32, 72), 1),
        ("calm-a", "train", NOBODY, 2),
        ("calm-b", "train", NOBODY, 3),
        ("wild-a", "train", range(40, 80), 2),
        ("wild-b", "train", range(16, 56), 3),
    ):
        street = make_street(FRAMES, runner, seed)
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / f"{name}.mkv").symlink_to(street.path)
        labels[name] = {"split": split, "anomalous": [[runner.start + 1, runner.stop]] if runner else []}
    (tmp_path / "data" / "labels.json").write_text(json.dumps(labels))
    return tmp_path / "data"


def evaluate_head(binder, folder, *, split="all", on_bad=None, seed=0, **options):
    dataset = create_part("dataset", "labelled-videos", folder, split=split)
    return create_part("task", "vad", **options).run(binder, dataset, modality="event", seed=seed, on_bad=on_bad)


@pytest.mark.parametrize(
    "options",
    [
        {"head": "event-rate"},
        {"head": "zero-shot", "normal": ["walking"], "abnormal": ["running"]},
        {"head": "one-class"},
        {"head": "one-class", "method": "gaussian"},
        {"head": "mil", "steps": 100},
        {"head": "mil", "steps": 100, "loss": "top-k"},
        {"head": "image", "base": "one-class"},
        {"head": "fused"},
        {"head": "fused", "base": "zero-shot", "normal": ["walking"], "abnormal": ["running"]},
        {"head": "zero-shot", "normal": ["walking"], "abnormal": ["running"], "sigma": 0.1, "smoothing": "similarity"},
    ],
    ids=str,
)
def test_each_head_finds_the_runner(binder, folder, options):
    result = evaluate_head(binder, folder, stride=4, **options)
    assert result.metrics["auc"] > 0.9
    assert result.metrics["window_auc"] > 0.95
    assert result.details["videos"][1]["auc"] > 0.9


def test_a_saved_fused_head_scores_videos_alike(binder, folder, tmp_path):
    saved = tmp_path / "head.safetensors"
    options = {"base": "zero-shot", "normal": ["walking"], "abnormal": ["running"]}
    first = evaluate_head(binder, folder, head="fused", save_head=saved, **options)
    assert evaluate_head(binder, folder, head=str(saved), split="test").metrics == first.metrics


@pytest.mark.slow
def test_smoothing_by_similarity_is_that_of_a_scored_video(binder, folder):
    smoothed = evaluate_head(binder, folder, head="zero-shot", stride=4, sigma=0.5, smoothing="similarity")
    plain = evaluate_head(binder, folder, head="zero-shot", stride=4)
    assert smoothed.details["settings"]["smoothing"] == "similarity"
    rows = [result.details["videos"][1] for result in (smoothed, plain)]
    assert rows[0]["mean_score"] != rows[1]["mean_score"]
    scores = score_video(folder / "wild.mkv", head="zero-shot", sigma=0.5, smoothing="similarity")
    other = score_video(folder / "wild.mkv", head="zero-shot", sigma=0.5)
    np.testing.assert_array_equal(scores.window_scores, other.window_scores)
    assert not np.array_equal(scores.frame_scores, other.frame_scores)


def test_metrics_of_frames_and_windows_equal_scikit_learn(binder, folder):
    result = evaluate_head(binder, folder, head="event-rate")
    labels, scores, window_labels, window_scores = [], [], [], []
    for name, runner in (("calm", NOBODY), ("wild", range(32, 72))):
        frame_labels = np.isin(np.arange(FRAMES), runner).astype(int)
        windows = list(VideoWindows(open_video(folder / f"{name}.mkv"), images=False))
        rates = [len(window.events) / window.frames for window in windows]
        labels.append(frame_labels)
        scores.append(np.repeat(rates, 16))
        window_labels.append(
            compute_window_labels(frame_labels, np.array([(window.first, window.frames) for window in windows]))
        )
        window_scores.append(rates)
    columns = [np.concatenate(column) for column in (labels, scores, window_labels, window_scores)]
    assert result.metrics["auc"] == pytest.approx(roc_auc_score(*columns[:2]))
    assert result.metrics["ap"] == pytest.approx(average_precision_score(*columns[:2]))
    assert result.metrics["window_auc"] == pytest.approx(roc_auc_score(*columns[2:]))
    assert result.metrics["window_ap"] == pytest.approx(average_precision_score(*columns[2:]))
    assert (result.n, result.gallery_size) == (2, 0)
    assert (result.details["frames"], result.details["windows"]) == (2 * FRAMES, 2 * FRAMES // 16)
    rows = result.details["videos"]
    assert [(row["video"], row["abnormal_frames"], row["auc"] is None) for row in rows] == [
        ("calm", 0, True),
        ("wild", 40, False),
    ]
    assert result.intervals["auc"][0] <= result.metrics["auc"] <= result.intervals["auc"][1]
    assert result.intervals.keys() == {"auc", "ap", "pr_auc", "window_auc", "window_ap", "window_pr_auc"}
    assert list(result.curves["roc"]) == ["false positive rate", "true positive rate"]
    json.dumps(result.to_dict())


def test_stored_videos_are_not_embedded_again(binder, folder, tmp_path):
    first = evaluate_head(binder, folder, head="one-class", store=tmp_path / "store")
    n_embedded = binder.encoder("event").n_embedded
    again = evaluate_head(binder, folder, head="one-class", store=tmp_path / "store")
    assert binder.encoder("event").n_embedded == n_embedded
    assert again.metrics == first.metrics
    evaluate_head(binder, folder, head="one-class", store=tmp_path / "store", stride=8)
    assert binder.encoder("event").n_embedded > n_embedded


def test_folder_with_new_frames_is_decoded_again(binder, tmp_path):
    video = tmp_path / "data" / "walk"
    video.mkdir(parents=True)
    (tmp_path / "data" / "labels.json").write_text('{"walk": {"anomalous": [[2, 3]]}}')
    random = np.random.default_rng(0)
    for numbers in (range(6), range(6, 9)):
        for number in numbers:
            PIL.Image.fromarray(random.integers(0, 256, (12, 16), dtype=np.uint8)).save(video / f"{number}.png")
        result = evaluate_head(binder, tmp_path / "data", head="event-rate", store=tmp_path / "store")
        assert result.details["frames"] == numbers.stop


def test_saved_head_needs_no_training_videos(binder, folder, tmp_path):
    first = evaluate_head(binder, folder, head="one-class", save_head=tmp_path / "head.safetensors")
    again = evaluate_head(binder, folder, head=str(tmp_path / "head.safetensors"), split="test")
    assert again.metrics == first.metrics


def test_saved_head_is_refused_with_other_window_settings(binder, folder, tmp_path):
    saved = str(tmp_path / "head.safetensors")
    evaluate_head(binder, folder, head="one-class", save_head=saved)
    for options, message in (({"threshold": 12}, "frames=16,threshold=12"), ({"frames": 8}, "frames=8,threshold=25")):
        with pytest.raises(WeightsMismatch, match=f"frames=16,threshold=25,difference=luma, got those of .*{message}"):
            evaluate_head(binder, folder, head=saved, split="test", **options)
    assert evaluate_head(binder, folder, head=saved, split="test", threshold=25.0, stride=4).metrics["auc"] > 0.9


def test_image_head_is_independent_of_event_settings(binder, folder, tmp_path):
    saved = str(tmp_path / "head.safetensors")
    first = evaluate_head(binder, folder, head="image", base="one-class", save_head=saved)
    assert evaluate_head(binder, folder, head=saved, split="test", threshold=12).metrics == first.metrics


def test_each_run_fits_a_new_head(binder, folder):
    dataset = create_part("dataset", "labelled-videos", folder)
    task = create_part("task", "vad", head="one-class", fit_on=["calm"])
    first = task.run(binder, dataset, modality="event")
    task.fit_on = ["wild-a"]
    assert task.run(binder, dataset, modality="event").details["videos"] != first.details["videos"]


def test_head_can_be_fitted_on_all_other_videos(binder, folder):
    result = evaluate_head(binder, folder, head="one-class", fit_on="others", split="test")
    assert result.details["settings"]["fit_on"] == "others"
    # Each video is scored by a head fitted on the other one: the same as fitted on it by id.
    named = evaluate_head(binder, folder, head="one-class", fit_on=["calm"], split="test")
    assert result.details["videos"][1] == named.details["videos"][1]
    assert result.details["videos"][0] != named.details["videos"][0]


def test_roc_curves_are_plotted_to_a_file(binder, folder, tmp_path):
    evaluate_head(binder, folder, head="event-rate", roc=tmp_path / "roc.png")
    assert (tmp_path / "roc.png").stat().st_size > 1000


def test_equal_labels_are_reported(binder, folder):
    (folder / "labels.json").write_text('{"calm": {}}')
    with pytest.warns(AnybindWarning, match="all labels are normal") as warned:
        result = evaluate_head(binder, folder, head="event-rate", roc=folder / "roc.png")
    assert [warning.category for warning in warned] == [AnybindWarning]  # and none of a plot without curves
    assert "auc" not in result.metrics
    assert "undefined" in result.undefined["auc"]
    assert "undefined" in result.undefined["window_auc"]
    assert result.curves == {}


def test_damaged_videos_are_refused_or_skipped(binder, folder):
    whole = (folder / "wild.mkv").read_bytes()
    (folder / "wild.mkv").unlink()
    (folder / "wild.mkv").write_bytes(whole[: len(whole) // 2])
    (folder / "text.mkv").write_text("not a video")
    (folder / "labels.json").write_text('{"calm": {"anomalous": [[1, 5]]}, "wild": {}, "text": {}}')
    with pytest.raises(BadInput):
        evaluate_head(binder, folder, head="event-rate")
    skipped = []
    result = evaluate_head(binder, folder, head="event-rate", on_bad=lambda id, error: skipped.append(id))
    assert skipped == ["text", "wild"]
    assert [row["video"] for row in result.details["videos"]] == ["calm"]


def test_missing_training_videos_are_an_error_with_a_remedy(binder, folder):
    with pytest.raises(BadInput, match="fit_on=others"):
        evaluate_head(binder, folder, head="one-class", split="test")
    with pytest.raises(BadInput, match="no videos of its test split"):
        evaluate_head(binder, folder, head="one-class", split="train")
    for id in ("gone", 7):  # a command's fit_on=7 is a number
        with pytest.raises(BadOption, match=f"no video '{id}'"):
            evaluate_head(binder, folder, head="one-class", fit_on=id)


def test_invalid_options_are_refused_before_videos_are_decoded(binder, folder, tmp_path):
    for options in (
        {"head": "one-class", "neighbours": 0},
        {"head": "one-class", "depth": 3},
        {"head": "event-rate", "threshold": "x"},
        {"head": "event-rate", "clamp": float("nan")},
        {"head": "event-rate", "sigma": -1},
        {"head": "zero-shot", "smoothing": "space"},
        {"head": "zero-shot", "smoothing": "similarity"},
        {"head": "event-rate", "sigma": 1.0, "smoothing": "similarity"},
        {"head": "event-rate", "stride": "x"},
        {"head": "event-rate", "frames": 0},
        {"head": "event-rate", "batch_size": 0},
        {"head": "one-class", "fit_on": "others", "save_head": tmp_path / "a.safetensors"},
    ):
        with pytest.raises(BadOption):
            create_part("task", "vad", **options)
    with pytest.raises(BadInput):
        evaluate_head(binder, folder, roc=tmp_path / "none" / "roc.png")
    with pytest.raises(BadOption, match="got 'image'"):
        dataset = create_part("dataset", "labelled-videos", folder)
        create_part("task", "vad").run(binder, dataset, modality="image")


def test_unsupported_clamp_of_a_preset_is_reported(folder):
    with pytest.warns(
        AnybindWarning, match="of the preset 'author-readme', only the threshold and the difference apply"
    ):
        result = evaluate_head(anybind.load("mini"), folder, head="event-rate", preset="author-readme")
    assert result.details["settings"]["threshold"] == 10
    assert result.details["settings"]["clamp"] is None


def test_evaluate_command_runs_the_task(cli, folder):
    process = cli(
        *("evaluate", "vad", "--dataset", "labelled-videos", "--data", folder, "--modality", "event"),
        *("--task-option", "head=event-rate", "--json"),
    )
    assert process.code == 0, process.err
    assert json.loads(process.out)["auc"] > 0.9


def test_table_has_intervals_and_the_number_of_videos(cli, folder):
    command = ("evaluate", "vad", "--dataset", "labelled-videos", "--data", folder, "--modality", "event")
    table = cli(*command, "--task-option", "head=event-rate").out
    assert re.search(r"\bauc\b.*0\.\d{4} to \d", table)
    assert re.search(r"samples\W+2\b", table)
    assert "asked among" not in table
