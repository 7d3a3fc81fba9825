"""Classification and evaluation of recordings over time, with an encoder of the share of ON events."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import anybind
from anybind.binding import ConfiguredPart
from anybind.encoder import Encoder
from anybind.errors import BadInput, BadOption
from anybind.registry import Registry, use_registry
from anybind.spec import BindingSpec, EncoderSpec
from anybind.windows import WindowOptions
from anybind_classification import classify, classify_windows, fit_head
from anybind_classification.recordings import EXPONENTIAL, smooth_embeddings
from anybind_events import measure_activity
from helpers.streams import draw_noise, move_bar

LABELS = ["bright", "dark"]
WINDOWS = WindowOptions(window="100ms")


class PolarityEncoder(Encoder):
    """Encoder of events by the share of ON events, and of texts by the words `bright` and `dark`."""

    weights_hash = "0" * 12
    preprocessing = {}  # noqa: RUF012 (an interface attribute)
    logit_scale = 10.0

    def __init__(self, modality: str) -> None:
        self.modality, self.space = modality, anybind.Space("polarity", 2)

    def encode(self, inputs):
        if self.modality == "text":
            return anybind.normalize(np.array([["bright" in text, "dark" in text] for text in inputs], float) + 0.01)
        shares = np.array([sample.p.mean() for sample in inputs])
        return anybind.normalize(np.stack([shares, 1 - shares], axis=1) + 0.01)


def make_binding(argument: str) -> anybind.Binding:
    encoders = {name: ConfiguredPart("polarity", {"modality": name}) for name in ("text", "event")}
    return anybind.Binding("polarity", encoders, space="polarity")


@pytest.fixture(autouse=True)
def polarity_binding(add_plugin: Callable[..., None]) -> Iterator[None]:
    """Register the binding `polarity`."""
    registry = Registry.from_entry_points()
    add_plugin(
        registry,
        EncoderSpec(name="polarity", summary="s", modality="event", target=f"{__name__}:PolarityEncoder"),
        BindingSpec(name="polarity", summary="s", target=f"{__name__}:make_binding"),
    )
    previous = use_registry(registry)
    yield
    use_registry(previous)


def join(*streams):
    """Join streams of 64x64 pixels, each at the end of the one before."""
    starts = np.cumsum([0, *(200_000 for _ in streams[1:])])
    columns = {name: np.concatenate([getattr(each, name) for each in streams]) for name in "xyp"}
    time = np.concatenate([each.t - each.t[0] + start for each, start in zip(streams, starts, strict=True)])
    order = np.argsort(time, kind="stable")
    return type(streams[0])(
        **{name: column[order] for name, column in columns.items()}, t=time[order], width=64, height=64
    )


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Write a folder of labelled recordings, one of them of noise alone, and one that changes after 0.4 s."""
    root = tmp_path / "recordings"
    for label, on in (("bright", True), ("dark", False)):
        (root / label).mkdir(parents=True)
        for seed in range(2):
            anybind.write(move_bar(200_000, on=on, noise_hz=1, seed=seed), root / label / f"{seed}.npz")
    anybind.write(draw_noise(200_000, 3, 64, 64, seed=1), root / "dark" / "noise.npz")
    bright, dark = move_bar(200_000, noise_hz=1), move_bar(200_000, on=False, noise_hz=1)
    noise = draw_noise(200_000, 1, 64, 64, seed=2)
    anybind.write(join(bright, bright, dark, noise), tmp_path / "long.npz")
    return root


def run(path: Path, **options):
    (recording,) = classify_windows(path, LABELS, binding="polarity", **options)
    return recording


def test_a_long_recording_has_answers_over_time_and_a_summary(recordings: Path):
    recording = run(recordings.parent / "long.npz", options=WINDOWS)
    names = [window.name for window in recording.windows]
    assert names[:6] == ["bright"] * 4 + ["dark"] * 2
    assert set(names[6:]) == {"nothing moved"}
    assert recording.summary.label == "bright"
    assert [share.label for share in recording.shares] == ["bright", "dark", "nothing moved"]
    assert sum(share.fraction for share in recording.shares) == pytest.approx(1)
    runs = recording.list_runs()
    assert [(first.start_us, last.end_us) for first, last, _ in runs[:2]] == [(0, 400_000), (400_000, 600_000)]
    assert run(recordings.parent / "long.npz").is_whole is False  # longer than 0.6 s
    whole = run(recordings.parent / "long.npz", options=WindowOptions(window="whole"))
    assert (len(whole.windows), whole.is_whole) == (1, True)


