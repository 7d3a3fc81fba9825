"""The documentation lists all presets, suffixes and options of audio and depth readers."""

from __future__ import annotations

import inspect
from pathlib import Path

from anybind.registry import find_part
from anybind_media.depth_files import PRESETS, DepthReader
from anybind_media.image import ImageReader
from anybind_media.sound_files import WRITE_FORMATS, SoundReader
from anybind_media.video import VideoReader

PAGE = (Path(__file__).resolve().parents[3] / "docs/reference/formats.md").read_text()


def test_docs_list_presets_and_suffixes() -> None:
    suffixes = find_part("reader", "sound").spec.suffixes
    assert [name for name in (*PRESETS, *suffixes) if f"`{name}`" not in PAGE] == []
    for name, preset in PRESETS.items():
        row = next(line for line in PAGE.splitlines() if line.startswith("|") and f"`{name}`" in line)
        for value in (preset.fx, preset.baseline):
            assert value is None or str(value) in row


def test_written_suffixes_are_readable() -> None:
    assert set(WRITE_FORMATS) <= set(find_part("reader", "sound").spec.suffixes)


def test_docs_list_reader_options() -> None:
    for reader in (SoundReader, DepthReader, VideoReader, ImageReader):
        options = [name for name in inspect.signature(reader.read).parameters if name not in ("self", "path")]
        assert [name for name in options if f"{name}=" not in PAGE and f"`{name}`" not in PAGE] == []
