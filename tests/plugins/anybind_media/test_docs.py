"""The page on sounds and depth maps tells of the presets, endings and options that there are."""

from __future__ import annotations

import inspect
from pathlib import Path

from anybind.registry import find_part
from anybind_media.depth_files import PRESETS, DepthReader
from anybind_media.sound_files import FORMATS, SoundReader

PAGE = (Path(__file__).resolve().parents[3] / "docs/reference/formats.md").read_text()


def test_every_preset_and_ending_is_told() -> None:
    assert [name for name in (*PRESETS, *FORMATS) if f"`{name}`" not in PAGE] == []
    for name, preset in PRESETS.items():
        row = next(line for line in PAGE.splitlines() if line.startswith("|") and f"`{name}`" in line)
        for known in (preset.fx, preset.baseline):
            assert known is None or str(known) in row


def test_every_ending_that_is_written_is_one_that_is_read() -> None:
    assert set(FORMATS) == set(find_part("reader", "sound").spec.suffixes)


def test_every_option_of_the_readers_is_told() -> None:
    for reader in (SoundReader, DepthReader):
        options = [name for name in inspect.signature(reader.read).parameters if name not in ("self", "path")]
        assert [name for name in options if f"{name}=" not in PAGE and f"`{name}`" not in PAGE] == []