def test_the_summary_is_what_classify_returns(recordings: Path):
    path = recordings.parent / "long.npz"
    (classification,) = classify(path, LABELS, binding="polarity", options=WINDOWS)
    assert classification == run(path, options=WINDOWS).summary


def test_noise_has_no_label(recordings: Path):
    recording = run(recordings / "dark" / "noise.npz")
    assert (recording.summary.label, recording.summary.scores) == ("", ())
    assert recording.summary.inactivity == "nothing moved"
    assert recording.shares[0].inactive


@pytest.mark.parametrize("smooth", [1, 2, 3, 10])
def test_smoothing_is_that_of_the_reference(smooth: int):
    random = np.random.default_rng(0)
    rows = anybind.normalize(random.standard_normal((7, 4)))
    embeddings = anybind.Embeddings(rows, anybind.Space("s", 4), "event", tuple("abcdefg"))
    means = np.stack([rows[max(0, k - smooth + 1) : k + 1].astype(np.float64).mean(axis=0) for k in range(7)])
    smoothed = smooth_embeddings(embeddings, smooth).vectors
    np.testing.assert_allclose(smoothed, means / np.linalg.norm(means, axis=1, keepdims=True), atol=1e-6)
    state, alpha = rows[0].astype(np.float64), 2 / (smooth + 1)
    for k, vector in enumerate(smooth_embeddings(embeddings, smooth, EXPONENTIAL).vectors):
        state = state if k == 0 else alpha * rows[k] + (1 - alpha) * state
        np.testing.assert_allclose(vector, state / np.linalg.norm(state), atol=1e-6)


def test_smoothing_takes_earlier_windows_into_account(recordings: Path):
    smoothed = run(recordings.parent / "long.npz", options=WINDOWS, smooth=4)
    assert [window.name for window in smoothed.windows[:5]] == ["bright"] * 5
    with pytest.raises(BadOption, match="expected a smoothing of mean or exponential, got 'median'"):
        run(recordings, smoothing="median")
    for smooth in (0, True, 1.5):
        with pytest.raises(BadOption, match=f"smooth: expected an integer above 0, got {smooth}"):
            run(recordings, smooth=smooth)
    assert run(recordings.parent / "long.npz", options=WINDOWS, smooth=np.int64(4)).windows == smoothed.windows


def test_the_command_prints_windows_as_json_lines_and_writes_a_page(cli, recordings: Path, tmp_path: Path):
    path, page = recordings.parent / "long.npz", tmp_path / "page.html"
    command = ("classify", path, "--labels", "bright,dark", "--binding", "polarity", "--window", "100ms", "--no-store")
    *windows, summary = [json.loads(line) for line in cli(*command, "--jsonl").out.splitlines()]
    assert windows[0]["start_us"] == 0
    assert windows[0]["label"] == "bright"
    assert windows[6] | {"intensity": 0, "end_us": 0} == {
        "file": str(path), "start_us": 600_000, "end_us": 0, "intensity": 0, "label": None, "scores": [],
        "inactivity": "nothing moved",
    }  # fmt: skip
    assert summary["windows"] == len(windows)
    assert summary["label"] == "bright"
    printed = json.loads(cli(*command, "--json").out)
    assert printed["windows"] == {"window": "100ms"}
    assert [each["start_us"] for each in printed["files"][0]["windows"]] == [each["start_us"] for each in windows]
    table = cli(*command, "--page", page).out
    assert re.search(r"0-0\.4s +│ bright", table)
    html = page.read_text()
    assert html.count('<div class="lane') == 3
    assert "<script" not in html
    assert "data:image/webp" in html


@pytest.mark.parametrize("options", [("--window", "1s"), ("--window", "1s", "--stride", "50ms")])
def test_one_window_is_reported_like_several_if_windows_are_asked_for(cli, recordings: Path, options: tuple[str, ...]):
    path, page = recordings / "bright" / "0.npz", recordings.parent / "page.html"
    command = ("classify", path, "--labels", "bright,dark", "--binding", "polarity", "--no-store", *options)
    window, summary = [json.loads(line) for line in cli(*command, "--jsonl").out.splitlines()]
    assert (window["start_us"], window["label"]) == (0, "bright")
    assert (summary["windows"], summary["shares"]) == (1, [{"label": "bright", "fraction": 1.0, "inactive": False}])
    (record,) = json.loads(cli(*command, "--json").out)["files"]
    assert record["windows"] == [window]
    assert "over time" in cli(*command, "--page", page).out
    assert '<div class="lane' in page.read_text()


