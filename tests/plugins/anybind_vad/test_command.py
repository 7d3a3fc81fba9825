"""`anybind vad` as a user meets it: what it prints and writes, and one line for every bad input."""

from __future__ import annotations

import json
import re
import warnings

import numpy as np
import PIL.Image
import pytest

from anybind import AnybindWarning, EmbeddingStore
from anybind_vad import embedding, score_video


@pytest.fixture
def quick(cli):
    """The command with a head that needs no tower; its JSON."""

    def run(*arguments):
        ended = cli("vad", *arguments, "--head", "event-rate", "--json")
        assert ended.code == 0, ended
        return json.loads(ended.out)

    return run


@pytest.fixture
def warned(cli):
    """The same of a command that warns: its JSON, and what it says on stderr."""

    def run(*arguments):
        with warnings.catch_warnings():
            warnings.simplefilter("always", AnybindWarning)
            ended = cli("vad", *arguments, "--head", "event-rate", "--json")
        assert ended.code == 0, ended
        assert ended.err.startswith("warning: ")
        return json.loads(ended.out), ended.err

    return run


@pytest.fixture
def noise():
    def make(count, seed=0):
        small = np.random.default_rng(seed).integers(0, 256, (count, 12, 16, 3), dtype=np.uint8)
        return small.repeat(4, axis=1).repeat(4, axis=2)

    return make


def test_the_runner_is_found_and_told_in_seconds_and_frames(quick, make_street):
    street = make_street()
    told = quick(street.path)
    (segment,) = told["segments"]
    assert (segment["first"], segment["last"]) == (street.runner.start, street.runner.stop - 1)
    assert (segment["start"], segment["end"]) == (street.runner.start / 25, street.runner.stop / 25)
    assert segment["peak_frame"] in street.runner
    assert segment["score"] == max(told["frame_scores"])
    assert (len(told["frame_scores"]), len(told["window_scores"])) == (192, 12)
    assert (told["fps"], told["duration"], told["complete"], told["problem"]) == (25, 192 / 25, True, "")
    assert told["frame_times"] == pytest.approx(np.arange(192) / 25)
    assert [window["first"] for window in told["windows"]] == list(range(0, 192, 16))
    settings = told["settings"]
    assert (settings["threshold"], settings["clamp"], settings["frames"], settings["stride"]) == (25, None, 16, 16)
    assert settings["head"]["name"] == "event-rate"


def test_people_read_a_table(cli, make_street):
    ended = cli("vad", make_street().path, "--head", "event-rate")
    assert ended.code == 0
    assert "0:03.8" in ended.out
    assert "96 to 127" in ended.out


def test_overlapping_windows_smoothing_and_a_given_threshold(quick, make_street):
    street = make_street()
    plain, smoothed = (quick(street.path, "--stride", 4, "--smooth", s, "--above", 0.02) for s in (0, 0.5))
    assert len(plain["window_scores"]) == (192 - 16) // 4 + 1
    assert plain["window_scores"] == smoothed["window_scores"]
    assert np.std(np.diff(smoothed["frame_scores"])) < np.std(np.diff(plain["frame_scores"]))
    assert (plain["settings"]["above"], plain["settings"]["above_rule"]) == (0.02, "given")
    assert len(smoothed["frame_scores"]) == 192


def test_presets_set_the_threshold_and_say_what_of_the_clamp_applies(warned, quick, make_street):
    path = make_street().path
    readme, said = warned(path, "--preset", "author-readme")
    assert re.search(r"mini-picture.*takes no clamp: of the preset 'author-readme', only", said)
    assert (readme["settings"]["threshold"], readme["settings"]["clamp"]) == (10, None)
    assert sum(window["events"] for window in readme["windows"]) > 0
    given = quick(path, "--threshold", 60)
    assert given["settings"]["threshold"] == 60
    assert sum(w["events"] for w in given["windows"]) < sum(w["events"] for w in readme["windows"])


def test_the_clamp_of_a_preset_applies_where_the_binding_takes_one(quick, make_street, tmp_path):
    binding = tmp_path / "own.toml"
    binding.write_text(
        'name = "own"\n[encoders.image]\nuse = "mini-image"\n[encoders.event]\nuse = "event-encoder"\nimage_encoder = "@image"\n'
    )
    told = quick(make_street().path, "--preset", "author-later", "--binding", binding)
    assert (told["settings"]["threshold"], told["settings"]["clamp"]) == (25, 16)


