"""N-CARS: cars and other things by the roadside, in front of an event camera in a car."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import ClassVar

from anybind_datasets.local import EventDataset, choose

SPLITS = {"train": ("n-cars_train",), "test": ("n-cars_test",), "all": ("n-cars_train", "n-cars_test")}
NAMES = {"background": "background", "cars": "car"}
SENSOR = (120, 100)
"""Largest recording; the files do not say their sizes."""


class NCars(EventDataset):
    """15,422 recordings of 100 ms to train and 8,607 to test, as `n-cars_train/cars/obj_000000_td.dat`.

    Source: Sironi et al., 2018, "HATS: Histograms of Averaged Time Surfaces for Robust Event-based Object
    Classification".
    """

    name = "N-CARS"
    licence = "as published with the data (for research)"
    size = "24,029 recordings of 100 ms"
    parts: ClassVar = {"train": 15_422, "test": 8_607}
    published = "https://www.prophesee.ai/dataset-n-cars-download (n-cars_train.zip and n-cars_test.zip, unpacked)"

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
            folder: holds `n-cars_train` and `n-cars_test`, or `Prophesee_Dataset_n_cars` which does.
            modalities: what kinds of file count as samples; `event` must be among them.
            classes: keep only these: `car` or `background`.
            limit: keep about this many, spread evenly over the classes.
            split: `train`, `test` or `all`, as published.

        Raises:
            BadInput: the folder lacks what the split needs.
            BadOption: no such class or split, or a limit below 1.
        """
        super().__init__(folder, NAMES, modalities, classes)
        parts = choose(split, SPLITS)
        root = self.find_root("Prophesee_Dataset_n_cars", parts)
        self.hold(self.recordings([root / part for part in parts], ".dat", size=SENSOR), limit)