@pytest.mark.parametrize("options", [(), ("--window", "whole")])
def test_a_short_recording_has_no_windows_unless_they_are_asked_for(cli, recordings: Path, options: tuple[str, ...]):
    path = recordings / "bright" / "0.npz"
    command = ("classify", path, "--labels", "bright,dark", "--binding", "polarity", "--no-store", *options)
    (summary,) = [json.loads(line) for line in cli(*command, "--jsonl").out.splitlines()]
    assert not {"windows", "shares"} & summary.keys()


def evaluate(cli, recordings: Path, *options: object) -> dict:
    command = (
        "evaluate",
        "zero-shot",
        "--data",
        recordings,
        "--modality",
        "event",
        "--binding",
        "polarity",
        "--no-store",
    )
    return json.loads(cli(*command, "--prompt", "{}", "--json", *options).out)


def test_evaluation_on_windows_counts_abstentions_and_has_intervals_by_recording(cli, recordings: Path, tmp_path: Path):
    page = tmp_path / "page.html"
    result = evaluate(cli, recordings, "--window", "100ms", "--page", page)
    assert (result["n"], result["recordings"]) == (10, 5)
    assert result["confusion"] == [[4, 0, 0], [0, 4, 2]]
    assert (result["top1"], result["top1_answered"], result["answered"]) == pytest.approx((0.8, 1, 0.8))
    assert result["recording_top1"] == pytest.approx(0.8)
    assert result["intervals"]["top1"][0] < 0.8 <= result["intervals"]["top1"][1]
    assert result["intervals"]["top1_answered"] == [1, 1]
    assert [row["answer"] for row in result["windows"]].count(None) == 2
    html = page.read_text()
    assert (html.count('class="right"'), html.count('class="none"'), html.count('class="wrong"')) == (8, 2, 0)
    assert "windows" not in evaluate(cli, recordings)  # as the help text says
    assert "[default: undivided recordings;" in " ".join(cli("evaluate", "--help").out.split())


def test_evaluation_prints_the_confusion_matrix(cli, recordings: Path):
    command = (
        "evaluate",
        "zero-shot",
        "--data",
        recordings,
        "--modality",
        "event",
        "--binding",
        "polarity",
        "--no-store",
    )
    assert re.search(r"dark +│ +│ 4 +│ 2 ", cli(*command, "--window", "100ms", "--prompt", "{}").out)
    assert "give --window" in cli(*command, "--page", "x.html").error()


@pytest.fixture
def labelled(recordings: Path) -> Path:
    """Write a folder of two classes, each with a recording of 0.6 s whose last 0.2 s are noise, and a short one."""
    root = recordings.parent / "labelled"
    for label, on in (("bright", True), ("dark", False)):
        (root / label).mkdir(parents=True)
        bar, noise = move_bar(200_000, on=on, noise_hz=1), draw_noise(200_000, 1, 64, 64, seed=2)
        anybind.write(join(bar, bar, noise), root / label / "long.npz")
        anybind.write(move_bar(100_000, on=on, noise_hz=1, seed=1), root / label / "short.npz")
    return root


def fit(data: Path, **options: object) -> np.ndarray:
    """Fit prototypes of scale 1; return one for each class, (2, 2)."""
    return fit_head(data, head="prototypes", binding="polarity", scale=1, **options).tensors["weight"]


def embed_active_windows(data: Path) -> dict[str, np.ndarray]:
    """Return the embeddings of the windows of 100 ms in which something moves, by class."""
    rows: dict[str, list[np.ndarray]] = {"bright": [], "dark": []}
    binder = anybind.load("polarity")
    for path in sorted(data.glob("*/*.npz")):
        for window in anybind.read(path).windows("100ms"):
            if len(window) and measure_activity(window).moved:
                rows[path.parent.name].append(binder.embed("event", [window]).vectors[0])
    return {label: np.stack(vectors) for label, vectors in rows.items()}


