"""DENSE: drives through simulated towns, as events, depth maps and images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from anybind.plugin import BadInput, BadOption, Dataset, Item

FILES = {
    "event": ("events/data", "events_*.npy"),
    "depth": ("depth/data", "depth_*.npy"),
    "image": ("rgb/frames", "frame_*.png"),
}
"""Where a sequence has its files of a modality; the number at the end of a name is the frame's."""
EVENTS = {"size": (346, 260), "columns": "txyp", "unit": "ns"}
"""What the files of events do not say."""
FX = 195.55
"""Focal length in pixels: 346 pixels over 83 degrees."""


class Dense(Dataset):
    """8,000 frames of eight drives in the simulator CARLA: five to train, two to validate, one to test, 1,000 each.

    The folder holds the sequences, or folders such as `train` which do. A sequence is a folder such as
    `test_sequence_00_town10`, which begins with the name of its split; it holds `events/data`, `depth/data` (metres;
    the sky is 1,000) and `rgb/frames`, 346x260 pixels. An item is a frame: the events since the one before it, its
    depth map, its image. The first of these that is asked for is the item's source, the others are its partners, so
    that `retrieval` can go from any to any. Frames that lack one of those asked for, as the first has no events, are
    left out. There are no classes.

    Source: Hidalgo-Carrió, Gehrig and Scaramuzza, 2020, "Learning Monocular Dense Depth from Events".
    """

    name = "DENSE"
    licence = "as published with the data"
    size = "8 sequences of 1,000 frames"
    published = "https://rpg.ifi.uzh.ch/E2DEPTH.html (train_sequence_00_town01.zip, ..., unpacked into folders)"
    sample_modalities = ("event", "depth", "image")
    splits: ClassVar = {"train": 5_000, "valid": 2_000, "test": 1_000}
    split = "test"
    options = ("step", "baseline")
    step: int = 1
    """Keep every frame (1), every second (2), and so on, by its number: frames that follow each other are similar."""
    baseline: float = 0.075
    """In metres, for disparities made of depths. The simulated camera has one lens and so none; this is the Kinect's,
    whose disparities ImageBind's depth encoder was trained on."""

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        if not isinstance(self.step, int) or self.step < 1:
            raise BadOption(f"step must be a whole number, 1 or more, got {self.step!r}")
        found = {home: split for split in self.splits for home in self._sequences(split)}
        if not found:
            raise self.missing("it holds no sequence, such as test_sequence_00_town10/depth/data")
        for split in splits:
            if split not in found.values():
                yield self.missing(f"it holds no sequence of the part {split}")
        for home in (home for home, split in found.items() if split in splits):
            yield from self._frames(home)

    def _sequences(self, split: str) -> list[Path]:
        """The folders of a split's sequences, in the folder or one further down."""
        found = {path.parents[1] for depth in ("*", "*/*") for path in self.root.glob(f"{depth}/depth/data")}
        return sorted(home for home in found if home.name.startswith(f"{split}_") or home.parent.name == split)

    def _frames(self, home: Path) -> Iterator[Item | BadInput]:
        options: Mapping[str, Mapping[str, object]] = {
            "event": EVENTS,
            "depth": {"fx": FX, "baseline": float(self.baseline)},
        }
        files = {kind: _numbered(home, kind) for kind in self.sample_modalities}
        for kind in self.selected_modalities:
            if not files[kind]:
                yield self.missing(f"{home / FILES[kind][0]} holds no {FILES[kind][1]}")
        for number in sorted(set.intersection(*(set(files[kind]) for kind in self.selected_modalities))):
            if number % self.step == 0:
                yield self.merge_modalities(
                    {
                        kind: Item(f"{home.name}:{number}", numbered[number], options=options.get(kind, {}))
                        for kind, numbered in files.items()
                        if number in numbered
                    }
                )


def _numbered(home: Path, kind: str) -> Mapping[int, Path]:
    """A sequence's files of a modality by the number of their frame."""
    place, pattern = FILES[kind]
    numbers = ((path.stem.rpartition("_")[2], path) for path in (home / place).glob(pattern))
    return {int(number): path for number, path in numbers if number.isdecimal()}
