"""`anybind vad`: output, page, and one error line for each invalid input."""

from __future__ import annotations

import json
import re
import warnings

import numpy as np
import PIL.Image
import pytest

from anybind import AnybindWarning, EmbeddingStore
from anybind_vad import embedding, score_video

pytestmark = pytest.mark.torch


@pytest.fixture
def run_vad(cli):
    """Run the command with a head that needs no encoder; return its JSON."""

    def run(*arguments):
        process = cli("vad", *arguments, "--head", "event-rate", "--json")
        assert process.code == 0, process
        return json.loads(process.out)

    return run


@pytest.fixture
def run_with_warnings(cli):
    """Run the command with warnings; return its JSON and its stderr."""

    def run(*arguments):
        with warnings.catch_warnings():
            warnings.simplefilter("always", AnybindWarning)
            process = cli("vad", *arguments, "--head", "event-rate", "--json")
        assert process.code == 0, process
        assert process.err.startswith("warning: ")
        return json.loads(process.out), process.err

    return run


@pytest.fixture
def make_noise():
    def make(count, seed=0):
        small = np.random.default_rng(seed).integers(0, 256, (count, 12, 16, 3), dtype=np.uint8)
        return small.repeat(4, axis=1).repeat(4, axis=2)

    return make


def test_runner_is_a_segment_in_seconds_and_frames(run_vad, make_street):
    street = make_street()
    result = run_vad(street.path)
    (segment,) = result["segments"]
    assert (segment["first"], segment["last"]) == (street.runner.start, street.runner.stop - 1)
    assert (segment["start"], segment["end"]) == (street.runner.start / 25, street.runner.stop / 25)
    assert segment["peak_frame"] in street.runner
    assert segment["score"] == max(result["frame_scores"])
    assert (len(result["frame_scores"]), len(result["window_scores"])) == (192, 12)
    assert (result["fps"], result["duration"], result["complete"], result["problem"]) == (25, 192 / 25, True, "")
    assert result["frame_times"] == pytest.approx(np.arange(192) / 25)
    assert [window["first"] for window in result["windows"]] == list(range(0, 192, 16))
    settings = result["settings"]
    assert (settings["threshold"], settings["clamp"], settings["frames"], settings["stride"]) == (25, None, 16, 16)
    assert settings["head"]["name"] == "event-rate"


def test_table_of_segments(cli, make_street):
    process = cli("vad", make_street().path, "--head", "event-rate")
    assert process.code == 0
    assert "0:03.8" in process.out
    assert "96 to 127" in process.out


def test_a_video_without_a_segment_is_one_line(cli, make_street):
    street = make_street()
    process = cli("vad", street.path, "--head", "event-rate", "--score-threshold", 1e9)
    assert process.out == f"{street.path}: no segment above 1e+09\n"


def test_stride_sigma_and_score_threshold_options(run_vad, make_street):
    street = make_street()
    plain, smoothed = (
        run_vad(street.path, "--stride", 4, "--sigma", sigma, "--score-threshold", 0.02) for sigma in (0, 0.5)
    )
    assert len(plain["window_scores"]) == (192 - 16) // 4 + 1
    assert plain["window_scores"] == smoothed["window_scores"]
    assert np.std(np.diff(smoothed["frame_scores"])) < np.std(np.diff(plain["frame_scores"]))
    assert (plain["settings"]["score_threshold"], plain["settings"]["score_threshold_rule"]) == (0.02, "given")
    assert len(smoothed["frame_scores"]) == 192


def test_presets_set_the_threshold_and_report_an_unsupported_clamp(run_with_warnings, run_vad, make_street):
    path = make_street().path
    readme, stderr = run_with_warnings(path, "--preset", "author-readme")
    assert re.search(r"count-image.*takes no clamp: of the preset 'author-readme', only", stderr)
    assert (readme["settings"]["threshold"], readme["settings"]["clamp"]) == (10, None)
    assert sum(window["events"] for window in readme["windows"]) > 0
    coarse = run_vad(path, "--threshold", 60)
    assert coarse["settings"]["threshold"] == 60
    assert sum(w["events"] for w in coarse["windows"]) < sum(w["events"] for w in readme["windows"])


def test_clamp_of_a_preset_applies_to_a_binding_that_supports_it(run_vad, make_street, tmp_path):
    binding = tmp_path / "own.toml"
    binding.write_text(
        'name = "own"\n[encoders.image]\nuse = "mini-image"\n[encoders.event]\nuse = "event-encoder"\nimage_encoder = "@image"\n'
    )
    result = run_vad(make_street().path, "--preset", "author-later", "--binding", binding)
    assert (result["settings"]["threshold"], result["settings"]["clamp"]) == (25, 16)


