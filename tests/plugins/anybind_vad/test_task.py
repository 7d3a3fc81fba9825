"""The task `vad` on made films: each head must find the one who runs; what was played is kept; errors are told."""

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
from anybind_vad.labels import compute_window_labels
from anybind_vad.windows import VideoWindows, open_video

FRAMES = 96
NOBODY = range(0)


class Amount(Encoder):
    """Embeds events by how many there are, pictures by how much is dark, words by what they say of speed."""

    weights_hash = "3" * 12
    preprocessing = {}  # noqa: RUF012 (an interface attribute)
    logit_scale = 20.0

    def __init__(self, modality: str) -> None:
        self.modality = modality
        self.space = anybind.Space("amounts", 2)
        self.embedded = 0

    def encode(self, inputs):
        self.embedded += len(inputs)
        return anybind.normalize(np.array([[self.amount(sample), 1.0] for sample in inputs], dtype=np.float32))

    def amount(self, sample) -> float:
        if isinstance(sample, str):
            return 5.0 if "run" in sample else 1.0
        if isinstance(sample, np.ndarray):
            return (sample.mean(axis=2) < 75).mean() * 20
        return len(sample) / 9000


@pytest.fixture
def binder(monkeypatch):
    names = ("event", "image", "text")
    binder = anybind.load(anybind.Binding("amounts", {name: ConfiguredPart("none") for name in names}))
    monkeypatch.setattr(binder, "_encoders", {name: Amount(name) for name in names})
    return binder


@pytest.fixture
def folder(make_street, tmp_path):
    """Two films to test, one of them with a runner; four to learn from, two of them with one."""
    about = {}
    for name, split, runner, seed in (
        ("calm", "test", NOBODY, 1),
        ("wild", "test", range(32, 72), 1),
        ("calm-a", "train", NOBODY, 2),
        ("calm-b", "train", NOBODY, 3),
        ("wild-a", "train", range(40, 80), 2),
        ("wild-b", "train", range(16, 56), 3),
    ):
        made = make_street(FRAMES, runner, seed)
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / f"{name}.mkv").symlink_to(made.path)
        about[name] = {"split": split, "anomalous": [[runner.start + 1, runner.stop]] if runner else []}
    (tmp_path / "data" / "labels.json").write_text(json.dumps(about))
    return tmp_path / "data"


def ask(binder, folder, *, split="all", on_bad=None, seed=0, **options):
    dataset = create_part("dataset", "labelled-films", folder, split=split)
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
        {"head": "image", "of": "one-class"},
    ],
    ids=str,
)
def test_each_head_finds_the_runner(binder, folder, options):
    result = ask(binder, folder, stride=4, **options)
    assert result.metrics["auc"] > 0.9
    assert result.metrics["window_auc"] > 0.95
    assert result.details["films"][1]["auc"] > 0.9


