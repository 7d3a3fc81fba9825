"""Public functions return what the commands print."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import anybind
import anybind_events
from anybind_events import EventStream
from helpers.command import Command

Printed = Callable[..., dict[str, object]]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Write a recording of 300 events on 128 x 128 pixels in 3 ms."""
    random = np.random.default_rng(0)
    x, y, p = random.integers(0, 128, 300), random.integers(0, 128, 300), random.integers(0, 2, 300)
    path = tmp_path / "rec.npz"
    anybind.write(EventStream(x, y, np.arange(300) * 10, p, 128, 128), path)
    return path


@pytest.fixture
def printed(cli: Command) -> Printed:
    """Run a command, and return the JSON that it prints."""

    def run(*arguments: object) -> dict[str, object]:
        ended = cli(*arguments, "--json")
        assert ended.code == 0, ended
        return json.loads(ended.out)

    return run


def test_inspect_returns_the_output_of_info(printed: Printed, recording: Path) -> None:
    info = anybind_events.inspect(recording)
    assert info.to_dict() == printed("info", recording)
    assert info.recording is not None
    assert (info.recording.events, info.recording.width, info.recording.rate) == (300, 128, 1e6 * 300 / 2990)


def test_inspect_describes_samples_of_other_modalities(printed: Printed, tmp_path: Path) -> None:
    PIL.Image.new("RGB", (6, 4)).save(tmp_path / "x.png")
    info = anybind_events.inspect(tmp_path / "x.png")
    assert info.to_dict() == printed("info", tmp_path / "x.png")
    assert (info.recording, info.sample["width"]) == (None, 6)


def test_convert_returns_the_output_of_the_command(printed: Printed, recording: Path, tmp_path: Path) -> None:
    record = printed("convert", recording, tmp_path / "a.h5", "--start", "100us", "--end", "2000us")
    result = anybind_events.convert(recording, tmp_path / "a.h5", start=100, end=2000)
    assert {"file": result.file, "format": result.format, "output": result.output, **vars(result.recording)} == record
    assert result.recording.events == 190


def test_a_time_range_of_an_indexed_file_is_converted(recording: Path, tmp_path: Path) -> None:
    anybind_events.convert(recording, tmp_path / "a.h5")
    result = anybind_events.convert(tmp_path / "a.h5", tmp_path / "b.npz", start=100, end=2000)
    assert result.recording.events == 190


@pytest.mark.parametrize(("name", "options"), [("a.png", {}), ("a.gif", {"count": 100})])
def test_render_returns_the_output_of_the_command(
    printed: Printed, recording: Path, tmp_path: Path, name: str, options: dict[str, int]
) -> None:
    arguments = [word for key, value in options.items() for word in (f"--{key}", value)]
    record = printed("render", recording, "-o", tmp_path / name, *arguments)
    drawn = (tmp_path / name).read_bytes()
    result = anybind_events.render(recording, tmp_path / name, **options)
    again = {key: list(value) if isinstance(value, tuple) else value for key, value in vars(result).items()}
    assert {key: value for key, value in again.items() if value is not None} == record
    assert (tmp_path / name).read_bytes() == drawn


def test_a_stream_in_memory_and_its_file_have_the_same_rendering(recording: Path, tmp_path: Path) -> None:
    anybind_events.render(recording, tmp_path / "a.png")
    anybind_events.render(anybind.read(recording), tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_simulate_returns_the_output_of_the_command(printed: Printed, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    PIL.Image.fromarray(noise).save(tmp_path / "x.png")
    output = tmp_path / "x.npz"
    record = printed("simulate", tmp_path / "x.png", "-o", output, "--threshold", 0.4, "--seed", 3)
    result = anybind_events.simulate(tmp_path / "x.png", output, threshold=0.4, seed=3)
    assert {**vars(result), "sensor": list(result.sensor)} == record
    assert len(anybind.read(output)) == result.events


def test_every_public_name_exists_and_the_plugin_imports_no_heavy_package() -> None:
    assert all(getattr(anybind_events, name) for name in anybind_events.__all__)
    code = "import sys, anybind_events; assert not {'typer', 'torch', 'numba', 'PIL'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)