def test_the_page_is_one_file_with_timeline_pictures_and_settings(quick, make_street, tmp_path):
    page = tmp_path / "page.html"
    told = quick(make_street().path, "-o", page)
    assert told["page"] == str(page)
    text = page.read_text()
    assert text.count("<figure><img") == 12
    assert text.count('<article class="card">') == 1
    assert text.count("data:image/webp") == 12 + 2
    assert '<rect class="band" x="500.0"' in text
    assert not re.search(r'(src|href)="(?!data:)', text)
    assert "<script" not in text
    for name in ("binding", "threshold", "event-rate", "0:03.8 to 0:05.1"):
        assert name in text
    assert {each.name for each in tmp_path.iterdir()} == {"page.html", "embedding-store"}


def test_a_folder_of_frames_is_a_film_and_its_name_is_text_on_the_page(quick, noise, tmp_path):
    folder = tmp_path / "<b>frames"
    folder.mkdir()
    for number, frame in enumerate(noise(20)):
        PIL.Image.fromarray(frame).save(folder / f"{number}.png")
    told = quick(folder, "--fps", 10, "-o", tmp_path / "page.html")
    assert (told["fps"], told["duration"], len(told["frame_scores"])) == (10, 2.0, 20)
    assert "<h1>&lt;b&gt;frames</h1>" in (tmp_path / "page.html").read_text()


def test_a_real_film_of_a_walk_with_a_bicycle_is_scored(quick, test_data):
    told = quick(test_data / "ucsd_ped2" / "frames" / "01", "--fps", 10)
    assert len(told["frame_scores"]) == 180
    assert all(score > 0 for score in told["frame_scores"])


def test_seconds_stay_right_where_the_rate_varies(quick, make_film, noise, tmp_path):
    times = [*range(0, 320, 10), *range(320, 320 + 32 * 200, 200)]
    frames = noise(64)
    frames[48:] = frames[47]
    told = quick(make_film(tmp_path / "varying.mkv", frames, times), "--above", 0.01)
    assert told["frame_times"] == [time / 1000 for time in times]
    (segment,) = told["segments"]
    assert (segment["start"], segment["first"], segment["last"]) == (0, 0, 47)
    assert segment["end"] == times[48] / 1000
    assert told["duration"] == (times[-1] + 200) / 1000


def test_a_clip_shorter_than_a_window_is_scored_as_one_shorter_window(warned, make_film, noise, tmp_path):
    path = make_film(tmp_path / "short.mkv", noise(5))
    told, said = warned(path, "-o", tmp_path / "page.html")
    assert re.search("has 5 frames, fewer than the 16 of a window", said)
    assert (len(told["window_scores"]), len(told["frame_scores"])) == (1, 5)


def test_a_film_of_one_frame_or_in_which_nothing_moves_scores_0(warned, make_film, noise, tmp_path):
    for name, frames in (("one.mkv", noise(1)), ("still.mkv", noise(1).repeat(40, axis=0))):
        path = make_film(tmp_path / name, frames)
        told, said = warned(path, "-o", tmp_path / "page.html")
        assert re.search("nothing in .* changes enough for an event", said)
        assert set(told["frame_scores"]) == {0}
        assert told["segments"] == []


