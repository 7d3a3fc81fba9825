"""N-MNIST: the digits of MNIST as an event camera saw them in three saccades."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import ClassVar

from anybind_datasets.local import EventDataset, choose

SPLITS = {"train": ("Train",), "test": ("Test",), "all": ("Train", "Test")}
SENSOR = (34, 34)


class NMnist(EventDataset):
    """60,000 recordings to train and 10,000 to test, as `Train/0/00002.bin`; the classes are `0` to `9`.

    Source: Orchard et al., 2015, "Converting Static Image Datasets to Spiking Neuromorphic Datasets Using Saccades".
    """

    name = "N-MNIST"
    licence = "CC BY-SA 4.0"
    size = "70,000 recordings, 1.1 GB packed"
    parts: ClassVar = {"train": 60_000, "test": 10_000}
    published = "https://www.garrickorchard.com/datasets/n-mnist (Train.zip and Test.zip, unpacked side by side)"

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        modalities: Iterable[str] | None = None,
        classes: Iterable[str] | None = None,
        limit: int | None = None,
        split: str = "test",
    ) -> None:
        """List the recordings.

        Args:
            folder: holds `Train` and `Test`, or `N-MNIST` which does.
            modalities: what kinds of file count as samples; `event` must be among them.
            classes: keep only these.
            limit: keep about this many, spread evenly over the classes.
            split: `train`, `test` or `all`, as published.

        Raises:
            BadInput: the folder lacks what the split needs.
            BadOption: no such class or split, or a limit below 1.
        """
        super().__init__(folder, {str(digit): str(digit) for digit in range(10)}, modalities, classes)
        parts = choose(split, SPLITS)
        root = self.find_root("N-MNIST", parts)
        self.hold(self.recordings([root / part for part in parts], ".bin", size=SENSOR), limit)