def test_page_is_self_contained_with_timeline_images_and_settings(run_vad, make_street, tmp_path):
    page = tmp_path / "page.html"
    result = run_vad(make_street().path, "-o", page)
    assert result["page"] == str(page)
    text = page.read_text()
    assert text.count("<figure><img") == 12
    assert text.count('<article class="card">') == 1
    assert text.count("data:image/webp") == 12 + 2
    assert '<rect class="band" x="500.0"' in text
    assert not re.search(r'(src|href)="(?!data:)', text)
    assert "<script" not in text
    for name in ("binding", "threshold", "event-rate", "0:03.8 to 0:05.1"):
        assert name in text
    assert {path.name for path in tmp_path.iterdir()} == {"page.html", "embedding-store"}


def test_folder_of_frames_is_a_video_and_its_name_is_escaped(run_vad, make_noise, tmp_path):
    folder = tmp_path / "<b>frames"
    folder.mkdir()
    for number, frame in enumerate(make_noise(20)):
        PIL.Image.fromarray(frame).save(folder / f"{number}.png")
    result = run_vad(folder, "--fps", 10, "-o", tmp_path / "page.html")
    assert (result["fps"], result["duration"], len(result["frame_scores"])) == (10, 2.0, 20)
    assert "<h1>&lt;b&gt;frames</h1>" in (tmp_path / "page.html").read_text()


def test_real_video_of_ucsd_ped2_is_scored(run_vad, test_data):
    result = run_vad(test_data / "ucsd_ped2" / "frames" / "01", "--fps", 10)
    assert len(result["frame_scores"]) == 180
    assert all(score > 0 for score in result["frame_scores"])


def test_times_follow_a_variable_frame_rate(run_vad, make_video, make_noise, tmp_path):
    times = [*range(0, 320, 10), *range(320, 320 + 32 * 200, 200)]
    frames = make_noise(64)
    frames[48:] = frames[47]
    result = run_vad(make_video(tmp_path / "varying.mkv", frames, times), "--score-threshold", 0.01)
    assert result["frame_times"] == [time / 1000 for time in times]
    (segment,) = result["segments"]
    assert (segment["start"], segment["first"], segment["last"]) == (0, 0, 47)
    assert segment["end"] == times[48] / 1000
    assert result["duration"] == (times[-1] + 200) / 1000


def test_video_shorter_than_a_window_is_scored_as_one_window(run_with_warnings, make_video, make_noise, tmp_path):
    path = make_video(tmp_path / "short.mkv", make_noise(5))
    result, stderr = run_with_warnings(path, "-o", tmp_path / "page.html")
    assert re.search("has 5 frames, fewer than a window of 16", stderr)
    assert (len(result["window_scores"]), len(result["frame_scores"])) == (1, 5)


def test_static_videos_and_videos_of_one_frame_score_0(run_with_warnings, make_video, make_noise, tmp_path):
    for name, frames in (("one.mkv", make_noise(1)), ("still.mkv", make_noise(1).repeat(40, axis=0))):
        path = make_video(tmp_path / name, frames)
        result, stderr = run_with_warnings(path, "-o", tmp_path / "page.html")
        assert re.search("has no events: no pixel changes by the event threshold", stderr)
        assert set(result["frame_scores"]) == {0}
        assert result["segments"] == []