@pytest.fixture
def cut(make_film, noise, tmp_path):
    """A film that is cut off after two thirds, and the whole."""
    whole = make_film(tmp_path / "whole.avi", noise(120))
    path = tmp_path / "cut.avi"
    raw = whole.read_bytes()
    path.write_bytes(raw[: len(raw) * 2 // 3])
    return path, whole


def test_a_film_that_is_cut_off_is_scored_up_to_there_and_told(warned, quick, cut, tmp_path):
    path, whole = cut
    told, said = warned(path, "-o", tmp_path / "page.html")
    assert re.search(r"cut\.avi is (damaged or )?cut off.*scored up to 0:0.*frame \d+", said)
    count = len(told["frame_scores"])
    assert 60 < count < 100
    assert (told["complete"], "cut off" in told["problem"]) == (False, True)
    assert told["window_scores"][:4] == quick(whole)["window_scores"][:4]
    assert "could not be played to its end" in (tmp_path / "page.html").read_text()


def test_what_was_embedded_of_a_cut_video_is_reused_when_it_is_whole(cut, tmp_path, monkeypatch):
    path, whole = cut
    computed = []
    embed = embedding.embed_windows
    monkeypatch.setattr(
        embedding,
        "embed_windows",
        lambda binder, windows, *more: (computed.append(len(windows)), embed(binder, windows, *more))[1],
    )
    options = {"head": "event-rate", "batch_size": 2, "store": EmbeddingStore(tmp_path / "store")}
    with pytest.warns(AnybindWarning, match="cut off"):
        broken = score_video(path, **options)
    computed.clear()
    path.write_bytes(whole.read_bytes())
    found = score_video(path, **options)
    assert sum(computed) <= len(found.spans) - 2 * (len(broken.spans) // 2)
    assert found.window_scores.tolist() == score_video(whole, head="event-rate", batch_size=2).window_scores.tolist()


def test_a_video_that_is_cut_off_is_refused_on_request(cli, cut):
    path, _ = cut
    ended = cli("vad", path, "--head", "event-rate", "--strict", "--json")
    assert re.search(r"cut off.*scored up to", ended.error())


def test_frames_that_change_their_size_are_scored_up_to_there(warned, noise, tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, frame in enumerate(noise(30)):
        PIL.Image.fromarray(frame[: 24 if number == 20 else 48]).save(folder / f"{number:02d}.png")
    told, said = warned(folder)
    assert re.search(r"20\.png: frame 20 is 64x24.*scored up to 0:00.8, frame 19", said)
    assert len(told["frame_scores"]) == 20


def test_bad_films_are_told_in_one_line(cli, make_film, noise, tmp_path):
    def error(path, *arguments):
        return cli("vad", path, "--head", "event-rate", *arguments).error()

    text, empty, folder = tmp_path / "text.mp4", tmp_path / "empty.mp4", tmp_path / "folder"
    text.write_text("this is no film, and says so at some length\n" * 9)
    empty.touch()
    folder.mkdir()
    picture = tmp_path / "picture.png"
    PIL.Image.fromarray(noise(1)[0]).save(picture)
    assert "text.mp4" in error(text)
    assert "empty.mp4 is empty (0 bytes)" in error(empty)
    assert "folder holds no frames" in error(folder)
    assert "picture.png holds image; give a video" in error(picture)
    assert "cannot read" in error(tmp_path / "missing.mp4")
    headless = tmp_path / "headless.mp4"
    whole = make_film(tmp_path / "whole.mp4", noise(20)).read_bytes()
    headless.write_bytes(whole[: len(whole) // 2])
    assert "headless.mp4 is no complete film" in error(headless)


def test_a_codec_that_is_not_installed_is_told(cli, make_film, noise, tmp_path):
    path = make_film(tmp_path / "a.avi", noise(20))
    raw = path.read_bytes()
    assert raw.count(b"FMP4") >= 2
    path.write_bytes(raw.replace(b"FMP4", b"QZX9"))
    assert re.search(r"a\.avi is coded in a way that the installed FFmpeg does not know", cli("vad", path).error())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--stride", 17), "stride must be 1 to 16 frames"),
        (("--frames", 0), "frames must be a whole number above 0"),
        (("--threshold", 0), "threshold must be a finite number"),
        (("--smooth", -1), "smooth must be a finite number"),
        (("--above", "nan"), "above must be a finite number"),
        (("--batch-size", 0), "batch_size must be a whole number above 0"),
        (("--preset", "authors"), "there is no preset 'authors'"),
        (("--clamp", 10), "the binding 'mini': the representation 'mini-picture' takes no clamp"),
        (("--head", "nonsense"), "nonsense"),
        (("--head", "one-class"), "has to be fitted on videos first"),
        (("--head-file", "weights.pt"), "--head-file takes a .safetensors file"),
        (("--head-file", "missing.safetensors"), "missing.safetensors"),
        (("--option", "colour=red"), "colour"),
        (("--fps", 10), "fps is for a folder of frames"),
        (("--output", "page.pdf"), "the output is a page"),
        (("--output", "nowhere/page.html"), "there is no folder"),
        (("--binding", "nonsense"), "nonsense"),
    ],
    ids=str,
)
def test_bad_options_are_told_in_one_line_before_the_film_is_played(cli, make_street, arguments, said):
    assert said in cli("vad", make_street().path, *arguments).error()