def test_the_metrics_are_of_frames_and_windows_and_equal_scikit_learns(binder, folder):
    result = ask(binder, folder, head="event-rate")
    labels, scores, window_labels, window_scores = [], [], [], []
    for name, runner in (("calm", NOBODY), ("wild", range(32, 72))):
        own = np.isin(np.arange(FRAMES), runner).astype(int)
        windows = list(VideoWindows(open_video(folder / f"{name}.mkv"), images=False))
        rates = [len(window.events) / window.frames for window in windows]
        labels.append(own)
        scores.append(np.repeat(rates, 16))
        window_labels.append(compute_window_labels(own, np.array([(window.first, window.frames) for window in windows])))
        window_scores.append(rates)
    together = [np.concatenate(each) for each in (labels, scores, window_labels, window_scores)]
    assert result.metrics["auc"] == pytest.approx(roc_auc_score(*together[:2]))
    assert result.metrics["ap"] == pytest.approx(average_precision_score(*together[:2]))
    assert result.metrics["window_auc"] == pytest.approx(roc_auc_score(*together[2:]))
    assert result.metrics["window_ap"] == pytest.approx(average_precision_score(*together[2:]))
    assert (result.n, result.gallery_size) == (2, 0)
    assert (result.details["frames"], result.details["windows"]) == (2 * FRAMES, 2 * FRAMES // 16)
    rows = result.details["films"]
    assert [(row["film"], row["abnormal"], row["auc"] is None) for row in rows] == [
        ("calm", 0, True),
        ("wild", 40, False),
    ]
    assert result.intervals["auc"][0] <= result.metrics["auc"] <= result.intervals["auc"][1]
    assert result.intervals.keys() == {"auc", "ap", "window_auc", "window_ap"}
    assert list(result.curves["roc"]) == ["false positive rate", "true positive rate"]
    json.dumps(result.to_dict())


def test_videos_that_are_stored_are_not_embedded_again(binder, folder, tmp_path):
    first = ask(binder, folder, head="one-class", store=tmp_path / "store")
    embedded = binder.encoder("event").embedded
    again = ask(binder, folder, head="one-class", store=tmp_path / "store")
    assert binder.encoder("event").embedded == embedded
    assert again.metrics == first.metrics
    ask(binder, folder, head="one-class", store=tmp_path / "store", stride=8)
    assert binder.encoder("event").embedded > embedded


def test_a_folder_of_frames_that_has_grown_is_decoded_again(binder, tmp_path):
    film = tmp_path / "data" / "walk"
    film.mkdir(parents=True)
    (tmp_path / "data" / "labels.json").write_text('{"walk": {"anomalous": [[2, 3]]}}')
    random = np.random.default_rng(0)
    for numbers in (range(6), range(6, 9)):
        for number in numbers:
            PIL.Image.fromarray(random.integers(0, 256, (12, 16), dtype=np.uint8)).save(film / f"{number}.png")
        result = ask(binder, tmp_path / "data", head="event-rate", store=tmp_path / "store")
        assert result.details["frames"] == numbers.stop


def test_a_saved_head_needs_no_films_to_learn_from(binder, folder, tmp_path):
    first = ask(binder, folder, head="one-class", save_head=tmp_path / "head.safetensors")
    again = ask(binder, folder, head=str(tmp_path / "head.safetensors"), split="test")
    assert again.metrics == first.metrics


def test_a_head_is_refused_at_film_settings_other_than_its_own(binder, folder, tmp_path):
    saved = str(tmp_path / "head.safetensors")
    ask(binder, folder, head="one-class", save_head=saved)
    for options, said in (({"threshold": 12}, "frames=16,threshold=12"), ({"frames": 8}, "frames=8,threshold=25")):
        with pytest.raises(WeightsMismatch, match=f"frames=16,threshold=25, got those of .*{said}"):
            ask(binder, folder, head=saved, split="test", **options)
    assert ask(binder, folder, head=saved, split="test", threshold=25.0, stride=4).metrics["auc"] > 0.9


def test_a_head_of_pictures_does_not_mind_how_events_are_made(binder, folder, tmp_path):
    saved = str(tmp_path / "head.safetensors")
    first = ask(binder, folder, head="image", of="one-class", save_head=saved)
    assert ask(binder, folder, head=saved, split="test", threshold=12).metrics == first.metrics


def test_a_task_fits_its_head_anew_each_time(binder, folder):
    films = create_part("dataset", "labelled-films", folder)
    task = create_part("task", "vad", head="one-class", fit_on=["calm"])
    first = task.run(binder, films, modality="event")
    task.fit_on = ["wild-a"]
    assert task.run(binder, films, modality="event").details["films"] != first.details["films"]


def test_a_head_can_learn_from_all_other_films(binder, folder):
    result = ask(binder, folder, head="one-class", fit_on="others", split="test")
    assert result.details["settings"]["fit_on"] == "others"
    # Of each film's own windows nothing is learned: so the same as fitted on the other one by name.
    named = ask(binder, folder, head="one-class", fit_on=["calm"], split="test")
    assert result.details["films"][1] == named.details["films"][1]
    assert result.details["films"][0] != named.details["films"][0]


def test_the_picture_of_the_curves_is_written(binder, folder, tmp_path):
    ask(binder, folder, head="event-rate", roc=tmp_path / "roc.png")
    assert (tmp_path / "roc.png").stat().st_size > 1000


def test_labels_of_one_kind_only_are_told(binder, folder):
    (folder / "labels.json").write_text('{"calm": {}}')
    with pytest.warns(AnybindWarning, match="one kind only") as warned:
        result = ask(binder, folder, head="event-rate", roc=folder / "roc.png")
    assert [each.category for each in warned] == [AnybindWarning]  # and none of a picture without curves
    assert "auc" not in result.metrics
    assert "not defined" in result.undefined["auc"]
    assert "not defined" in result.undefined["window_auc"]
    assert result.curves == {}


def test_damaged_films_are_refused_or_left_out(binder, folder):
    whole = (folder / "wild.mkv").read_bytes()
    (folder / "wild.mkv").unlink()
    (folder / "wild.mkv").write_bytes(whole[: len(whole) // 2])
    (folder / "text.mkv").write_text("no film")
    (folder / "labels.json").write_text('{"calm": {"anomalous": [[1, 5]]}, "wild": {}, "text": {}}')
    with pytest.raises(BadInput):
        ask(binder, folder, head="event-rate")
    left_out = []
    result = ask(binder, folder, head="event-rate", on_bad=lambda id, error: left_out.append(id))
    assert left_out == ["text", "wild"]
    assert [row["film"] for row in result.details["films"]] == ["calm"]


def test_a_head_without_films_to_learn_from_says_what_to_do(binder, folder):
    with pytest.raises(BadInput, match="fit_on=others"):
        ask(binder, folder, head="one-class", split="test")
    with pytest.raises(BadInput, match="no videos of its test split"):
        ask(binder, folder, head="one-class", split="train")
    for id in ("gone", 7):  # a command's fit_on=7 is a number
        with pytest.raises(BadOption, match=f"the video '{id}'"):
            ask(binder, folder, head="one-class", fit_on=id)


def test_options_that_make_no_sense_are_refused_before_films_are_played(binder, folder, tmp_path):
    for options in (
        {"head": "one-class", "neighbours": 0},
        {"head": "one-class", "depth": 3},
        {"head": "event-rate", "threshold": "x"},
        {"head": "event-rate", "clamp": float("nan")},
        {"head": "event-rate", "smooth": -1},
        {"head": "event-rate", "stride": "x"},
        {"head": "event-rate", "frames": 0},
        {"head": "event-rate", "batch_size": 0},
        {"head": "one-class", "fit_on": "others", "save_head": tmp_path / "a.safetensors"},
    ):
        with pytest.raises(BadOption):
            create_part("task", "vad", **options)
    with pytest.raises(BadInput):
        ask(binder, folder, roc=tmp_path / "none" / "roc.png")
    with pytest.raises(BadOption, match="not as image"):
        dataset = create_part("dataset", "labelled-films", folder)
        create_part("task", "vad").run(binder, dataset, modality="image")


def test_a_preset_whose_clamp_the_tower_does_not_take_is_told(folder):
    with pytest.warns(AnybindWarning, match="of the preset 'author-readme', only its threshold applies"):
        result = ask(anybind.load("mini"), folder, head="event-rate", preset="author-readme")
    assert result.details["settings"]["threshold"] == 10
    assert result.details["settings"]["clamp"] is None


def test_the_command_asks_the_task(cli, folder):
    ended = cli(
        *("evaluate", "vad", "--dataset", "labelled-films", "--data", folder, "--modality", "event"),
        *("--option", "head=event-rate", "--json"),
    )
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["auc"] > 0.9


def test_people_read_metrics_with_intervals_and_how_many_films(cli, folder):
    command = ("evaluate", "vad", "--dataset", "labelled-films", "--data", folder, "--modality", "event")
    said = cli(*command, "--option", "head=event-rate").out
    assert re.search(r"\bauc\b.*0\.\d{4} to \d", said)
    assert re.search(r"samples\W+2\b", said)
    assert "asked among" not in said
