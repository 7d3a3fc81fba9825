"""Gray frames of a film, some of them also in colour, from one decoding."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import PIL.Image
import pytest

from anybind_media.video import Video, open_video


def colours(count: int) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [
        np.asarray(PIL.Image.fromarray(random.integers(0, 256, (3, 4, 3), dtype=np.uint8)).resize((64, 48)))
        for _ in range(count)
    ]


@pytest.fixture(params=["film", "folder"])
def video(request: pytest.FixtureRequest, tmp_path: Path) -> Video:
    if request.param == "folder":
        for number, frame in enumerate(colours(7)):
            PIL.Image.fromarray(frame).save(tmp_path / f"{number}.jpg")
        return open_video(tmp_path)
    with av.open(tmp_path / "film.mkv", "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 64, 48, "yuv420p", 3_000_000
        for frame in colours(7):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return open_video(tmp_path / "film.mkv")


def test_colours_are_those_of_the_frames_in_colour_and_gray_stays_gray(video: Video) -> None:
    seen: dict[int, np.ndarray] = {}

    def look(number: int, colour: Callable[[], np.ndarray]) -> None:
        if number % 3 == 1:
            seen[number] = colour()

    looked = list(video.frames(gray=True, look=look))
    plain, coloured = list(video.frames(gray=True)), list(video.frames())
    assert sorted(seen) == [1, 4]
    for number, frame in seen.items():
        assert np.array_equal(frame, coloured[number][1])
    assert [time for time, _ in looked] == [time for time, _ in plain]
    assert all(np.array_equal(one, other) for (_, one), (_, other) in zip(looked, plain, strict=True))


def test_each_frame_is_shown_before_it_is_yielded(video: Video) -> None:
    shown: list[int] = []
    for number, _ in enumerate(video.frames(gray=True, look=lambda number, colour: shown.append(number))):
        assert shown == list(range(number + 1))