def test_a_head_is_fitted_on_the_windows_in_which_something_moves(labelled: Path):
    rows = embed_active_windows(labelled)
    assert {label: len(vectors) for label, vectors in rows.items()} == {"bright": 5, "dark": 5}
    means = np.stack([vectors.mean(axis=0) for vectors in rows.values()])
    np.testing.assert_allclose(fit(labelled, options=WINDOWS), anybind.normalize(means), atol=1e-6)
    assert not np.allclose(fit(labelled, options=WindowOptions(window="whole")), fit(labelled, options=WINDOWS))


def test_windows_of_a_class_are_drawn_by_the_seed(labelled: Path):
    rows = embed_active_windows(labelled)
    drawn = [fit(labelled, options=WINDOWS, windows_per_class=1, seed=seed) for seed in (0, 0, *range(1, 8))]
    assert np.array_equal(drawn[0], drawn[1])
    for weights in drawn:
        for weight, vectors in zip(weights, rows.values(), strict=True):
            assert np.abs(vectors - weight).max(axis=1).min() < 1e-6  # one of the windows
    assert len({weights.tobytes() for weights in drawn}) > 1
    assert np.array_equal(fit(labelled, options=WINDOWS, windows_per_class=5), fit(labelled, options=WINDOWS))


def test_files_of_a_class_are_drawn_by_the_seed(labelled: Path):
    parts = []
    for name in ("long", "short"):
        part = labelled.parent / name
        for label in ("bright", "dark"):
            (part / label).mkdir(parents=True)
            shutil.copy(labelled / label / f"{name}.npz", part / label)
        parts.append(fit(part, options=WINDOWS))
    drawn = [fit(labelled, options=WINDOWS, files_per_class=1, seed=seed) for seed in range(8)]
    for row in range(2):
        choices = {tuple(part[row].tolist()) for part in parts}
        assert {tuple(weights[row].tolist()) for weights in drawn} == choices
    for count in (0, 1.5, True):
        with pytest.raises(BadOption, match=f"files_per_class: expected an integer above 0, got {count}"):
            fit(labelled, files_per_class=count)
    with pytest.raises(BadOption, match="the seed must be an integer of 0 or more, got -1"):
        fit(labelled, seed=-1)


def test_a_recording_of_noise_is_an_error_or_skipped(recordings: Path):
    with pytest.raises(BadInput, match=r"noise\.npz: expected windows in which something happens, got none: nothing"):
        fit(recordings)
    skipped: dict[str, object] = {}
    fit(recordings, on_bad=skipped.__setitem__)
    assert [Path(id).name for id in skipped] == ["noise.npz"]


def test_the_commands_fit_a_head_on_windows_and_classify_windows_by_it(cli, labelled: Path, tmp_path: Path):
    head = tmp_path / "head.safetensors"
    options = ("--binding", "polarity", "--no-store", "--window", "100ms")
    fitted = cli("fit-head", labelled, "-o", head, "--head", "prototypes", *options, "--windows-per-class", 3, "--json")
    expected = fit_head(labelled, head="prototypes", binding="polarity", options=WINDOWS, windows_per_class=3)
    assert json.loads(fitted.out)["identity"] == expected.identity
    printed = json.loads(cli("classify", labelled.parent / "long.npz", "--head", head, *options, "--json").out)
    labels = [window["label"] for window in printed["files"][0]["windows"]]
    assert labels[:6] == ["bright"] * 4 + ["dark"] * 2
    assert set(labels[6:]) == {None}
    assert "expected a duration" in cli("fit-head", labelled, "-o", head, "--window", "ten").err


def test_a_head_is_fitted_with_the_options_of_the_reader(cli, labelled: Path, tmp_path: Path):
    for path in labelled.glob("*/*.npz"):  # the text format does not contain the size of the sensor
        anybind.write(anybind.read(path), path.with_suffix(".csv"))
        path.unlink()
    head = tmp_path / "head.safetensors"
    options = ("--binding", "polarity", "--no-store", "--head", "prototypes", "--json")
    size = ("--reader-option", "size=64x64")
    expected = fit_head(labelled, head="prototypes", binding="polarity", reader_options={"size": (64, 64)})
    fitted = cli("fit-head", labelled, "-o", head, *options, *size)
    assert json.loads(fitted.out)["identity"] == expected.identity
    message = "no reader of these files (text-events) has an option 'sise'"
    assert message in cli("fit-head", labelled, "-o", head, "--reader-option", "sise=64x64").error()
