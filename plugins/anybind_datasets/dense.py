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
"""Folder and file pattern of each modality in a sequence; file names end in the frame number."""
EVENTS = {"size": (346, 260), "columns": "txyp", "time_unit": "ns"}
"""Reader options of event files, which do not state these."""
FX_PX = 195.55
"""Focal length in pixels: 346 pixels over 83 degrees."""


class Dense(Dataset):
    """DENSE: 8,000 frames of eight drives in the simulator CARLA, without classes.

    Five sequences are for training, two for validation, one for testing, 1,000 frames each. The folder contains the
    sequences, or folders such as `train` with them. A sequence is a folder such as `test_sequence_00_town10`, whose
    name begins with its split; it contains `events/data`, `depth/data` (metres; the sky is 1,000) and `rgb/frames`,
    346x260 pixels. An item is a frame: the events since the previous frame, its depth map and its image. The first
    selected modality is the item's source, the others are its partners, so that `retrieval` can evaluate any direction.
    Frames without all selected modalities are left out, such as the first, which has no events.

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
    """Keep every `step`-th frame by its number, as consecutive frames are similar."""
    baseline: float = 0.075
    """Baseline in metres for disparities. The simulated camera is monocular; the default is the Kinect's, whose
    disparities ImageBind's depth encoder was trained on."""

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        if not isinstance(self.step, int) or self.step < 1:
            raise BadOption(f"step: expected an integer >= 1, got {self.step!r}")
        split_by_sequence = {path: split for split in self.splits for path in self._find_sequences(split)}
        if not split_by_sequence:
            raise self.missing("no sequences, such as test_sequence_00_town10/depth/data")
        for split in splits:
            if split not in split_by_sequence.values():
                yield self.missing(f"no sequences of the split {split}")
        for sequence in (path for path, split in split_by_sequence.items() if split in splits):
            yield from self._scan_sequence(sequence)

    def _find_sequences(self, split: str) -> list[Path]:
        """Find the folders of a split's sequences, at most two levels deep."""
        folders = {path.parents[1] for depth in ("*", "*/*") for path in self.root.glob(f"{depth}/depth/data")}
        return sorted(path for path in folders if path.name.startswith(f"{split}_") or path.parent.name == split)

    def _scan_sequence(self, sequence: Path) -> Iterator[Item | BadInput]:
        options: Mapping[str, Mapping[str, object]] = {
            "event": EVENTS,
            "depth": {"fx": FX_PX, "baseline": float(self.baseline)},
        }
        files = {modality: _list_frames(sequence, modality) for modality in self.sample_modalities}
        for modality in self.selected_modalities:
            if not files[modality]:
                yield self.missing(f"{sequence / FILES[modality][0]} has no {FILES[modality][1]}")
        for number in sorted(set.intersection(*(set(files[modality]) for modality in self.selected_modalities))):
            if number % self.step == 0:
                yield self.merge_modalities(
                    {
                        modality: Item(f"{sequence.name}:{number}", paths[number], options=options.get(modality, {}))
                        for modality, paths in files.items()
                        if number in paths
                    }
                )


def _list_frames(sequence: Path, modality: str) -> Mapping[int, Path]:
    """List a sequence's files of a modality by frame number."""
    folder, pattern = FILES[modality]
    numbers = ((path.stem.rpartition("_")[2], path) for path in (sequence / folder).glob(pattern))
    return {int(number): path for number, path in numbers if number.isdecimal()}
