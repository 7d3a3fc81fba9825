"""Images from events: the high-pass filter, videos and folders of images, and the command."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageDraw
import pytest

import anybind
from anybind.errors import BadInput, BadOption
from anybind.plugin import modalities
from anybind_events import EventStream, reconstruct, reconstruct_frames
from anybind_events.reconstruction.high_pass import HighPassFilter, blur
from helpers.command import Command
from helpers.streams import move_bar


def draw_shapes(seed: int) -> np.ndarray:
    """Draw discs and rectangles of random brightness, 240x180."""
    random = np.random.default_rng(seed)
    image = PIL.Image.new("L", (240, 180), 128)
    draw = PIL.ImageDraw.Draw(image)
    for number in range(60):
        x, y, side = random.integers(0, 240), random.integers(0, 180), random.integers(4, 14)
        shape = draw.ellipse if number % 2 else draw.rectangle
        shape([int(each) for each in (x, y, x + side, y + side)], fill=int(random.integers(10, 250)))
    return np.repeat(np.asarray(image)[:, :, None], 3, axis=2)


def correlate(image: np.ndarray, original: np.ndarray) -> float:
    """Return the largest correlation over shifts of up to 6 pixels: the simulated camera moves."""
    height, width = original.shape
    shifted = (
        image[6 + dy : height - 6 + dy, 6 + dx : width - 6 + dx].ravel() for dy in range(-6, 7) for dx in range(-6, 7)
    )
    inner = original[6:-6, 6:-6].ravel()
    return max(float(np.corrcoef(each, inner)[0, 1]) for each in shifted)


@pytest.mark.parametrize("seed", range(3))
def test_a_reconstruction_resembles_the_image_more_than_event_counts_do(seed: int) -> None:
    image = draw_shapes(seed)
    stream = modalities.find_modality("event").derive(image, "image", seed=seed)
    assert isinstance(stream, EventStream)
    *_, reconstructed = reconstruct_frames(stream.between(0, 250_000), window="50ms")
    counts = np.zeros((stream.height, stream.width))
    last = stream.between(200_000, 250_000)
    np.add.at(counts, (last.y, last.x), 1)
    original = image[:, :, 0].astype(np.float64)
    similarity = correlate(reconstructed, original)
    assert similarity > 0.5
    assert similarity > correlate(-counts, original) + 0.2
    assert similarity > correlate(counts, original) + 0.2


def test_values_are_decaying_sums_of_the_polarities() -> None:
    stream = move_bar(200_000, noise_hz=20)
    cutoff, end = 3.0, int(stream.t[-1]) + 5000
    constructor = HighPassFilter(64, 64, int(stream.t[0]), cutoff_hz=cutoff, sigma=0)
    half = len(stream) // 2
    constructor.reconstruct(stream.slice_events(0, half), int(stream.t[half]))
    image = constructor.reconstruct(stream.slice_events(half, len(stream)), end)
    expected = np.zeros((64, 64))
    signs = np.where(stream.p, 1.0, -1.0)
    np.add.at(expected, (stream.y, stream.x), signs * np.exp(-2 * math.pi * cutoff / 1e6 * (end - stream.t)))
    scaled = (image - 0.5) * 2
    inside = np.abs(scaled) < 1  # not cut off
    factor = expected[inside] @ scaled[inside] / (scaled[inside] @ scaled[inside])
    np.testing.assert_allclose(scaled[inside] * factor, expected[inside], atol=1e-5)
    assert np.array_equal(image == 0.5, expected == 0)


def test_blur_keeps_the_sum_and_is_a_gaussian() -> None:
    image = np.zeros((31, 31))
    image[15, 15] = 1.0
    blurred = blur(image, 2.0)
    y, x = np.mgrid[-15:16, -15:16]
    assert blurred.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(blurred, np.exp(-(x**2 + y**2) / 8) / (8 * math.pi), atol=2e-3)
    assert blur(np.full((5, 9), 3.0), 2.0) == pytest.approx(np.full((5, 9), 3.0))


def test_windows_without_events_have_an_image_that_fades_to_gray() -> None:
    bar = move_bar(100_000)
    late = EventStream([1], [1], [1_000_000], [True], 64, 64)
    t = np.concatenate([bar.t, late.t])
    stream = EventStream(np.append(bar.x, 1), np.append(bar.y, 1), t, np.append(bar.p, True), bar.width, bar.height)
    images = list(reconstruct_frames(stream, window="100ms"))
    assert len(images) == 10
    contrasts = [int(np.ptp(image)) for image in images[:9]]
    assert contrasts == sorted(contrasts, reverse=True)
    assert contrasts[-1] < contrasts[0]


def test_videos_have_an_image_for_each_window(tmp_path: Path) -> None:
    stream, output = move_bar(200_000), tmp_path / "bar.mp4"
    assert reconstruct(stream, tmp_path / "bar.gif", fps=20).frames == 4
    with PIL.Image.open(tmp_path / "bar.gif") as animation:
        assert getattr(animation, "n_frames", 1) == 4
    result = reconstruct(stream, output, fps=20)
    assert (result.frames, result.sensor, result.events) == (4, (64, 64), len(stream))
    assert result.method == {"method": "high-pass", "cutoff_hz": 2.0, "sigma": 1.0}
    assert len(list(anybind.read(output).frames())) == 4


def test_the_command_writes_images_into_a_new_folder_only(cli: Command, tmp_path: Path) -> None:
    anybind.write(move_bar(200_000), tmp_path / "bar.npz")
    arguments = ("reconstruct", tmp_path / "bar.npz", "--filter", "background-activity", "--start", "50ms")
    done = cli(*arguments, "-o", tmp_path / "images", "--sigma", 0, "--window", "30ms", "--json")
    record = json.loads(done.out)
    paths = sorted((tmp_path / "images").iterdir())
    assert (record["frames"], record["method"]["sigma"]) == (5, 0.0)
    assert [path.name for path in paths] == [f"frame_{number:06d}.png" for number in range(5)]
    assert np.asarray(PIL.Image.open(paths[-1])).shape == (64, 64)
    again = cli(*arguments, "-o", tmp_path / "images")
    assert (again.code, "a new or an empty folder" in again.err) == (2, True)
    text = cli(*arguments, "-o", tmp_path / "bar.gif")
    assert "images, 64x64, of" in text.out


@pytest.mark.parametrize(
    ("output", "options", "error", "message"),
    [
        ("a.avi", {}, BadOption, "expected .gif or .mp4, or a folder"),
        ("a.mp4", {"fps": 0}, BadOption, "above 0"),
        ("a.mp4", {"cutoff_hz": -1.0}, BadOption, "cutoff: expected a number of 0 or more"),
        ("a.mp4", {"sigma": math.nan}, BadOption, "sigma"),
        ("a.mp4", {"blur": 1}, BadOption, "expected cutoff_hz, sigma"),
        ("a.mp4", {"start": 900_000}, BadInput, "no events"),
        ("missing/a.mp4", {}, BadInput, "missing"),
        ("a.mp4", {"model": "missing.onnx"}, BadInput, "missing.onnx"),
        ("a.mp4", {"model": "missing.onnx", "sigma": 1.0}, BadOption, "of the filter, not of a model"),
    ],
)
def test_invalid_options_leave_no_file(output: str, options: dict, error, message: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=message):
        reconstruct(move_bar(50_000), tmp_path / output, **options)
    assert not list(tmp_path.rglob("*"))
