"""DENSE: drives through simulated towns, as events, depth maps and pictures."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from anybind.plugin import BadOption, Item
from anybind_datasets.local import choose
from anybind_datasets.local_dataset import LocalDataset

SPLITS = {"train": ("train",), "valid": ("valid",), "test": ("test",), "all": ("train", "valid", "test")}
KINDS = {
    "event": ("events/data", "events_*.npy"),
    "depth": ("depth/data", "depth_*.npy"),
    "image": ("rgb/frames", "frame_*.png"),
}
"""Where a sequence has its files of a modality; the number at the end of a name is the frame's."""
EVENTS = {"size": (346, 260), "columns": "txyp", "unit": "ns"}
"""What the files of events do not say."""
FX = 195.55
"""Focal length in pixels: 346 pixels over 83 degrees."""


class Dense(LocalDataset):
    """8,000 frames of eight drives in the simulator CARLA: five to train, two to validate, one to test, 1,000 each.

    A sequence is a folder such as `test_sequence_00_town10`, which begins with the name of its part; it holds
    `events/data`, `depth/data` (metres; the sky is 1,000) and `rgb/frames`, 346x260 pixels. An item is a frame: the
    events since the one before it, its depth map, its picture. The first of these that is asked for is the item's
    source, the others are its partners, so that `retrieval` can go from any to any. Frames that lack one of those asked
    for, as the first has no events, are left out. There are no classes.

    Source: Hidalgo-Carrió, Gehrig and Scaramuzza, 2020, "Learning Monocular Dense Depth from Events".
    """

    name = "DENSE"
    licence = "as published with the data"
    size = "8 sequences of 1,000 frames"
    published = "https://rpg.ifi.uzh.ch/E2DEPTH.html (train_sequence_00_town01.zip, ..., unpacked into folders)"
    kinds = ("event", "depth", "image")
    parts: ClassVar = {"train": 5_000, "valid": 2_000, "test": 1_000}

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        modalities: Iterable[str] | None = None,
        limit: int | None = None,
        split: str = "test",
        step: int = 1,
        baseline: float = 0.075,
    ) -> None:
        """List the frames; none is read.

        Args:
            folder: holds the sequences, or folders such as `train` which do.
            modalities: `event`, `depth` and `image`: what is asked for; all by default.
            limit: keep this many, from the first on.
            split: `train`, `valid`, `test` or `all`, as published.
            step: keep every frame (1), every second (2), and so on, by its number: frames that follow each other are
                nearly the same.
            baseline: in metres, of the disparities that a tower makes of depths. The simulated camera has one eye and
                so none; this is the Kinect's, whose disparities ImageBind's tower has learned from.

        Raises:
            BadInput: there is no sequence of the split, or one lacks a part.
            BadOption: no such split, or a limit, step or baseline that is none.
        """
        super().__init__(folder, modalities)
        if not isinstance(step, int) or step < 1:
            raise BadOption(f"step must be a whole number, 1 or more, got {step!r}")
        self.options = {"event": EVENTS, "depth": {"fx": FX, "baseline": float(baseline)}, "image": {}}
        parts = choose(split, SPLITS)
        found = {home: part for part in SPLITS["all"] for home in self._sequences(part)}
        if not found:
            raise self.missing("it holds no sequence, such as test_sequence_00_town10/depth/data")
        for part in parts:
            if part not in found.values():
                self.lack(f"it holds no sequence of the part {part}")
        frames = (item for home, part in found.items() if part in parts for item in self._frames(home, step))
        self.hold(frames, limit)

    def _sequences(self, part: str) -> list[Path]:
        """The folders of a part's sequences, in the folder or one further down."""
        found = {path.parents[1] for depth in ("*", "*/*") for path in self.root.glob(f"{depth}/depth/data")}
        return sorted(home for home in found if home.name.startswith(f"{part}_") or home.parent.name == part)

    def _frames(self, home: Path, step: int) -> Iterator[Item]:
        files = {kind: self._numbered(home, kind) for kind in self.kinds}
        asked = {kind: files[kind] for kind in self.asked}
        for kind, numbered in asked.items():
            if not numbered:
                self.lack(f"{home / KINDS[kind][0]} holds no {KINDS[kind][1]}")
        for number in sorted(set.intersection(*(set(numbered) for numbered in asked.values()))):
            if number % step:
                continue
            held = {
                kind: Item(f"{home.name}:{number}", numbered[number], options=self.options[kind])
                for kind, numbered in files.items()
                if number in numbered
            }
            yield _in_first(held, self.asked[0])

    def _numbered(self, home: Path, kind: str) -> Mapping[int, Path]:
        """A sequence's files of a modality by the number of their frame."""
        place, pattern = KINDS[kind]
        numbers = ((path.stem.rpartition("_")[2], path) for path in (home / place).glob(pattern))
        return {int(number): path for number, path in numbers if number.isdecimal()}


def _in_first(held: Mapping[str, Item], first: str) -> Item:
    """The item of the first modality, with the others as its partners."""
    return replace(held[first], partners={kind: item for kind, item in held.items() if kind != first})