@pytest.fixture
def truncated_video(make_video, make_noise, tmp_path):
    """Paths of a video truncated to two thirds, and of the whole."""
    whole = make_video(tmp_path / "whole.avi", make_noise(120))
    path = tmp_path / "cut.avi"
    raw = whole.read_bytes()
    path.write_bytes(raw[: len(raw) * 2 // 3])
    return path, whole


def test_truncated_video_is_scored_up_to_the_damage_with_a_warning(
    run_with_warnings, run_vad, truncated_video, tmp_path
):
    path, whole = truncated_video
    result, stderr = run_with_warnings(path, "-o", tmp_path / "page.html")
    assert re.search(r"cut\.avi.*scored up to 0:0.*frame \d+", stderr)
    count = len(result["frame_scores"])
    assert 60 < count < 100
    assert (result["complete"], bool(result["problem"])) == (False, True)
    assert result["window_scores"][:4] == run_vad(whole)["window_scores"][:4]
    assert "could not be decoded completely" in (tmp_path / "page.html").read_text()


def test_embeddings_of_a_truncated_video_are_reused_for_the_whole(truncated_video, tmp_path, monkeypatch):
    path, whole = truncated_video
    computed = []
    embed = embedding.embed_windows
    monkeypatch.setattr(
        embedding,
        "embed_windows",
        lambda binder, windows, *more: (computed.append(len(windows)), embed(binder, windows, *more))[1],
    )
    options = {"head": "event-rate", "batch_size": 2, "store": EmbeddingStore(tmp_path / "store")}
    with pytest.warns(AnybindWarning, match=r"cut\.avi"):
        truncated = score_video(path, **options)
    computed.clear()
    path.write_bytes(whole.read_bytes())
    resumed = score_video(path, **options)
    assert sum(computed) <= len(resumed.spans) - 2 * (len(truncated.spans) // 2)
    assert resumed.window_scores.tolist() == score_video(whole, head="event-rate", batch_size=2).window_scores.tolist()


def test_strict_refuses_a_truncated_video(cli, truncated_video):
    path, _ = truncated_video
    process = cli("vad", path, "--head", "event-rate", "--strict", "--json")
    assert re.search(r"cut\.avi.*scored up to", process.error())


def test_frames_are_scored_up_to_a_change_of_size(run_with_warnings, make_noise, tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, frame in enumerate(make_noise(30)):
        PIL.Image.fromarray(frame[: 24 if number == 20 else 48]).save(folder / f"{number:02d}.png")
    result, stderr = run_with_warnings(folder)
    assert re.search(r"20\.png.*64x24.*scored up to 0:00.8, frame 19", stderr)
    assert len(result["frame_scores"]) == 20


def test_invalid_videos_are_one_error_line(cli, make_video, make_noise, tmp_path):
    def error(path, *arguments):
        return cli("vad", path, "--head", "event-rate", *arguments).error()

    text, empty, folder = tmp_path / "text.mp4", tmp_path / "empty.mp4", tmp_path / "folder"
    text.write_text("not a video\n" * 9)
    empty.touch()
    folder.mkdir()
    image = tmp_path / "image.png"
    PIL.Image.fromarray(make_noise(1)[0]).save(image)
    assert "text.mp4" in error(text)
    assert "empty.mp4" in error(empty)
    assert "folder" in error(folder)
    assert "image.png: expected a video, a folder of frames or an event recording, got image" in error(image)
    assert "cannot read" in error(tmp_path / "missing.mp4")
    headless = tmp_path / "headless.mp4"
    whole = make_video(tmp_path / "whole.mp4", make_noise(20)).read_bytes()
    headless.write_bytes(whole[: len(whole) // 2])
    assert "headless.mp4" in error(headless)


def test_one_of_several_recordings_in_a_file_is_chosen(cli, run_vad, test_data):
    path = test_data / "more_events" / "n_datasets_example.mat"
    assert "choose one with source=" in cli("vad", path, "--head", "event-rate").error()
    scores = run_vad(path, "--reader-option", "source=TD")
    assert sum(window["events"] for window in scores["windows"]) == 242_040
    python = score_video(path, head="event-rate", reader_options={"source": "TD"})
    assert python.frame_scores.tolist() == scores["frame_scores"]


def test_options_of_the_reader_of_a_video_are_taken(cli, make_street):
    path = make_street().path
    assert "raise the limit: max_pixels=" in cli("vad", path, "--reader-option", "max_pixels=9").error()
    error = cli("vad", path, "--reader-option", "max_pixel=9").error()
    assert "unexpected keyword argument 'max_pixel' (options: fps, as_displayed, max_pixels)" in error


def test_unsupported_codec_is_an_error(cli, make_video, make_noise, tmp_path):
    path = make_video(tmp_path / "a.avi", make_noise(20))
    raw = path.read_bytes()
    assert raw.count(b"FMP4") >= 2
    path.write_bytes(raw.replace(b"FMP4", b"QZX9"))
    assert re.search(r"a\.avi.*FFmpeg", cli("vad", path).error())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--stride", 17), "stride: expected 1 to 16 frames"),
        (("--frames", 0), "frames: expected a positive integer"),
        (("--threshold", 0), "threshold: expected a number above 0"),
        (("--sigma", -1), "sigma: expected a finite number"),
        (("--score-threshold", "nan"), "score_threshold: expected a finite number"),
        (("--batch-size", 0), "batch_size: expected a positive integer"),
        (("--preset", "authors"), "there is no preset 'authors'"),
        (("--clamp", 10), "the binding 'mini': the representation 'count-image' takes no clamp"),
        (("--head", "nonsense"), "nonsense"),
        (("--head", "one-class"), "the head 'one-class' is not fitted"),
        (("--head-file", "weights.pt"), "--head-file: expected a saved head (.safetensors)"),
        (("--head-file", "missing.safetensors"), "missing.safetensors"),
        (("--head-option", "colour=red"), "colour"),
        (("--fps", 10), "fps applies to folders of frames only"),
        (("--output", "page.pdf"), "page.pdf: expected a name that ends in .html"),
        (("--output", "nowhere/page.html"), "there is no folder"),
        (("--binding", "nonsense"), "nonsense"),
    ],
    ids=str,
)
def test_invalid_options_are_one_error_line_before_decoding(cli, make_street, arguments, message):
    assert message in cli("vad", make_street().path, *arguments).error()
