"""Without soundfile and soxr, audio reports the pip command, and everything else works."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import anybind
from anybind.errors import MissingExtra
from anybind.modality import infer_modality
from anybind.reader import find_reader
from anybind.registry import Registry, use_registry
from anybind_media.sound import Waveform
from helpers.command import Command

MODULES = ("soundfile", "soxr", "anybind_media.sound", "anybind_media.sound_files")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write an audio clip, an image and a depth map."""
    anybind.write(Waveform(np.full((1, 800), 0.1, np.float32), 8000), tmp_path / "a.wav")
    PIL.Image.fromarray(np.full((6, 8, 3), 99, np.uint8)).save(tmp_path / "b.png")
    np.save(tmp_path / "c.npy", np.full((6, 8), 2.0, np.float32))
    return tmp_path


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Simulate a process without the extra `sound`."""
    previous = use_registry(None)
    for name in MODULES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    for name in ("soundfile", "soxr"):
        monkeypatch.setitem(sys.modules, name, None)
    yield
    use_registry(previous)


def test_missing_audio_packages_report_pip_command(folder: Path, without: None) -> None:
    with pytest.raises(MissingExtra, match=r"needs the package 'so(undfile|xr)': pip install 'anybind\[sound\]'"):
        anybind.read(folder / "a.wav")
    assert find_reader(folder / "a.wav").name == "sound"


def test_other_files_are_read_without_audio_packages(folder: Path, without: None) -> None:
    assert anybind.read(folder / "b.png").shape == (6, 8, 3)
    assert anybind.read(folder / "c.npy").metres.shape == (6, 8)
    assert infer_modality(anybind.read(folder / "b.png")) == "image"


@pytest.mark.parametrize("command", ["plugins", "bindings"])
def test_listings_work_without_audio_packages(cli: Command, without: None, command: str) -> None:
    previous = use_registry(Registry.from_entry_points())
    try:
        report = json.loads(cli(command, "--json").out)
    finally:
        use_registry(previous)
    if command == "plugins":
        assert {plugin["status"] for plugin in report["plugins"]} == {"ok"}
    else:
        assert {"mini", "imagebind", "languagebind"} <= {binding["name"] for binding in report["bindings"]}
